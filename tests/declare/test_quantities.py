"""The registry of quantities: what a declaration may say, what is refused by name, and what a plan record keeps."""

import dataclasses
import importlib
import json
import subprocess
import sys

import pytest

from vitbench.declare import quantities
from vitbench.declare.measure import MeasureConfig
from vitbench.declare.quantities import BUILT_IN, Column, Quantity, find_quantity, kinds, read_quantities, register
from vitbench.utils.errors import ConfigError, UserError

OWN = Quantity(
    kind="sparsity",
    measure="mine:measure",
    per="session",
    settings=("device", "threads"),
    columns=(Column(name="sparsity", path="samples.zeros", show="percent"),),
    estimate="windows",
    compare="difference",
    section="Sparsity",
)


@pytest.fixture
def registry(monkeypatch):
    monkeypatch.setattr(quantities, "_registered", dict(BUILT_IN))


@pytest.mark.usefixtures("registry")
def test_a_registered_quantity_is_found_and_takes_its_place():
    register(dataclasses.replace(OWN, order=15))
    assert find_quantity("sparsity").section == "Sparsity"
    assert kinds()[:3] == ("cost", "sparsity", "memory")
    assert kinds("session") == ("sparsity", "latency", "train_step", "throughput")
    register(OWN)  # the ablation file may be executed twice
    assert kinds().count("sparsity") == 1


def test_an_unknown_kind_is_refused_by_name():
    with pytest.raises(UserError, match=r"unknown quantity 'latncy'.*did you mean 'latency'\?"):
        find_quantity("latncy")


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "cost"}, "vitbench itself measures 'cost'"),
        ({"columns": (Column(name="macs", path="values.x"),)}, "'cost' has a column 'macs'"),
        ({"kind": "latency_control"}, "'latency_control' cannot be the kind"),
        ({"kind": "plan"}, "'plan' cannot be the kind"),
        ({"measure": "mine.measure"}, "type 'module:function'"),
        ({"per": "varaint"}, "did you mean 'variant'"),
        ({"compare": "quotient"}, "none, ratio, difference exist"),
        ({"components": ("model",)}, "did you mean 'models'"),
        ({"settings": ("dtpye",)}, "did you mean 'dtype'"),
        ({"estimate": "window"}, "did you mean 'windows'"),
        ({"must_match": ("hots",)}, "did you mean 'host'"),
        ({"columns": (Column(name="x", path="value.x"),)}, "did you mean 'values'"),
        ({"columns": (Column(name="x", path="values.x", show="procent"),)}, "did you mean 'percent'"),
    ],
)
def test_what_a_declaration_cannot_say_is_refused_by_name(change, words):
    with pytest.raises(ConfigError, match=words):
        register(dataclasses.replace(OWN, **change))


def test_the_plan_keeps_a_declaration_for_readers_without_the_plug_in(monkeypatch):
    monkeypatch.setattr(quantities, "_registered", {**BUILT_IN, OWN.kind: OWN})
    kept = json.loads(json.dumps({"quantities": quantities.written_quantities(kinds())}))
    assert len(kept["quantities"]) == 1
    assert read_quantities(kept) == {**BUILT_IN, OWN.kind: OWN}
    assert list(read_quantities({})) == list(BUILT_IN)


@pytest.mark.parametrize("kind", list(BUILT_IN))
def test_each_measuring_function_and_reader_exists(kind):
    quantity = BUILT_IN[kind]
    places = [quantity.measure] + ([quantity.estimate] if ":" in quantity.estimate else [])
    for place in places:
        module, _, name = place.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_an_id_of_a_timing_covers_every_setting_but_that_of_memory_alone():
    fields = {f.name for f in dataclasses.fields(MeasureConfig)} | {"device"}
    for kind in ("latency", "train_step"):
        assert set(BUILT_IN[kind].settings) == fields - {"resident"}
    covered = {name for quantity in BUILT_IN.values() for name in quantity.settings}
    assert covered == fields


def test_declarations_load_neither_torch_nor_pandas():
    code = "import sys, vitbench.declare.quantities; print({'torch', 'pandas', 'numpy', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
