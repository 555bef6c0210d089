"""Parts of a report that set families side by side: Pareto fronts, learning, reach."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from vitbench import plots
from vitbench.report.phrases import Name, Phrase, listed, names
from vitbench.report.section import Picture, prose
from vitbench.report.text_tables import Cell, Grid, bracket, make
from vitbench.tables.columns import column
from vitbench.tables.compare import settings_of
from vitbench.tables.frames import attention_distances
from vitbench.tables.model_families import COSTS, DRAWS, TRAINING, families, fronts, representatives, whole
from vitbench.tables.receptive_field import receptive_fields
from vitbench.tables.study import Study
from vitbench.tables.training_outcomes import progress
from vitbench.utils.format import MISSING, percent, significant

SURE = 0.95
"""Probability from which on a model is said to be on a front, and under one minus which it is said not to be."""

FEW = 4
DRAWN = 6
"""Names in a list before they are counted instead; variants that a picture's colours tell apart."""

SHORT = {
    "latency_ms": "Latency",
    "macs": "MACs",
    "peak_memory_training_mib": "Memory in training",
    "params": "Parameters",
    TRAINING: "Training time",
}
AXES = {**{cost: column(cost).title for cost in COSTS if cost != TRAINING}, TRAINING: "Training time (s)"}

FRONTS = """
    Up is more accurate, left is cheaper; each cost has its own picture. A mark is filled by the probability that its
    model lies on that front, which means that no other costs at most as much and is at least as accurate, one of the
    two strictly. It is the share of {draws} draws of the seeds with replacement in which the model does so, a draw the
    same for all models. Costs are taken as they were measured. The stairs are the front of the means; names stand at
    the models that are on it more often than not. Bars are 95% intervals, where a quantity has one."""
SECONDS = """
    Training time: seconds spent in training steps, evaluations left out, mean over seeds; trials run side by side, so
    it is rougher than the latency of a session."""
PROGRESS = """
    Validation accuracy after each epoch, the mean over seeds: against training steps on the left, against the seconds
    spent in them on the right (evaluations left out; trials ran side by side on the machine's cores). A line is a
    variant, coloured by its family. Thick and named is the one of each family that was best on the validation split in
    the end."""
REACH = """
    Left: the distance in the image from a patch to the patches that it attends to, each dot one head of one seed, the
    line their mean. Right: half of the receptive field, which is how far from its middle a place of a feature map can
    depend on the image at all, counted in closed form (Araujo et al. 2019). The left one is measured and an average,
    the right one a bound: what a trained convolution uses of it is less. The picture ends at the image's side."""


def draw(study: Study, table: pd.DataFrame) -> Iterator[Picture]:
    """Fronts and learning, where there are two families or more."""
    if len(families(study)) > 1:
        front = fronts(study, table)
        if front.groupby("cost").size().max() > 1:
            yield _fronts(study, front)
        curves = progress(study)
        if len(set(curves["family"])) > 1:
            yield _progress(study, curves)


def reach(study: Study) -> Iterator[Picture]:
    """Attention distance beside receptive field, where there are both."""
    distances, fields = attention_distances(study), receptive_fields(study)
    own = {v.name for v in whole(study)}
    distances = distances[distances["variant"].isin(own)]
    if len(distances) and len(fields):
        yield _reach(distances, fields)


def _fronts(study: Study, front: pd.DataFrame) -> Picture:
    costs = [cost for cost in COSTS if (front["cost"] == cost).sum() > 1]
    front = front[front["cost"].isin(costs)]
    sure = [
        (f"against {SHORT[cost].lower() if cost != 'macs' else SHORT[cost]}: ", *_who(on))
        for cost in costs
        for on in [front[(front["cost"] == cost) & (front["probability"] >= SURE)]]
    ]
    worst = front.groupby("variant", sort=False)["probability"].max()
    never = front[front["variant"].isin(worst.index[worst <= 1 - SURE])].drop_duplicates("variant")
    words: list[Phrase] = [
        ("On the front in at least 95% of the draws, accuracy ", *listed(sure, last="; ", between="; "), "."),
    ]
    if len(never):
        words.append(("On none of them in more than 5%: ", *_who(never), "."))
    return Picture(
        name="pareto",
        title="Which models no other one beats",
        caption=prose(FRONTS).format(draws=f"{DRAWS:,}".replace(",", " "))
        + (f" {prose(SECONDS)}" if TRAINING in costs else ""),
        alt=f"Accuracy against {len(costs)} costs of {front['variant'].nunique()} variants; the table below has each "
        "one's probability of being on the front.",
        figure=plots.fronts(front, labels={cost: AXES[cost] for cost in costs}, baseline=study.baseline),
        words=words,
        grids=[_front_grid(front, costs)],
        answer=[_in_short(study, front)] if "latency_ms" in costs and _decides(study, front) else [],
    )


def _decides(study: Study, front: pd.DataFrame) -> bool:
    """Whether there are seeds enough for a sentence in the answer, as for a verdict."""
    least = settings_of(study, "accuracy").minimum
    return all(len(study.of("accuracy", variant)) >= least for variant in set(front["variant"]))


def _in_short(study: Study, front: pd.DataFrame) -> Phrase:
    """Which families stand on the front of accuracy against latency."""
    timed = front[front["cost"] == "latency_ms"]
    on = timed[timed["probability"] >= SURE]
    clauses = []
    for family in families(study):
        own = on[on["family"] == family]
        total = int((timed["family"] == family).sum())
        named = (" (", *names(own["variant"]), ")") if len(own) else ()
        clauses.append((f"{len(own)} of {total} {family} variants", *named))
    opening = f"On the front of accuracy against latency with a probability of at least {100 * SURE:.0f}%: "
    return (opening, *listed(clauses), ".")


