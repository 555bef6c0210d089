"""Generic estimates of quantities that vitbench does not know, worked by hand."""

import dataclasses

import numpy as np
import pytest

from tests.support.made_records import Made
from vitbench import report, tables
from vitbench.declare.quantities import Column, Quantity
from vitbench.declare.quantities.column import with_interval
from vitbench.report import quantities as quantity_tables
from vitbench.tables.estimates import against_baseline

T_1, T_2 = 12.706205, 4.302653
"""Quantiles .975 of Student's t on one and two degrees of freedom."""


def declared(path, **changes):
    column = Column(name="loss", path=path, title="Loss", better="lower")
    return Quantity(
        **{"kind": "loss", "measure": "mine:measure", "columns": with_interval(column), "section": "Loss", **changes}
    )


@pytest.fixture
def made(tmp_path):
    """A folder of two variants, whose plan declares the quantity; then add records."""

    def make(quantity):
        return Made(tmp_path, [{"name": "a"}, {"name": "b"}], plan={"quantities": [quantity.as_dict()]})

    return make


def row(made, variant):
    table = tables.load(made.folder).set_index("variant")
    return table.loc[variant, ["loss", "loss_low", "loss_high"]].astype(float).tolist()


def compared(made, quantity):
    study = tables.read_study(made.folder)
    return against_baseline(study, quantity, quantity.columns[0], "b")


def test_a_scalar_is_shown_as_it_is(made):
    quantity = declared("values.deep.loss", compare="ratio")
    made = made(quantity)
    for name, loss in (("a", 4), ("b", 5)):
        made.append("loss", name, values={"deep": {"loss": loss}})
    assert row(made, "b") == pytest.approx([5, np.nan, np.nan], nan_ok=True)
    found, reason = compared(made, quantity)
    assert (found.value, reason) == (pytest.approx(1.25), "")
    assert np.isnan(found.low)


@pytest.mark.parametrize("log", [False, True])
def test_windows_have_the_interval_of_their_mean(made, log):
    quantity = declared("samples.loss", estimate="windows", per="session", compare="difference")
    quantity = dataclasses.replace(quantity, columns=[dataclasses.replace(c, log=log) for c in quantity.columns])
    made = made(quantity)
    for name, windows in (("a", [1.0, 1.0, 1.0]), ("b", [2.0, 4.0, 8.0])):
        made.append("loss", name, session="s", samples={"loss": {"unit": "1", "values": windows}})
    mean, spread = (np.log(4), np.log(2)) if log else (14 / 3, np.std([2, 4, 8], ddof=1))
    half = T_2 * spread / np.sqrt(3)
    expected = np.array([mean, mean - half, mean + half])
    assert row(made, "b") == pytest.approx(np.exp(expected) if log else expected)
    found, _ = compared(made, quantity)
    assert found.value == pytest.approx(11 / 3)
    assert found.low == pytest.approx(11 / 3 - T_2 * np.std([1, 3, 7], ddof=1) / np.sqrt(3))


def test_blocks_are_represented_by_their_medians(made):
    quantity = declared("samples.loss", estimate="blocks", per="session", compare="ratio")
    made = made(quantity)
    for name, factor in (("a", 1), ("b", 3)):
        calls = [[factor * x for x in calls] for calls in ([1.0, 2.0, 90.0], [4.0, 4.0, 4.0])]
        made.append("loss", name, session="s", samples={"loss": {"unit": "s", "values": calls}})
    half = T_1 * np.std([6, 12], ddof=1) / np.sqrt(2)
    assert row(made, "b") == pytest.approx([9, 9 - half, 9 + half])
    found, _ = compared(made, quantity)
    assert [found.value, found.low, found.high] == pytest.approx([3, 3, 3])


def test_crossed_seeds_are_paired(made):
    quantity = declared("values.loss", estimate="crossed", per="seed", compare="difference", must_match=())
    made = made(quantity)
    for name, losses in (("a", [1.0, 2.0, 5.0]), ("b", [2.0, 4.0])):
        for seed, loss in enumerate(losses):
            made.append("loss", name, seed=seed, values={"loss": loss})
    half = T_1 * np.std([2, 4], ddof=1) / np.sqrt(2)
    assert row(made, "b") == pytest.approx([3, 3 - half, 3 + half])
    found, _ = compared(made, quantity)
    assert (found.value, found.n) == (pytest.approx(1.5), 2)


def test_what_must_match_and_does_not_is_not_compared(made):
    quantity = declared("values.loss", compare="ratio", must_match=("host",))
    made = made(quantity)
    made.append("loss", "a", values={"loss": 1.0})
    made.on(host="bench-2")
    made.append("loss", "b", values={"loss": 2.0})
    found, reason = compared(made, quantity)
    assert found is None
    assert reason == "not compared: host differs (bench-2 against bench-1)"
    assert reason in report.write(made.folder).with_suffix(".md").read_text()


def test_the_section_shows_values_intervals_and_the_comparison(made):
    quantity = declared("samples.loss", estimate="windows", per="session", compare="ratio", note="Whatever it is.")
    made = made(quantity)
    made.append("loss", "a", session="s", samples={"loss": {"unit": "1", "values": [1.0, 1.0, 1.0]}})
    (grid,) = quantity_tables.tables(tables.read_study(made.folder)).values()
    assert (grid.title, grid.heads) == ("Loss", ["Variant", "Loss", "Ratio to the baseline"])
    assert [[cell.text for cell in cells] for cells in grid.rows] == [
        ["a", "1.00", "baseline"],
        ["b", "–", "not measured"],
    ]
    assert "Whatever it is. Mean over 3 windows" in grid.caption


def test_records_of_a_quantity_that_the_plan_does_not_declare_are_left_alone(tmp_path):
    made = Made(tmp_path, [{"name": "a"}, {"name": "b"}])
    made.append("loss", "a", values={"loss": 1.0}, status="failed", reason="no")
    assert not {"loss"} & set(tables.load(tmp_path).columns)
    assert tables.load(tmp_path)["status"].isna().all()
