"""Other people's models are found, called with what they name, and refused in one sentence."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest
import torch

from vitbench.declare.external import ExternalConfig
from vitbench.models.external import build_external
from vitbench.models.libraries import native_img_size
from vitbench.utils.errors import ConfigError, UserError

SOURCE = """
from torch import nn

def tiny(num_classes, in_chans=3, width=4):
    pool = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return nn.Sequential(nn.Conv2d(in_chans, width, 1), *pool, nn.Linear(width, num_classes))

def no_module(): return "model"
def needs(secret): return nn.Identity()
def boom(): raise RuntimeError("out of luck")

CONSTANT = 3
"""


@pytest.fixture(autouse=True)
def beside(tmp_path, monkeypatch):
    (tmp_path / "my_nets.py").write_text(SOURCE)
    (tmp_path / "my_broken.py").write_text("def f(:\n")
    (tmp_path / "my_needy.py").write_text("import no_such_package_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in ("my_nets", "my_broken", "my_needy"):
        sys.modules.pop(name, None)


def test_gets_the_settings_that_its_signature_names():
    model = build_external(ExternalConfig("my_nets:tiny", {"width": 5}, in_chans=2, num_classes=7))
    assert model(torch.randn(3, 2, 4, 4)).shape == (3, 7)
    assert model[0].out_channels == 5


def test_own_kwargs_win():
    assert build_external(ExternalConfig("my_nets:tiny", {"num_classes": 9}))[-1].out_features == 9


def test_a_class_will_do():
    model = build_external(ExternalConfig("torch.nn:Linear", {"in_features": 2, "out_features": 3}))
    assert model.out_features == 3


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("no_such_nets:tiny", r"no module 'no_such_nets': .* put no_such_nets.py beside the ablation file"),
        ("no_such.nets:tiny", r"no module 'no_such.nets': .* put no_such.py beside"),
        ("my_needy:f", r"module 'my_needy' needs 'no_such_package_at_all'"),
        ("my_broken:f", r"module 'my_broken' cannot be imported: SyntaxError"),
        ("my_nets:tinny", r"unknown function of my_nets 'tinny': .*did you mean 'tiny'\?"),
        ("my_nets:CONSTANT", r"unknown function of my_nets 'CONSTANT'"),
        ("my_nets:no_module", r"my_nets:no_module returned str, not a torch.nn.Module"),
        ("my_nets:needs", r"my_nets:needs cannot be called with no arguments: .*'secret'; it takes \(secret\)"),
    ],
)
def test_a_mistake_is_answered_in_one_sentence(source, message):
    with pytest.raises(UserError, match=message) as caught:
        build_external(ExternalConfig(source))
    assert "\n" not in str(caught.value)


def test_what_the_function_raises_is_its_own():
    with pytest.raises(RuntimeError, match="out of luck"):
        build_external(ExternalConfig("my_nets:boom"))


TIMM = """
from torch import nn

CREATED = []

def list_models():
    return ["convnext_tiny", "convnext_small", "vit_tiny", "greyless", "picky"]

def create_model(name, **kwargs):
    CREATED.append((name, dict(kwargs)))
    if name == "old_name":
        name = "convnext_tiny"
    takes = {"convnext_tiny.in1k": {"num_classes", "in_chans"}, "convnext_tiny": {"num_classes", "in_chans", "width"},
             "vit_tiny": {"img_size", "num_classes", "in_chans"}, "greyless": {"num_classes"}}
    if name == "picky":
        raise TypeError("this model is out of order")
    for word in kwargs:
        if word not in takes[name]:
            raise TypeError(f"Net.__init__() got an unexpected keyword argument '{word}'")
    head = nn.Linear(kwargs.get("in_chans", 3), kwargs["num_classes"])
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    model.got = kwargs
    return model

def is_model(name):
    return name == "old_name"

def get_pretrained_cfg(name):
    return type("Cfg", (), {"input_size": (3, 384, 384) if name == "vit_tiny" else (3, 64, 32)})
"""
TORCHVISION = """
import timm

def list_models():
    return ["resnet50", "vit_b_16"]

def get_model(name, *, image_size=None, num_classes):
    if name == "resnet50" and image_size is not None:
        raise TypeError("ResNet.__init__() got an unexpected keyword argument 'image_size'")
    model = timm.create_model("convnext_tiny", num_classes=num_classes)
    model.image_size = image_size
    return model
