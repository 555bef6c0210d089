"""Sections on attention: attention distance, position-embedding similarity, and the receptive field beside them."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import pandas as pd

from vitbench import plots
from vitbench.report import cells
from vitbench.report.cells import Cell
from vitbench.report.elements import Columns, Section, Table, prose
from vitbench.tables.frames import attention_distances, position_similarities
from vitbench.tables.model_families import full_data_variants
from vitbench.tables.receptive_field import receptive_fields
from vitbench.tables.study import Study

LOOKED_AT = 64
"""Images that a trial looks at, the same number as in ``measure.accuracy``, which imports torch."""

DRAWN = 6
"""Variants that the colours of a figure tell apart."""

DISTANCE = """
    Distance in the image between a patch and the patches it attends to, weighted by attention and averaged over the
    first {images} validation images (ViT paper, figure 7): a dot is one head of one seed, the line the mean of a block,
    the dashed line the baseline's mean. The dotted line is uniform attention: a head below it attends locally."""
SIMILARITY = """
    Cosine similarity of the position embeddings of one trained seed (ViT paper, figure 7): the tile in row i and column
    j compares patch (i, j) with every patch. A bright spot that moves with the tile means that near patches have
    similar embeddings."""
ROPE = "For rope the figure compares the rotations of queries and keys, which training does not change."
SOME = "Of a large grid only the patches with the numbers at the side have a tile."
ABSENT = "Not shown, because they have no embedding per patch or too many patches: {names}."
REACH = """
    Left: attention distance, where a dot is one head of one seed and the line their mean. Right: half of the receptive
    field in closed form (Araujo et al. 2019), the farthest distance from which a feature can depend on the image; what
    a trained convolution uses is less."""
FIELDS = """
    Images are {side} px wide, and a layer is a convolution or a pooling. From the layer named in the last column on,
    every feature can depend on every pixel, as in the first block of a ViT."""


def sections(study: Study) -> Iterator[Section]:
    """The sections for which the trials kept attention."""
    distances = attention_distances(study)
    if len(distances):
        drawn = list(distances["variant"].unique())
        ends = f"from {distances['distance_px'].min():.2g} to {distances['distance_px'].max():.2g} px"
        validation = (study.plan.get("data") or {}).get("num_val", LOOKED_AT)
        yield Section(
            name="attention_distance",
            title="Attention distance",
            caption=prose(DISTANCE).format(images=min(LOOKED_AT, validation)),
            alt=f"Mean attention distance by block of {len(drawn)} variants, every head a dot, {ends}.",
            figure=plots.attention_distance(distances, variants=drawn, baseline=study.baseline),
        )
    similarities = position_similarities(study)
    if len(similarities):
        drawn = list(similarities["variant"].unique())
        least = similarities.groupby("variant", sort=False)["similarity"].min()
        yield Section(
            name="position_similarity",
            title="Position-embedding similarity",
            caption=" ".join(_similarity_caption(study, similarities, set(distances["variant"]) - set(drawn))),
            alt=f"Cosine similarity of the position embeddings of {len(drawn)} variants, a tile a patch. "
            f"Least similarity: {', '.join(f'{name} {value:.2f}' for name, value in least.items())} (no interval).",
            figure=plots.position_similarity(similarities, variants=drawn),
        )
    fields, own = receptive_fields(study), {v.name for v in full_data_variants(study)}
    distances = distances[distances["variant"].isin(own)]
    if len(distances) and len(fields):
        yield _reach(distances, fields)


def _similarity_caption(study: Study, similarities: pd.DataFrame, absent: Collection[str]) -> Iterator[str]:
    yield prose(SIMILARITY)
    shown = set(similarities["variant"])
    if any((v.config or {}).get("pos_embed") == "rope" for v in study.variants if v.name in shown):
        yield ROPE
    grids = similarities.groupby("variant")[["row", "column", "other_row", "other_column"]].nunique()
    if (grids["row"] < grids["other_row"]).any() or (grids["column"] < grids["other_column"]).any():
        yield SOME
    if absent:
        yield ABSENT.format(names=", ".join(v.name for v in study.variants if v.name in absent))


def _reach(distances: pd.DataFrame, fields: pd.DataFrame) -> Section:
    side = int(fields["image_px"].iloc[0])
    same = _same_fields(fields)
    lines = fields[fields["variant"].isin(same)].replace({"variant": same})
    vits, resnets = (list(dict.fromkeys(frame["variant"]))[:DRAWN] for frame in (distances, lines))
    more = [n for n, frame in (("ViTs", distances), ("ResNets", lines)) if len(set(frame["variant"])) > DRAWN]
    left_out = f" Shown: the first {DRAWN} {' and '.join(more)}." if more else ""

    def stages(own: pd.DataFrame) -> Cell:
        return Cell(" → ".join(map(str, own.groupby("stage", sort=False)["field_px"].last())))

    def covering(own: pd.DataFrame) -> Cell:
        found = own.loc[own["field_px"] >= 2 * side - 1, "layer"]
        return Cell(f"layer {int(found.iloc[0])}" if len(found) else "never")

    columns: Columns = {
        "Variant": lambda own: cells.name(own["variant"].iloc[0]),
        "Layers": lambda own: Cell(str(len(own))),
        "Receptive field by stage (px)": stages,
        "Covers the image from": covering,
    }
    groups = [own for _, own in fields.groupby("variant", sort=False)]
    return Section(
        name="reach",
        title="Receptive field",
        caption=prose(REACH) + left_out,
        alt=f"By depth, attention distance of {len(vits)} ViTs and half the receptive field of {len(groups)} ResNets; "
        "the table below has the latter.",
        figure=plots.reach(
            distances[distances["variant"].isin(vits)], lines[lines["variant"].isin(resnets)], image_px=side
        ),
        tables=[Table.of("Receptive fields", groups, columns, FIELDS.format(side=side))],
    )


def _same_fields(fields: pd.DataFrame) -> dict[str, str]:
    """The first ResNet of each sequence of receptive fields → its label; width does not change a receptive field."""
    shapes: dict[tuple[int, ...], list[str]] = {}
    for variant, own in fields.groupby("variant", sort=False):
        shapes.setdefault(tuple(own["field_px"]), []).append(str(variant))
    return {same[0]: same[0] + (f" and {len(same) - 1} more" if len(same) > 1 else "") for same in shapes.values()}