def _who(rows: pd.DataFrame) -> Phrase:
    """A few by name, more by family."""
    if not len(rows):
        return ("none",)
    if len(rows) <= FEW:
        return names(rows["variant"])
    counts = rows.groupby("family", sort=False).size()
    return (f"{len(rows)} models ({', '.join(f'{n} {family}' for family, n in counts.items())})",)


def _front_grid(front: pd.DataFrame, costs: Sequence[str]) -> Grid:
    chances = {(row["variant"], row["cost"]): row["probability"] for row in front.to_dict("records")}
    rows = []
    for row in front.drop_duplicates("variant").to_dict("records"):
        name = row["variant"]
        accuracy = Cell(percent(row["accuracy"]), bracket(row["accuracy_low"], row["accuracy_high"], percent))
        cells = [Cell(_chance(chances.get((name, cost)))) for cost in costs]
        rows.append([Cell(name, name=True), Cell(row["family"]), accuracy, *cells])
    heads = ["Variant", "Family", column("accuracy").title, *(SHORT[cost] for cost in costs)]
    caption = (
        f"Probability of being on the front of accuracy against each cost: the share of {DRAWS:,} draws of the seeds "
        "(no interval)."
    ).replace(",", " ")
    return make("Probability of being on the front", heads, rows, caption)


def _chance(probability: float | None) -> str:
    """A probability in per cent, without a claim to more digits than the draws have."""
    if probability is None:
        return MISSING
    if 0 < probability < 0.01:
        return "<1%"
    return ">99%" if 0.99 < probability < 1 else f"{100 * probability:.0f}%"


def _progress(study: Study, curves: pd.DataFrame) -> Picture:
    leaders = [name for name in representatives(study).values() if name in set(curves["variant"])]
    chance = (study.plan.get("data") or {}).get("chance")
    return Picture(
        name="learning_steps_seconds",
        title="Learning in steps and in seconds",
        caption=prose(PROGRESS),
        alt=f"Validation accuracy of {curves['variant'].nunique()} variants against steps and seconds of training.",
        figure=plots.progress(curves, leaders=leaders, chance=chance),
        words=list(_reached(curves, leaders)),
    )


def _reached(curves: pd.DataFrame, leaders: Sequence[str]) -> Iterator[Phrase]:
    """What each family's leader took to where the weaker one of them came within a point of its end."""
    ends = {name: curves.loc[curves["variant"] == name, "val_accuracy"].iloc[-1] for name in leaders}
    target = min(ends.values()) - 0.01
    took = []
    for name in leaders:
        own = curves[(curves["variant"] == name) & (curves["val_accuracy"] >= target)]
        first = own.iloc[0]
        took.append((Name(name), f" took {first['steps']:.0f} steps and {significant(first['seconds'])} s"))
    if len(leaders) > 1:
        opening = f"To a validation accuracy of {percent(target)}%, one point short of the lower of their ends, "
        yield (opening, *listed(took), " (at the end of an epoch, means over seeds, no interval).")


def _reach(distances: pd.DataFrame, fields: pd.DataFrame) -> Picture:
    side = int(fields["image_px"].iloc[0])
    alike = _alike(fields)
    lines = fields[fields["variant"].isin(alike)].replace({"variant": alike})
    vits, resnets = (list(dict.fromkeys(frame["variant"]))[:DRAWN] for frame in (distances, lines))
    more = [n for n, frame in (("ViTs", distances), ("ResNets", lines)) if len(set(frame["variant"])) > DRAWN]
    left_out = f" Of the {' and '.join(more)} the first {DRAWN} are drawn." if more else ""
    rows = []
    for name, own in fields.groupby("variant", sort=False):
        covering = own[own["field_px"] >= 2 * side - 1]
        from_layer = f"layer {int(covering['layer'].iloc[0])}" if len(covering) else "never"
        stages = own.groupby("stage", sort=False)["field_px"].last()
        cells = [Cell(str(len(own))), Cell(" → ".join(map(str, stages))), Cell(from_layer)]
        rows.append([Cell(str(name), name=True), *cells])
    heads = ["Variant", "Layers", "Receptive field after stem and stages (px)", "Every pixel in reach of every place"]
    caption = (
        f"Images are {side} px a side. A layer is a convolution or a pooling. From the layer named on, the receptive "
        f"field is at least {2 * side - 1} px: even a corner can depend on the opposite one, as in a ViT's first block."
    )
    return Picture(
        name="reach",
        title="How far they look, and how far they could",
        caption=prose(REACH) + left_out,
        alt=f"By depth, attention distance of {len(vits)} ViTs and half the receptive field of "
        f"{fields['variant'].nunique()} ResNets; the table below has the latter.",
        figure=plots.reach(
            distances[distances["variant"].isin(vits)], lines[lines["variant"].isin(resnets)], image_px=side
        ),
        grids=[make("Receptive fields", heads, rows, caption)],
    )


def _alike(fields: pd.DataFrame) -> dict[str, str]:
    """The first ResNet of each shape → what its line is called; width alone changes no receptive field."""
    shapes: dict[tuple[int, ...], list[str]] = {}
    for name, own in fields.groupby("variant", sort=False):
        shapes.setdefault(tuple(own["field_px"]), []).append(str(name))
    return {same[0]: same[0] + (f" and {len(same) - 1} more" if len(same) > 1 else "") for same in shapes.values()}
