"""Sections on what a training left: accuracy by class, calibration, and accuracy by test group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import pandas as pd

from vitbench import plots, stats
from vitbench.report import cells
from vitbench.report.cells import Cell, Row, bracket
from vitbench.report.elements import Columns, Section, Table, prose, span
from vitbench.tables.comparable import comparable_seeds, seed_records
from vitbench.tables.compare import settings_of
from vitbench.tables.image_groups import group_accuracies, group_means, named_groups
from vitbench.tables.model_families import families, representatives
from vitbench.tables.study import Study
from vitbench.tables.training_outcomes import calibration, class_differences
from vitbench.utils.format import MISSING, percent, points

CLASSES_DRAWN = 24
"""Rows of the class table and figure; of more classes, those that differ most."""

FAMILIES_COMPARED = 3
"""Other families that have a class section of their own."""

BINS = 15

CLASSES = """
    Accuracy of each class, {first} ({own}) minus {second} ({family}), each the best of its family on the validation
    split; mean over seeds, with the interval at the level that Holm's procedure tested over all classes. With {images}
    test images a class, one image is {point} points.{left_out}"""
CLASS_TABLE = """
    Accuracy by class as means over {seeds} seeds (no interval); the difference, seed by seed, has one. {first} is
    better in {better} and worse in {worse} of {all} classes."""
CALIBRATION = """
    Expected calibration error over {bins} confidence bins: the mark is the estimate without the bias of {images} test
    images, its bar the 95% interval of a bootstrap over images, the cross the plain, biased estimate. The intervals do
    not shrink with more seeds, because all seeds share the test images."""
CALIBRATION_TABLE = """
    In points, means over seeds. Plain estimate and that of a perfectly calibrated model have no interval; confidence
    minus accuracy has its 95% interval over seeds, and above 0 the model is overconfident."""
GROUPS = """
    Test accuracy by group of test images: a row is a variant, a mark a group with its 95% interval over seeds. The
    dotted line is chance ({chance}%)."""
GROUP_TABLE = """
    Test accuracy in percent, mean over {seeds} seeds with its 95% interval. Orange: the interval includes chance or
    lies below it."""
GROUP_VERDICTS = """
    The best of each family on the validation split, seed by seed. Holm's procedure covers the groups of a pair; over
    {seeds} seeds."""


def sections(study: Study) -> Iterator[Section]:
    """The sections for which the trials kept their predictions."""
    if named_groups(study):
        accuracies = group_accuracies(study)
        if len(accuracies):
            yield _groups(study, accuracies)
    if len(families(study)) > 1:
        yield from _classes(study)
        found = calibration(study)
        if len(found):
            yield _calibration(found)


def _classes(study: Study) -> Iterator[Section]:
    """The baseline's family against each other family, each by its best on the validation split."""
    (own, first), *others = representatives(study).items()
    for at, (family, second) in enumerate(others[:FAMILIES_COMPARED]):
        frame = class_differences(study, first, second)
        if len(frame):
            yield class_section(own, first, family, second, frame, name=f"classes{at + 1 if at else ''}")


def class_section(own: str, first: str, family: str, second: str, frame: pd.DataFrame, *, name: str) -> Section:
    """Accuracy by class of two variants, the best of the families ``own`` and ``family``."""
    drawn, left_out = frame, ""
    if len(frame) > CLASSES_DRAWN:
        most = frame["value"].abs().sort_values(ascending=False, kind="stable").index[:CLASSES_DRAWN]
        drawn = frame.loc[sorted(most)]
        left_out = f" Shown: the {CLASSES_DRAWN} of {len(frame)} classes with the largest differences."
    caption = prose(CLASSES).format(
        first=first, own=own, second=second, family=family, left_out=left_out, images=span(frame["images"]),
        point=f"{100 / frame['images'].median():.2g}",
    )  # fmt: skip
    return Section(
        name=name,
        title=f"Accuracy by class: {own} against {family}",
        caption=caption,
        alt=f"Difference in accuracy of {len(drawn)} classes, {first} minus {second}; the table below has the numbers.",
        figure=plots.differences(drawn, first=first, second=second),
        tables=[_class_table(frame, drawn, first, second)],
    )


def _class_table(frame: pd.DataFrame, drawn: pd.DataFrame, first: str, second: str) -> Table:
    columns: Columns = {
        "Class": lambda row: cells.name(row["name"]),
        "Test images": lambda row: cells.number(row["images"]),
        f"{first} (%)": lambda row: cells.number(row["first"], percent),
        f"{second} (%)": lambda row: cells.number(row["second"], percent),
        "Difference (points)": lambda row: cells.estimate(row["value"], row["low"], row["high"], points),
        "Verdict": cells.judged,
    }
    better, worse = (int((frame["kind"] == kind).sum()) for kind in ("better", "worse"))
    caption = prose(CLASS_TABLE).format(seeds=span(frame["n"]), first=first, better=better, worse=worse, all=len(frame))
    return Table.of("Accuracy by class", drawn.to_dict("records"), columns, caption)


