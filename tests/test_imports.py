"""The doors between the wings open one way (DESIGN, "The plan"): checked in a fresh interpreter."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "pandas", "scipy", "sklearn", "seaborn")


def loaded_by(code):
    """Which heavy packages a piece of code loads, and the CPU seconds it took."""
    script = f"import sys, time\n{code}\nprint(time.process_time(), *[m for m in {HEAVY} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    seconds, *modules = out.splitlines()[-1].split()
    return float(seconds), set(modules)


@pytest.mark.parametrize(
    "module",
    [
        "vitbench",
        "vitbench.config",
        "vitbench.declare.ablation",
        "vitbench.declare.discovery",
        "vitbench.declare.zoo",
        "vitbench.utils.cli",
        "vitbench.doctor.advice",
    ],
)
def test_the_declare_wing_is_light(module):
    assert loaded_by(f"import {module}")[1] == set()


@pytest.mark.parametrize(
    "module", ["vitbench.records.reader", "vitbench.tables", "vitbench.plots", "vitbench.report", "vitbench.stats"]
)
def test_the_read_wing_never_loads_torch(module):
    assert "torch" not in loaded_by(f"import {module}")[1]


@pytest.mark.parametrize(
    ("module", "argument"),
    [
        ("ablate", "--help"),
        ("ablate", "--list"),
        ("measure.__main__", "--help"),
        ("doctor.__main__", "--help"),
        ("status", "--help"),
    ],
)
def test_help_and_list_answer_at_once(module, argument):
    code = f"""
from vitbench.{module} import main
try:
    main(["{argument}"])
except SystemExit:
    pass"""
    assert loaded_by(code)[1] == set()
    assert any(loaded_by(code)[0] < 0.5 for _ in range(3))  # a neighbour on the same core slows down once, not always


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
