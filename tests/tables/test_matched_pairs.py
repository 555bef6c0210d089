"""Pairs of equal cost: found by hand, and with the verdict of the pair."""

import pandas as pd
import pytest

from tests.support.made_records import Made
from vitbench import report, tables
from vitbench.tables.matched_pairs import MATCHED, matched

VARIANTS = [
    {"name": "vit"},
    {"name": "vit_small"},
    {"name": "resnet", "family": "ResNet"},
    {"name": "resnet_big", "family": "ResNet"},
]
PARAMS = {"vit": 1000, "vit_small": 500, "resnet": 509, "resnet_big": 5000}  # 509 is 1.8 % above 500
MACS = {"vit": 1000, "vit_small": 500, "resnet": 511, "resnet_big": 990}  # 2.2 % above; 1 % below
SECONDS = {"vit": 4e-3, "vit_small": 2e-3, "resnet": 3e-3, "resnet_big": 4.1e-3}  # 2.5 % above


def made(folder, variants=VARIANTS):
    """ResNets eight points ahead in each of six seeds, give or take."""
    found = Made(folder, variants, ablation="pairs", question="Which?")
    for v in variants:
        ahead = 0.08 if v.get("family") else 0.0
        found.cost(v["name"], params=PARAMS[v["name"]], macs=MACS[v["name"]])
        found.accuracy(v["name"], [0.8 + ahead + 0.001 * (seed % 3) * (1 + ahead) for seed in range(6)])
    found.timing({v["name"]: SECONDS[v["name"]] for v in variants})
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return made(tmp_path_factory.mktemp("matched")).folder


def frame(folder):
    study = tables.read_study(folder)
    return matched(study, tables.table(study))


def test_the_nearest_is_found_and_is_equal_only_within_its_tolerance(folder):
    found = frame(folder).set_index(["cost", "variant"])
    nearest = {
        ("params", "resnet"): ("vit_small", 1.018, True),
        ("params", "resnet_big"): ("vit", 5.0, False),
        ("macs", "resnet"): ("vit_small", 1.022, False),
        ("macs", "resnet_big"): ("vit", 0.99, True),
        ("latency_ms", "resnet"): ("vit", 0.75, False),
        ("latency_ms", "resnet_big"): ("vit", 1.025, True),
    }
    assert set(found.index) == set(nearest)
    for key, (other, ratio, within) in nearest.items():
        assert (found.loc[key, "other"], bool(found.loc[key, "within"])) == (other, within)
        assert found.loc[key, "ratio"] == pytest.approx(ratio, rel=0.01)


def test_the_verdict_is_of_the_pair_and_not_of_the_baseline(folder):
    found = frame(folder)
    assert set(found["kind"]) == {"better"}
    assert found["value"].to_numpy() == pytest.approx(0.08, abs=0.002)
    assert (found["n"] == 6).all()


def test_one_family_has_no_pairs(tmp_path):
    found = frame(made(tmp_path, VARIANTS[:2]).folder)
    pd.testing.assert_frame_equal(found, pd.DataFrame(columns=list(MATCHED)))


@pytest.mark.slow
def test_the_report_says_which_are_equal_and_which_are_not(folder):
    report.write(folder)
    text = (folder / "report.md").read_text(encoding="utf-8")
    rows = {tuple(line.split(" | ")[:2]): line for line in text.splitlines() if line.startswith(("| par", "| lat"))}
    cells = {(kind.strip("| "), name.strip(" `")): line for (kind, name), line in rows.items()}
    assert "`vit_small`" in cells["parameters", "resnet"]
    assert "better by 8.0 points" in cells["parameters", "resnet"]
    assert "better by 8.0 points" in cells["latency", "resnet_big"]
    assert "not of equal cost" in cells["parameters", "resnet_big"]
    assert (folder / "figures" / "matched.svg").is_file()