"""


@pytest.fixture
def libraries(tmp_path, monkeypatch):
    """Packages called timm and torchvision."""
    (tmp_path / "timm.py").write_text(TIMM)
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").touch()
    (tmp_path / "torchvision" / "models.py").write_text(TORCHVISION)
    yield tmp_path
    for name in ("timm", "torchvision", "torchvision.models"):
        sys.modules.pop(name, None)


@pytest.fixture
def without_libraries(monkeypatch):
    """A machine that has neither package, whatever this one has."""
    for name in ("timm", "torchvision", "torchvision.models"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.parametrize(
    ("source", "got"),
    [
        ("timm:vit_tiny", {"img_size": 8, "in_chans": 2, "num_classes": 7}),
        ("timm:convnext_tiny", {"in_chans": 2, "num_classes": 7}),
        ("timm:convnext_tiny.in1k", {"in_chans": 2, "num_classes": 7}),
        ("timm:old_name", {"in_chans": 2, "num_classes": 7}),
    ],
)
def test_a_library_model_gets_what_it_takes(libraries, source, got):
    model = build_external(ExternalConfig(source, img_size=(8, 8), in_chans=2, num_classes=7))
    assert model.got == got
    assert model(torch.randn(3, 2, 8, 8)).shape == (3, 7)


def test_own_kwargs_reach_the_library_and_win(libraries):
    model = build_external(ExternalConfig("timm:convnext_tiny", {"width": 2, "num_classes": 4}))
    assert model.got == {"width": 2, "num_classes": 4, "in_chans": 3}


def test_nothing_is_downloaded_unless_asked_for(libraries):
    build_external(ExternalConfig("timm:vit_tiny"))
    assert not any("pretrained" in kwargs for _, kwargs in sys.modules["timm"].CREATED)


def test_torchvision_calls_the_size_by_its_own_name(libraries):
    assert build_external(ExternalConfig("torchvision:vit_b_16", img_size=64, num_classes=5)).image_size == 64
    assert build_external(ExternalConfig("torchvision:resnet50", img_size=64)).image_size is None


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (ExternalConfig("timm:convnext_tyni"), r"unknown timm model 'convnext_tyni': .* did you mean convnext_tiny"),
        (ExternalConfig("torchvision:resnt50"), r"unknown torchvision model 'resnt50': .* did you mean resnet50\?"),
        (ExternalConfig("timm:zzz"), r"it has 5 models; such as timm:convnext_tiny"),
        (ExternalConfig("timm:vit_tiny", {"width": 3}), r"timm:vit_tiny does not take width=3"),
        (ExternalConfig("timm:greyless", in_chans=1), r"timm:greyless takes images of 3 channels, not in_chans=1"),
        (ExternalConfig("torchvision:resnet50", in_chans=1), r"takes images of 3 channels"),
    ],
)
def test_a_library_model_that_cannot_be_is_one_sentence(libraries, config, message):
    with pytest.raises(UserError, match=message) as caught:
        build_external(config)
    assert "\n" not in str(caught.value)


def test_other_errors_of_a_library_are_its_own(libraries):
    with pytest.raises(TypeError, match="out of order"):
        build_external(ExternalConfig("timm:picky"))


@pytest.mark.parametrize("package", ["timm", "torchvision"])
def test_a_missing_package_says_which_extra_to_install(without_libraries, package):
    with pytest.raises(UserError, match=rf"need {package}, .* pip install 'vitbench\[{package}\]'"):
        build_external(ExternalConfig(f"{package}:anything"))


def test_a_missing_dependency_of_a_package_is_named(libraries):
    (libraries / "timm.py").write_text("import no_such_dependency")
    with pytest.raises(UserError, match=r"models of timm need no_such_dependency"):
        build_external(ExternalConfig("timm:anything"))


def test_a_package_that_cannot_be_imported_says_why(libraries):
    (libraries / "timm.py").write_text("raise RuntimeError('made for another torch')")
    with pytest.raises(UserError, match=r"timm cannot be imported: RuntimeError: made for another torch"):
        build_external(ExternalConfig("timm:anything"))


def test_a_torchvision_compiled_for_another_torch_still_gives_classifiers(libraries):
    """Its import registers a shape rule for an operation that only its compiled part defines."""
    head = "import torch\n\n@torch.library.register_fake('torchvision::qnms')\ndef rule(*args): ...\n"
    (libraries / "torchvision" / "__init__.py").write_text(head)
    assert build_external(ExternalConfig("torchvision:resnet50", num_classes=5)).got["num_classes"] == 5


def test_a_library_says_which_size_its_model_is_made_for(libraries):
    assert native_img_size("timm:vit_tiny") == 384
    assert native_img_size("timm:convnext_tiny") == (64, 32)
    assert native_img_size("torchvision:resnet50") is None


@pytest.mark.parametrize("source", ["timm:", "timm:a b", "torchvision:a/b", "timm", "a.b", "1a:b"])
def test_a_source_that_names_no_model_is_refused_at_once(source):
    with pytest.raises(ConfigError, match=r"names no model: write "):
        ExternalConfig(source)


def test_optional_packages_are_no_dependencies():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert {"timm", "torchvision"} <= set(project["optional-dependencies"])
    assert not any(need.startswith(("timm", "torchvision")) for need in project["dependencies"])