def _calibration(found: pd.DataFrame) -> Section:
    columns: Columns = {
        "Variant": lambda row: cells.name(row["variant"]),
        "Family": lambda row: cells.words(row["family"]),
        "Calibration error": lambda row: cells.estimate(row["error"], row["low"], row["high"], percent),
        "Plain estimate": lambda row: cells.number(row["plain"], percent),
        "If perfectly calibrated": lambda row: cells.number(row["expected"], percent),
        "Confidence minus accuracy": lambda row: cells.measured(row, "excess", points),
        "Seeds": lambda row: cells.number(row["seeds"]),
    }
    ordered = found.sort_values("error", kind="stable").iloc[[0, -1]]
    low, high = (f"{row['variant']}, {percent(row['error'])}" for row in ordered.to_dict("records"))
    return Section(
        name="calibration",
        title="Calibration",
        caption=prose(CALIBRATION).format(bins=BINS, images=span(found["images"])),
        alt=f"Expected calibration error of {len(found)} variants with intervals. Least: {low}; most: {high} points; "
        "the table below has their intervals.",
        figure=plots.calibration(found),
        tables=[Table.of("Calibration", found.to_dict("records"), columns, CALIBRATION_TABLE)],
    )


def _groups(study: Study, accuracies: pd.DataFrame) -> Section:
    means, order = group_means(accuracies), [group for group, _ in named_groups(study)]
    chance = (study.plan.get("data") or {}).get("chance")
    best = [variant for variant in representatives(study).values() if variant in set(means["variant"])]
    verdicts = _group_verdicts(study, best, accuracies, order) if len(best) > 1 else []
    return Section(
        name="test_groups",
        title="Accuracy by test group",
        caption=prose(GROUPS).format(chance=MISSING if chance is None else percent(chance)),
        alt=f"Test accuracy of {means['variant'].nunique()} variants on {', '.join(order)}; the table has the numbers.",
        figure=plots.groups(means, order=order, chance=chance),
        tables=[_group_table(means, order, chance), *verdicts],
    )


def _group_verdicts(
    study: Study, best: Sequence[str], accuracies: pd.DataFrame, order: Sequence[str]
) -> Iterator[Table]:
    """The best of the baseline's family against the best of each other family, group by group and seed by seed."""
    wide = accuracies.pivot_table(index=["group", "seed"], columns="variant", values="accuracy")
    first, *others = best
    rows: list[tuple[str, str, stats.Comparison]] = []
    for second in others:
        like, _ = comparable_seeds(study, *(seed_records(study, variant) for variant in (first, second)))
        gaps = (wide[first] - wide[second]).dropna()
        gaps = gaps[gaps.index.get_level_values("seed").isin(like)]
        units = {group: gaps.loc[[group]].to_numpy() for group in order if group in gaps.index.get_level_values(0)}
        compared = stats.compare_with_holm(units, settings_of(study, "accuracy"))
        rows += [(group, second, comparison) for group, comparison in compared.items()]
    columns: Columns = {
        "Group": lambda row: cells.name(row[0]),
        "Variant": lambda _: cells.name(first),
        "Against": lambda row: cells.name(row[1]),
        "Difference (points)": lambda row: cells.estimate(row[2].value, row[2].low, row[2].high, points),
        "Verdict": lambda row: cells.verdict(row[2].verdict.text, row[2].verdict.kind),
    }
    if rows:
        seeds = span(comparison.n for _, _, comparison in rows)
        yield Table.of("Verdicts by test group", rows, columns, GROUP_VERDICTS.format(seeds=seeds))


def _group_table(means: pd.DataFrame, order: Sequence[str], chance: float | None) -> Table:
    known: Mapping[tuple[str, str], Row] = {(row["variant"], row["group"]): row for row in means.to_dict("records")}
    sizes = means.drop_duplicates("group").set_index("group")["images"]

    def accuracy(group: str, row: Row) -> Cell:
        found = known.get((row["variant"], group))
        if found is None:
            return cells.NOTHING
        lost = chance is not None and found["low"] <= chance
        return Cell(percent(found["value"]), bracket(found["low"], found["high"], percent), "bad" if lost else "")

    columns: Columns = {
        "Variant": lambda row: cells.name(row["variant"]),
        "Family": lambda row: cells.words(row["family"]),
        **{f"{group} ({sizes[group]} images)": partial(accuracy, group) for group in order if group in sizes},
    }
    rows = means.drop_duplicates("variant").to_dict("records")
    return Table.of("Test accuracy (%)", rows, columns, GROUP_TABLE.format(seeds=span(means["n"])))
