"""The checks that the gate does not run have run on the code as it is."""

import json

import pytest

from tests.support import nightly
from tests.support.nightly import CHECKS, COLLECTED, code_of, outdated

CODE = '''"""What it is."""
# why
def f(x):
    """What it returns."""
    return x + 1  # more
'''


@pytest.mark.parametrize("name", [name for name, check in CHECKS.items() if check.sources])
def test_its_last_run_was_of_the_code_as_it_is(name, request):
    """Where it was not, the message says what to type."""
    if name not in nightly.recorded():
        pytest.skip(outdated(name, {}) or "")
    why = outdated(name, nightly.recorded(), request.config.stash[COLLECTED].get(name, ()))
    assert why is None, why


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_every_pattern_matches_a_file(check):
    assert [pattern for pattern in check.sources if not list(nightly.ROOT.glob(pattern))] == []


def test_the_words_of_a_file_do_not_count_and_its_code_does():
    assert code_of(CODE) == "def f(x):\n    return x + 1"
    assert code_of('x = """a"""  # why\n') == 'x = """a"""'


@pytest.fixture
def checked(tmp_path, monkeypatch):
    """A check of one file, and the summary of a run of it, in a folder of their own."""
    (tmp_path / "estimate.py").write_text(CODE)
    monkeypatch.setattr(nightly, "ROOT", tmp_path)
    monkeypatch.setattr(nightly, "SUMMARY", tmp_path / "nightly.json")
    monkeypatch.setitem(CHECKS, "kept", nightly.Check(("*.py",)))
    run = {"date": "2026-01-02", "seconds": 1, "sources": nightly.covered(CHECKS["kept"]), "tests": {"t::a": "passed"}}
    return tmp_path, {"kept": run}


def test_a_run_counts_until_the_code_or_the_tests_change(checked):
    folder, summary = checked
    assert outdated("kept", summary, ["t::a"]) is None
    assert "tests that it never ran (t::b)" in outdated("kept", summary, ["t::a", "t::b"])
    (folder / "estimate.py").write_text(CODE.replace("+ 1", "+ 2"))
    for words in ("estimate.py changed", "`nox -s nightly -- kept`", "commit nightly.json"):
        assert words in outdated("kept", summary)


def test_a_new_and_a_lost_file_and_a_failure_and_no_run_are_told(checked):
    folder, summary = checked
    assert "has never run" in outdated("kept", {})
    summary["kept"]["tests"]["t::a"] = "failed"
    assert "failed on 2026-01-02 (t::a)" in outdated("kept", summary)
    (folder / "more.py").write_text("x = 1\n")
    assert "more.py changed" in outdated("kept", summary)
    (folder / "estimate.py").unlink()
    assert "estimate.py, more.py changed" in outdated("kept", summary)


def test_what_came_out_is_merged_into_the_summary(checked, monkeypatch, capsys):
    monkeypatch.setitem(CHECKS, "other", nightly.Check(()))
    outcomes = iter(["passed", "failed", "passed"])
    monkeypatch.setattr(nightly, "run", lambda name: {"tests": {"t::a": next(outcomes)}})
    assert nightly.main(["kept"]) == 0
    assert nightly.main(["other"]) == 1
    assert nightly.main(["kept"]) == 0
    assert json.loads(nightly.SUMMARY.read_text()) == {
        "kept": {"tests": {"t::a": "passed"}}, "other": {"tests": {"t::a": "failed"}},
    }  # fmt: skip
    assert nightly.main(["nothing"]) == 2
    assert "there is no nightly check nothing: choose from timing" in capsys.readouterr().err
