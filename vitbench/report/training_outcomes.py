"""Parts of a report about what a training left: class by class, how sure the model is, and parts of the test split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from vitbench import plots, stats
from vitbench.report.phrases import Name, Phrase, listed, names, span
from vitbench.report.section import Picture, prose
from vitbench.report.text_tables import Cell, Grid, bracket, make, tone
from vitbench.tables.columns import column
from vitbench.tables.comparable import like_seeds, seed_records
from vitbench.tables.compare import settings_of
from vitbench.tables.image_groups import group_accuracies, group_means, named_groups
from vitbench.tables.model_families import families, representatives
from vitbench.tables.study import Study
from vitbench.tables.training_outcomes import calibration, class_differences
from vitbench.utils.format import MISSING, percent, points

CLASSES_DRAWN = 24
"""Rows of a picture of classes: of more, those that differ most."""

FAMILIES_COMPARED = 3
NAMED = 8
"""Other families with a picture of their own; classes in a sentence before they are counted instead."""

CLASSES = """
    Accuracy of each class, {first} minus {second}, mean over seeds, with the interval at the level that Holm tested
    over all classes. Filled: a verdict, to the right {first} is better (blue), to the left worse (orange); hollow:
    none.
    {images} test images a class: one image is {point} points.{left_out}"""
CALIBRATION = """
    Expected calibration error: the mean gap between how sure the model is of the class it names and how often that is
    right, over {bins} bins of its confidence. The cross is the plain estimate, which is too large: with {images} test
    images even a perfectly calibrated model shows some. The mark is freed from that, and its bar is a 95% interval of a
    bootstrap over images: it reaches down to 0 where a perfectly calibrated model could have shown the same. Both are
    means over seeds; since all seeds were tested on the same images, more of them make it no surer."""
CALIBRATION_GRID = """
    In points. A perfect one: the plain estimate to expect of a model of the same confidences without any error; it and
    the plain estimate are means over seeds (no interval).
    Confidence minus accuracy: above 0 the model is surer than it is right, below 0 it is right more often than it
    thinks, as label smoothing makes it; in brackets the 95% interval over seeds."""
GROUPS = """
    The test split in its parts, each of which asks another thing: a row a variant, a mark a part, with its 95% interval
    over seeds. The dotted line is chance ({chance}%)."""
GROUPS_GRID = """
    Test accuracy in per cent, mean over {seeds} seeds with its 95% interval. Orange: chance lies inside the interval or
    above it."""

BINS = 15


def draw(study: Study) -> Iterator[Picture]:
    """Each part for which the trials kept what it takes."""
    if named_groups(study):
        accuracies = group_accuracies(study)
        if len(accuracies):
            yield _groups(study, group_means(accuracies), accuracies)
    if len(families(study)) > 1:
        yield from _classes(study)
        sure = calibration(study)
        if len(sure):
            yield _calibration(sure)


def _classes(study: Study) -> Iterator[Picture]:
    """The baseline's family against each other one, each by its best on the validation split."""
    (own, first), *others = representatives(study).items()
    for number, (family, second) in enumerate(others[:FAMILIES_COMPARED]):
        frame = class_differences(study, first, second)
        if len(frame):
            yield _class_picture(own, first, family, second, frame, name=f"classes{number + 1 if number else ''}")


def _class_picture(own: str, first: str, family: str, second: str, frame: pd.DataFrame, *, name: str) -> Picture:
    drawn, left_out = frame, ""
    if len(frame) > CLASSES_DRAWN:
        most = frame["value"].abs().sort_values(ascending=False, kind="stable").index[:CLASSES_DRAWN]
        drawn = frame.loc[sorted(most)]
        left_out = f" Of {len(frame)} classes the {CLASSES_DRAWN} are shown whose means differ most."
    counts = frame["images"]
    caption = prose(CLASSES).format(
        first=first, second=second, images=span(counts), point=f"{100 / counts.median():.2g}", left_out=left_out
    )
    return Picture(
        name=name,
        title=f"Class by class: {own} against {family}",
        caption=caption,
        alt=f"Difference in accuracy of {len(drawn)} classes, {first} minus {second}; the table below has the numbers.",
        figure=plots.differences(drawn, first=first, second=second),
        words=[_stand_for({own: first, family: second}), _decided(frame)],
        grids=[_class_grid(drawn, first, second)],
    )


def _stand_for(best: dict[str, str]) -> Phrase:
    said = listed([(Name(name), f" stands for {family}") for family, name in best.items()])
    return (*said, ": each the best of its family on the validation split.")


def _decided(frame: pd.DataFrame) -> Phrase:
    """In which classes which of the two is better."""
    clauses: list[Phrase] = []
    for kind, words in (("better", "The first is better in "), ("worse", "The second is better in ")):
        found = list(frame["name"][frame["kind"] == kind])
        if found:
            which = names(found) if len(found) <= NAMED else (f"{len(found)} classes",)
            clauses.append((words if not clauses else words[0].lower() + words[1:], *which))
    rest = int((~frame["kind"].isin(["better", "worse"])).sum())
    if not clauses:
        return (f"In none of {len(frame)} classes is one shown to be better.",)
    tail = f"; in {rest} of {len(frame)} classes none is shown to be" if rest else ""
    return (*listed(clauses, last="; ", between="; "), f"{tail}.")


