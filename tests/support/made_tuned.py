"""Two families of which one gains by tuning, and the other by its own recipe."""

from tests.support.made_records import SETTINGS, Made

TRAIN = SETTINGS["train"]
OWN, WON = {"lr": 0.002, "weight_decay": 0.05}, {"lr": 0.001, "weight_decay": 0.1}
VARIANTS = [{"name": "vit"}, {"name": "vit_small"}, {"name": "resnet", "family": "ResNet"}]
NAMES = [v["name"] for v in VARIANTS]


def tries(made, name, scores):
    """The records of a variant's tries, one seed each; returns their entry in the plan."""
    found = []
    for number, (values, score) in enumerate(zip((OWN, WON), scores, strict=True)):
        settings = {"device": "cpu", "train": {**TRAIN, **values}, "try": number, **values}
        record = made.append("tuning", name, seed=1_000_000, settings=settings,
                             values={"val_accuracy": score, "diverged": score is None})  # fmt: skip
        found.append({**values, "ids": [record.id]})
    return found


def made_tuned(folder, *, vit=(0.5, 0.7), resnet=(0.9, 0.8), trained=True):
    """Two families with two tries each: the ViTs' second one wins, the ResNet's own values do."""
    settings = {"train": {**TRAIN, **OWN}}
    first = Made(folder, VARIANTS, settings=settings)
    tried = {"vit": tries(first, "vit", vit), "resnet": tries(first, "resnet", resnet)}
    plan = {"tuning": {"tries": 2, "lr": [1e-4, 1e-2], "weight_decay": [1e-3, 1], "seeds": 1, "per": "family",
            "of": {"vit": "vit", "vit_small": "vit", "resnet": "resnet"}, "tried": tried}}  # fmt: skip
    made = Made(folder, VARIANTS, settings=settings, plan=plan)
    for name, same, better in (("vit", 0.80, 0.90), ("vit_small", 0.70, 0.75), ("resnet", 0.95, 0.95)):
        shared = {"train": {**TRAIN, **OWN}, "recipe": "same"}
        made.accuracy(name, [same + 0.002 * s for s in range(6)], curves=False, settings=shared)
        if trained:
            own = {"train": {**TRAIN, **(OWN if name == "resnet" else WON)}, "recipe": "tuned"}
            made.accuracy(name, [better + 0.004 * s for s in range(6)], curves=False, settings=own)
    return made
