"""What an import brings with it, each in a fresh interpreter; the allowed imports are contracts in pyproject.toml."""

import json
import subprocess
import sys

import pytest

from vitbench.__main__ import COMMANDS

HEAVY = {"torch", "pandas", "scipy", "sklearn", "seaborn", "matplotlib"}


def in_fresh_interpreter(code):
    """What a piece of code leaves in ``found``, and the modules that it has loaded."""
    script = f"import json, sys\nfound = None\n{code}\nprint(json.dumps([found, sorted(sys.modules)]))"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    found, modules = json.loads(out.splitlines()[-1])
    return found, set(modules)


EVERYTHING = """
import importlib, pkgutil, types
import vitbench
packages, failed = [vitbench], []
for info in pkgutil.walk_packages(vitbench.__path__, "vitbench."):
    module = importlib.import_module(info.name)
    packages += [module] * info.ispkg
public = {p: {*getattr(p, "__all__", ()), *vars(p).get("__dir__", list)()} for p in packages}
found = {f"{p.__name__}.{n}": isinstance(getattr(p, n), types.ModuleType) for p in packages for n in public[p]}
"""


@pytest.mark.slow
def test_no_submodule_hides_a_public_name():
    """Importing a submodule sets an attribute of its package, which would win over a lazy name spelled the same."""
    modules, _ = in_fresh_interpreter(EVERYTHING)
    assert len(modules) > 80
    assert [name for name, is_module in modules.items() if is_module] == []


@pytest.mark.parametrize(
    "module",
    [
        "vitbench",
        "vitbench.declare.ablation",
        "vitbench.declare.discovery",
        "vitbench.declare.zoo",
        "vitbench.utils.cli",
        "vitbench.doctor.advice",
    ],
)
def test_what_declares_is_light(module):
    assert in_fresh_interpreter(f"import {module}")[1] & HEAVY == set()


@pytest.mark.parametrize(
    "module", ["vitbench.records.reader", "vitbench.tables", "vitbench.plots", "vitbench.report", "vitbench.stats"]
)
def test_what_reads_never_loads_torch(module):
    code = f"import {module} as package\nfor name in getattr(package, '__all__', ()): getattr(package, name)"
    assert "torch" not in in_fresh_interpreter(code)[1]


def help_of(main):
    return f"{main}\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass"


@pytest.fixture(scope="module")
def parser():
    """The modules that the parser of options loads of its own, to answer ``--help`` of a command of no options."""
    nothing = "import tyro\nmain = lambda argv: tyro.cli(dict[str, int], args=argv)"
    return in_fresh_interpreter(help_of(nothing))[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_loads_hardly_more_than_the_parser_of_options(command, parser):
    _, modules = in_fresh_interpreter(help_of(f"from {COMMANDS[command][0]} import main"))
    assert modules & HEAVY == set()
    assert len(modules) < 1.5 * len(parser)


def test_the_list_is_as_light_and_executes_no_ablation_file(tmp_path, parser):
    (tmp_path / "ablations").mkdir()
    (tmp_path / "ablations" / "mine.py").write_text('"""Is it executed?"""\nraise SystemExit(7)\n')
    code = f"""
import os
from vitbench.ablate import main
os.chdir({str(tmp_path)!r})
found = main(["--list"])"""
    status, modules = in_fresh_interpreter(code)
    assert status == 0
    assert modules & HEAVY == set()
    assert len(modules) < 1.5 * len(parser)


@pytest.mark.parametrize(
    "name", ["Ablation", "Claim", "ViTConfig", "ResNetConfig", "ExternalConfig", "build", "zoo", "load"]
)
def test_the_public_names_are_there(name):
    import vitbench

    assert callable(getattr(vitbench, name))
    assert name in dir(vitbench)


def test_a_name_that_is_not_there_is_an_attribute_error():
    import vitbench

    with pytest.raises(AttributeError, match="no_such_name"):
        _ = vitbench.no_such_name
