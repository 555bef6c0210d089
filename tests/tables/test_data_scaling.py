"""Curves over training images: read from the plan, fitted through common seeds, compared size by size."""

import numpy as np
import pytest

from tests.support.made_curves import SIZES, curves
from tests.support.made_records import SETTINGS, Made
from vitbench import tables
from vitbench.tables import data_scaling


def test_curves_are_rows_that_differ_in_their_images_alone(tmp_path):
    found = data_scaling.data_curves(tables.read_study(curves(tmp_path).folder))
    assert [(c.name, c.family, tuple(c.images)) for c in found] == [("vit", "ViT", SIZES), ("resnet", "ResNet", SIZES)]
    assert [len(s) for s in found[0].seeds] == [6] * 5
    assert found[0].law.b.value == pytest.approx(0.8, abs=0.1)
    assert found[1].law.at(100) == pytest.approx(2.4 * 100**-0.6, rel=0.05)
    assert len(data_scaling.points(found)) == 2 * 5 * 6
    lines = data_scaling.lines(found, steps=7)
    assert (lines["low"] <= lines["accuracy"]).all()
    assert (lines["accuracy"] <= lines["high"]).all()
    assert lines["images"].min() == 50
    assert lines["images"].max() == 800


def test_without_such_an_axis_there_are_no_curves(tmp_path):
    made = Made(tmp_path, [{"name": "a"}, {"name": "b", "axes": {"depth": 2}}], axes={"depth": [2]})
    made.accuracy("a", [0.5], curves=False)
    assert data_scaling.data_curves(tables.read_study(made.folder)) == []


def test_few_sizes_are_a_curve_without_a_law(tmp_path):
    found = data_scaling.data_curves(tables.read_study(curves(tmp_path, sizes=(50, 400)).folder))
    assert [c.law for c in found] == [None, None]
    assert data_scaling.lines(found).empty


def test_older_plans_say_the_size_by_axis_and_data(tmp_path):
    axes = {"data.fraction": [0.5, 1.0]}
    variants = [{"name": "a", "axes": {"data.fraction": 1.0}}, {"name": "b", "axes": {"data.fraction": 0.5}}]
    study = tables.read_study(Made(tmp_path, variants, axes=axes).folder)
    assert [data_scaling.images(study, v) for v in study.variants] == [1077, 538]


def test_each_size_is_a_comparison_of_one_family(tmp_path):
    study = tables.read_study(curves(tmp_path).folder)
    vit, resnet = data_scaling.data_curves(study)
    ((one, other),) = data_scaling.curve_pairs([vit, resnet], "ViT")
    found = data_scaling.size_by_size(study, one, other).set_index("images")
    assert found.index.tolist() == list(SIZES)
    assert found.loc[50, "kind"] == "worse"
    assert found.loc[800, "kind"] == "better"
    seeds = [vit.seeds[0][s] - resnet.seeds[0][s] for s in range(6)]
    assert found.loc[50, "value"] == pytest.approx(np.mean(seeds))


def test_records_of_another_fraction_do_not_count(tmp_path):
    data = {**SETTINGS["data"], "fraction": 1.0, "per_class": None}
    variants = [{"name": "a", "axes": {"data.fraction": 1.0}}, {"name": "b", "axes": {"data.fraction": 0.5}}]
    made = Made(tmp_path, variants, axes={"data.fraction": [0.5, 1.0]}, settings={"data": data})
    made.accuracy("a", [0.9], curves=False, settings={"data": data})
    made.accuracy("b", [0.8], curves=False, settings={"data": {**data, "fraction": 0.5}})
    made.append("accuracy", "b", seed=1, settings={"device": "cpu", "data": {**data, "fraction": 0.25}},
                values={"accuracy": 0.1})  # fmt: skip
    assert tables.accuracy_seeds(tables.read_study(tmp_path))["accuracy"].tolist() == [0.9, 0.8]
