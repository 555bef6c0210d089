from __future__ import annotations

import subprocess
import sys

import pytest

from vitbench.data import describe, load, names
from vitbench.utils.errors import UserError


@pytest.mark.parametrize("call", [describe, load])
def test_unknown_name_is_answered_with_the_nearest_and_what_exists(call):
    with pytest.raises(UserError, match=r"unknown data set 'digit': digits, .*did you mean 'digits'\?"):
        call("digit")


def test_unknown_kind_before_the_colon():
    with pytest.raises(UserError, match=r"unknown data set 'cifar11:x'.*cifar10:PATH"):
        load("cifar11:x")


@pytest.mark.parametrize(
    "name", ["folder", "folder:", "cifar10", "cifar100:", "imagenet", "mnist:", "fashion_mnist", "npz:", "python"]
)
def test_a_missing_path_is_asked_for(name):
    with pytest.raises(UserError, match="needs a path: write"):
        load(name)


def test_a_superfluous_path_is_refused():
    with pytest.raises(UserError, match="takes no path: write digits"):
        load("digits:here")


EXISTING = (
    *("digits", "quadrant", "majority", "same_different", "translation"),
    *("folder", "imagenet", "cifar10", "cifar100", "mnist", "fashion_mnist", "npz", "python"),
)


def test_names_are_what_load_takes(tmp_path):
    assert tuple(name.partition(":")[0] for name in names()) == EXISTING
    for name in names():
        kind, colon, _ = name.partition(":")
        if not colon:
            assert load(name).spec.name == name
            continue
        with pytest.raises(UserError, match=f"^(no module|{kind}: there is no )"):
            load(f"{kind}:{'no_such_module:f' if kind == 'python' else tmp_path / 'nothing'}")


def test_an_unknown_name_is_answered_with_all_that_exist():
    with pytest.raises(UserError, match="unknown data set 'x'") as caught:
        load("x")
    assert all(name in str(caught.value) for name in names())


@pytest.mark.slow
def test_describing_known_answer_tasks_does_not_import_scikit_learn():
    code = "import sys; from vitbench.data import describe; describe('quadrant'); sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
