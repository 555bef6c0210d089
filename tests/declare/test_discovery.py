"""Ablation files are found and listed without being executed, and broken ones answered with file and line."""

import pytest

from vitbench.declare import discovery
from vitbench.utils.errors import UserError

GOOD = '''"""Does depth help?

    python -m vitbench.ablate mine        # about a second

Expected: yes.
"""
from vitbench import Ablation, ViTConfig

ABLATION = Ablation(question="Does depth help?", baseline=ViTConfig(), axes={"depth": (1, 2)})
'''


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "ablations").mkdir()
    monkeypatch.chdir(tmp_path)

    def write(text, name="mine"):
        path = tmp_path / "ablations" / f"{name}.py"
        path.write_text(text)
        return path

    return write


def test_the_shipped_ablations_are_found_from_anywhere(here):
    assert {"pos_embed", "patch_size", "depth", "heads", "vit_vs_resnet"} <= {x.name for x in discovery.listings()}


@pytest.mark.parametrize("name", [x.name for x in discovery.listings() if x.shipped])
def test_every_shipped_ablation_opens_with_question_command_duration_and_expectation(name):
    loaded = discovery.load(name)
    listing = next(x for x in discovery.listings() if x.name == name)
    assert loaded.summary.startswith(loaded.ablation.question)
    assert f"python -m vitbench.ablate {name} " in loaded.summary
    assert listing.question == loaded.ablation.question
    assert listing.duration
    assert "Expected: " in loaded.summary
    assert all(claim.source for claim in loaded.ablation.claims)
    assert len(loaded.path.read_text().splitlines()) <= 30


def test_listing_executes_nothing(here):
    path = here(GOOD + "\nraise SystemExit('executed')\n")
    listing = next(x for x in discovery.listings() if x.name == "mine")
    assert (listing.question, listing.duration, listing.shipped) == ("Does depth help?", "about a second", False)
    assert discovery.read(path).broken == ""


def test_ones_own_file_hides_a_shipped_one(here):
    here(GOOD, "pos_embed")
    assert discovery.load("pos_embed").ablation.question == "Does depth help?"
    assert [x.shipped for x in discovery.listings() if x.name == "pos_embed"] == [False]


def test_a_path_works_too(here):
    path = here(GOOD)
    loaded = discovery.load(str(path))
    assert (loaded.name, loaded.path) == ("mine", path)


def test_helpers_beside_the_file_are_found(here):
    here("DEPTHS = (1, 3)", "_depths_of_this_test")
    here(GOOD.replace("ABLATION", "from _depths_of_this_test import DEPTHS\nABLATION").replace("(1, 2)", "DEPTHS"))
    assert discovery.load("mine").ablation.axes == {"depth": (1, 3)}
    assert "_depths_of_this_test" not in {x.name for x in discovery.listings()}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def broken(:\n", "line 1"),
        (GOOD.replace('depth": (1', 'dept": (1'), "line 9: unknown ViTConfig field 'dept'"),
        (GOOD + "1 / 0\n", "line 10: ZeroDivisionError"),
        ("x = 1\n", "defines no ABLATION"),
        (GOOD.replace("ABLATION =", "ABLATON ="), "it has ABLATON"),
    ],
)
def test_a_broken_file_is_named_with_its_line(here, text, words):
    path = here(text)
    with pytest.raises(UserError) as caught:
        discovery.load("mine")
    assert str(path.name) in str(caught.value)
    assert words in str(caught.value)


def test_a_broken_file_is_listed_as_broken(here):
    here("def broken(:\n")
    assert "line 1" in next(x for x in discovery.listings() if x.name == "mine").broken


def test_an_unknown_name_is_answered_with_the_nearest(here):
    with pytest.raises(UserError, match="did you mean 'pos_embed'"):
        discovery.find("pos_embde")
    with pytest.raises(UserError, match="--list"):
        discovery.find("no/such/file.py")
