"""The command: requests it refuses, its text and JSON on this machine, and its exit status."""

import json
from dataclasses import replace

import pytest

from vitbench.doctor import __main__ as doctor
from vitbench.doctor import display, self_check
from vitbench.doctor.self_check import FalseClaims
from vitbench.measure.roofline import ceilings
from vitbench.stats import wilson_interval


@pytest.mark.parametrize(
    ("argv", "facts"),
    [
        (["--comparisons", "0"], "--comparisons 0 is too few"),
        (["--budget", "0"], "--budget 0 is too short"),
        (["--threads", "0"], "--threads 0 is too few"),
        (["--device", "tpu"], "device 'tpu'"),
    ],
)
def test_an_invalid_request_is_refused_in_one_sentence(argv, facts, capsys):
    assert doctor.main(argv) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("vitbench: ")
    assert facts in line


@pytest.fixture(scope="module")
def small():
    """Ceilings that take little time and memory, and a short sleep."""
    real = ceilings.ceilings
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ceilings, "SIZES", (64,))
        patch.setattr(ceilings, "MIN_BUFFER", 2**20)
        patch.setattr("vitbench.devices.cpu.Cpu.last_level_cache", lambda _: None)
        patch.setattr(ceilings, "ceilings", lambda *args, **rest: real(*args, windows=2, window_s=0.01, **rest))
        patch.setattr(doctor, "SLEEP_S", 0.1)
        patch.setattr(self_check, "SEVEN_MS", replace(self_check.SEVEN_MS, patch_size=16, embed_dim=24, depth=1))
        yield


@pytest.fixture(scope="module")
def examined(small):
    """One examination of this machine, and the progress lines it printed."""
    shown = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vitbench.utils.cli.progress", shown.append)
        return doctor.examine(doctor.Options(comparisons=3, budget=0.3, device="cpu")), shown


def test_the_progress_of_the_comparisons_is_shown(examined):
    lines = [text for text in examined[1] if text.startswith("A/A")]
    assert lines == [f"A/A comparison {n} of 3" for n in (1, 2, 3)]


def test_the_results_as_json(examined, capsys, monkeypatch):
    monkeypatch.setattr(doctor, "examine", lambda _: examined[0])
    status = doctor.main(["--json"])
    found = json.loads(capsys.readouterr().out)
    claims = found["false_claims"]
    assert claims["n"] == 3
    assert status == (0 if claims["claims"] == 0 else 1)
    assert claims["interval"]["low"] <= claims["rate"] <= claims["interval"]["high"]
    assert found["smallest_effect"]["blocks"] >= 6
    assert found["smallest_effect"]["share"] > 0
    assert [each["values"]["dtype"] for each in found["ceilings"]] == ["float32", "bfloat16", "float16"]
    assert found["ceilings"][0]["values"]["matmul_flop_per_s"] > 0
    assert len(found["ceilings"][0]["samples"]["matmul"]["values"]) == 2
    assert found["environment"]["packages"]["torch"]
    assert found["grade"] in {"A", "B", "C", "D", "not available"}
    assert all(each.keys() == {"do", "because"} for each in found["advice"])
    assert {"code", "torch_threads", "device", "allocator", "load", "clock", "system", "energy"} < found.keys()
    assert {"pressure", "steal", "others", "migrations", "throttled"} < found["asleep"].keys() == found["timing"].keys()


MISSED = FalseClaims(100, 11, 4, 20.0, "C", wilson_interval(11, 100))


@pytest.mark.parametrize(
    ("claims", "status", "facts"),
    [
        (MISSED, 1, ["do not trust", "noise grade C", "11 of 100", "11.0% [6.3, 18.6]", "10%, MISSED", "4 more"]),
        (
            replace(MISSED, claims=10, grade="D", invalid=0),
            0,
            ["can be trusted", "latencies are withheld", "noise grade D", "10 of 100", "10%, reached"],
        ),
    ],
)
def test_the_target_decides_the_exit_status(examined, monkeypatch, claims, status, facts):
    found = replace(examined[0], false_claims=claims)
    monkeypatch.setattr(doctor, "examine", lambda _: found)
    assert doctor.main([]) == status
    text = display.as_text(found)
    assert all(fact in text for fact in facts)
    for title in ("Versions", "Machine", "Current load", "Self-check", "Ceilings (cpu, 1 thread", "Advice"):
        assert f"\n{title}" in text


@pytest.mark.nightly("timing")
@pytest.mark.usefixtures("small")
def test_a_hundred_comparisons_of_a_model_with_itself(capsys):
    """The target is 10 in 100; 20 are what chance leaves to a rate of 8 % once in 20,000 runs."""
    status = doctor.main(["--json", "--device", "cpu", "--budget", "2"])
    found = json.loads(capsys.readouterr().out)
    assert found["false_claims"]["n"] == 100
    assert status == (found["false_claims"]["claims"] > 100 * display.TARGET)
    assert found["false_claims"]["claims"] <= 20