def _class_grid(frame: pd.DataFrame, first: str, second: str) -> Grid:
    rows = [
        [
            Cell(row["name"], name=True), Cell(str(row["images"])), Cell(percent(row["first"])),
            Cell(percent(row["second"])), Cell(points(row["value"]), bracket(row["low"], row["high"], points)),
            Cell(row["verdict"], tone=tone(row["kind"])),
        ]
        for row in frame.to_dict("records")
    ]  # fmt: skip
    heads = ["Class", "Test images", f"{first} (%)", f"{second} (%)", "Difference (points)", "Verdict"]
    caption = (
        f"Accuracy in each class, {first} against {second}: means over {span(frame['n'])} seeds "
        "(no interval); the difference, seed by seed, has one."
    )
    return make("Class by class", heads, rows, caption)


def _calibration(sure: pd.DataFrame) -> Picture:
    ordered = sure.sort_values("error", kind="stable")
    low, high = (f"{row['variant']}, {percent(row['error'])}" for row in ordered.iloc[[0, -1]].to_dict("records"))
    ends = f"Least: {low}; most: {high} points; the table below has their intervals."
    rows = [
        [
            Cell(row["variant"], name=True), Cell(row["family"]),
            Cell(percent(row["error"]), bracket(row["low"], row["high"], percent)), Cell(percent(row["plain"])),
            Cell(percent(row["expected"])),
            Cell(points(row["excess"]), bracket(row["excess_low"], row["excess_high"], points)),
            Cell(str(row["seeds"])),
        ]
        for row in sure.to_dict("records")
    ]  # fmt: skip
    heads = [
        "Variant", "Family", "Calibration error", "Plain estimate", "A perfect one", "Confidence minus accuracy",
        "Seeds",
    ]  # fmt: skip
    return Picture(
        name="calibration",
        title="How sure, and how often right",
        caption=prose(CALIBRATION).format(bins=BINS, images=span(sure["images"])),
        alt=f"Expected calibration error of {len(sure)} variants with intervals. {ends}",
        figure=plots.calibration(sure),
        grids=[make("Calibration", heads, rows, CALIBRATION_GRID)],
    )


def _groups(study: Study, means: pd.DataFrame, accuracies: pd.DataFrame) -> Picture:
    order = [name for name, _ in named_groups(study)]
    chance = (study.plan.get("data") or {}).get("chance")
    best = {family: name for family, name in representatives(study).items() if name in set(means["variant"])}
    words = [_stand_for(best), *_group_verdicts(study, best, accuracies, order)] if len(best) > 1 else []
    return Picture(
        name="test_groups",
        title="What each can and cannot do",
        caption=prose(GROUPS).format(chance=MISSING if chance is None else percent(chance)),
        alt=f"Test accuracy of {means['variant'].nunique()} variants on {', '.join(order)}; the table has the numbers.",
        figure=plots.groups(means, order=order, chance=chance),
        words=words,
        grids=[_group_grid(means, order, chance)],
    )


def _group_verdicts(
    study: Study, best: dict[str, str], accuracies: pd.DataFrame, order: Sequence[str]
) -> Iterator[Phrase]:
    """The baseline's family against each other, part by part, seed by seed: one family of comparisons each."""
    wide = accuracies.pivot_table(index=["group", "seed"], columns="variant", values="accuracy")
    (_, first), *others = best.items()
    for _, second in others:
        like, _ = like_seeds(study, *(seed_records(study, name) for name in (first, second)))
        gaps = (wide[first] - wide[second]).dropna()
        gaps = gaps[gaps.index.get_level_values("seed").isin(like)]
        units = {group: gaps.loc[[group]].to_numpy() for group in order if group in gaps.index.get_level_values(0)}
        compared = stats.family(units, settings_of(study, "accuracy"))
        said = [(Name(group), f": {c.verdict.text}") for group, c in compared.items()]
        if said:
            yield (Name(first), " against ", Name(second), ", by part: ", *listed(said, last="; ", between="; "), ".")


def _group_grid(means: pd.DataFrame, order: Sequence[str], chance: float | None) -> Grid:
    known = {(row["variant"], row["group"]): row for row in means.to_dict("records")}
    sizes = means.drop_duplicates("group").set_index("group")["images"]
    rows = []
    for row in means.drop_duplicates("variant").to_dict("records"):
        cells = []
        for group in order:
            found = known.get((row["variant"], group))
            if found is None:
                cells.append(Cell(MISSING))
                continue
            lost = chance is not None and found["low"] <= chance
            small = bracket(found["low"], found["high"], percent)
            cells.append(Cell(percent(found["value"]), small, tone="bad" if lost else ""))
        rows.append([Cell(row["variant"], name=True), Cell(row["family"]), *cells])
    heads = ["Variant", "Family", *(f"{group} ({sizes[group]} images)" for group in order if group in sizes)]
    caption = prose(GROUPS_GRID).format(seeds=span(means["n"]))
    return make(column("accuracy").title, heads, rows, caption)
