"""Variants under a made machine's roofs, worked by hand; and nothing where something is missing."""

import pytest

from tests.support.made_roofs import LATENCY_S, NAMES, under_roofs
from vitbench import report
from vitbench.tables.frames import table, timings
from vitbench.tables.roofline import FIELDS, machines, points
from vitbench.tables.study import read_study


def folder(tmp_path, **lacking):
    return under_roofs(tmp_path / "r", **lacking)


def placed(made):
    study = read_study(made.folder)
    return points(study, timings(study)).set_index("variant")


def test_by_hand(tmp_path):
    """80 MFLOP in 4 ms are 20 GFLOP/s, a fifth of 100; drift moves all a little, and alike."""
    made = folder(tmp_path)
    found = placed(made)
    assert list(found.reset_index().columns) == list(FIELDS)
    assert list(found["bound"]) == ["bandwidth", "compute", "launch"]
    drift = found["seconds"] / [LATENCY_S[name] for name in found.index]
    assert drift.max() == pytest.approx(drift.min())
    assert list(found["achieved"] * drift) == pytest.approx([20e9, 80e9, 8e9])
    assert list(found["share"] * drift) == pytest.approx([0.2, 0.8, 0.08])
    assert list(found["intensity"]) == [5, 20, 8]
    assert list(found["intensity_at_most"]) == [80, 80, 16]
    assert list(found["launch_share"] * drift) == pytest.approx([0.125, 0.25, 0.8])
    assert list(found["roof_share"] * drift) == pytest.approx([20 / 50, 0.8, 8 / 80])
    assert (found["share_low"] < found["share"]).all()
    assert (found["share_high"] > found["share"]).all()
    (machine,) = machines(read_study(made.folder)).values()
    assert machine.name == "float32, 1 thread"
    assert machine.flop_per_s.half_width == pytest.approx(100e9 * 0.01 * 2.5706 / 6**0.5, rel=1e-3)  # t on 5


def test_the_columns_stand_in_the_table_where_something_was_measured(tmp_path):
    made = folder(tmp_path)
    made.append("throughput", "wide", session="s9", values={"batch_size": 8}, samples={
        "rate": {"unit": "img/s", "values": [10.0, 12.0]}, "energy": {"unit": "J/img", "values": [0.5, 0.7]},
    })  # fmt: skip
    shown = table(read_study(made.folder)).set_index("variant")
    assert list(shown["bound"]) == ["bandwidth", "compute", "launch"]
    assert shown.loc["wide", "achieved_share"] == pytest.approx(0.8, rel=0.05)
    assert shown.loc["wide", "energy_j_per_image"] == pytest.approx(0.6)
    assert shown["energy_j_per_image"].isna().sum() == 2
    assert list(shown["status"]) == ["ok"] * 3


@pytest.mark.parametrize("lacking", ["traffic", "ceilings"])
def test_an_older_folder_shows_nothing_and_no_error(tmp_path, lacking):
    made = folder(tmp_path, **{lacking: False})
    assert placed(made).empty
    shown = table(read_study(made.folder))
    assert not {"achieved_share", "bound", "energy_j_per_image"} & set(shown.columns)
    report.write(made.folder)
    assert not (made.folder / "figures" / "roofline.svg").exists()
    assert "## Bottlenecks" not in (made.folder / "report.md").read_text()


def test_a_ceiling_of_another_environment_says_nothing_of_a_latency(tmp_path):
    made = folder(tmp_path, ceilings=False)
    made.ceiling(flop_per_s=100e9, bytes_per_s=10e9, ops_per_s=2e5)
    lines = (made.folder / "records.jsonl").read_text().splitlines()
    from vitbench.records.record import Record

    kept = [Record.from_line(line.encode()) for line in lines]
    import dataclasses

    moved = [dataclasses.replace(r, environment="e2") if r.kind == "ceiling" else r for r in kept]
    (made.folder / "records.jsonl").write_text("".join(record.line() + "\n" for record in moved))
    assert placed(made).empty


def test_a_count_that_misses_something_gives_no_share(tmp_path):
    made = folder(tmp_path)
    values = {"params": 1000, "macs": 1, "flops": 2, "activations": 1, "complete": False, "methods": {}, "findings": []}
    made.append("cost", "wide", values=values)
    assert list(placed(made).index) == ["baseline", "tiny"]


def test_a_roof_that_was_not_measured_and_a_start_that_was_not(tmp_path):
    made = folder(tmp_path, ceilings=False)
    made.ceiling(flop_per_s=100e9, bytes_per_s=10e9, ops_per_s=None)
    found = placed(made)
    assert list(found["bound"]) == ["bandwidth", "compute", "bandwidth"]
    assert found["launch_share"].isna().all()
    made.ceiling(flop_per_s=None, bytes_per_s=10e9, ops_per_s=1e5)
    assert placed(made).empty  # the latest counts, and has no ceiling of products


@pytest.mark.slow
def test_the_report_says_who_is_held_back_by_what(tmp_path):
    made = folder(tmp_path)
    report.write(made.folder)
    text = (made.folder / "report.md").read_text().replace("\N{NARROW NO-BREAK SPACE}", " ")
    for words in (
        "## Bottlenecks (roofline)",
        "| `float32, 1 thread` | 100 GFLOP/s [99.0, 101] | 10.0 GB/s [9.90, 10.1] |             5.00 [4.95, 5.05] |",
        "95% intervals over 6 windows",
        "95% intervals over 12 blocks and 6 windows",
        "| `baseline` | bandwidth  | 20.0 [",
        "| `wide`     | compute    | 79.9 [",
        "| `tiny`     | launch     |    8.0 [",
    ):
        assert words in text
    svg = (made.folder / "figures" / "roofline.svg").read_text()
    assert all(f'id="point-:{name}"' in svg for name in NAMES)
    before = (made.folder / "figures" / "roofline.png").read_bytes()
    report.write(made.folder)
    assert (made.folder / "figures" / "roofline.svg").read_text() == svg
    assert (made.folder / "figures" / "roofline.png").read_bytes() == before


@pytest.mark.parametrize(
    ("energy", "joules", "said"),
    [
        ({"reason": "this machine shows no energy counter"}, [], "not measured: this machine shows no energy counter."),
        (
            {"source": "RAPL (package-0)"},
            [0.5, 0.7],
            "over 2 windows, no interval. Source: RAPL (package-0).",
        ),
    ],
)
def test_the_report_says_how_energy_was_counted_or_why_not(tmp_path, energy, joules, said):
    made = folder(tmp_path)
    samples = {"rate": {"unit": "img/s", "values": [10.0, 12.0]}}
    samples |= {"energy": {"unit": "J/img", "values": joules}} if joules else {}
    for name in NAMES:
        values = {"batch_size": 8, "window_s": 2.0, "energy": energy}
        made.append("throughput", name, session="s9", values=values, samples=samples)
    report.write(made.folder)
    text = (made.folder / "report.md").read_text()
    assert said in text
    assert ("Energy per image (J)" in text) == bool(joules)
