"""Residual networks against torchvision's names and sizes, closed forms and He's initialisation."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vitbench.declare.resnet import ResNetConfig
from vitbench.models.resnet import ResNet

NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def torchvision_names(convolutions, layers):
    """The state dict of torchvision's resnet as a closed pattern."""
    norm = lambda name: [f"{name}.{part}" for part in NORM]  # noqa: E731
    names = ["conv1.weight", *norm("bn1"), "fc.weight", "fc.bias"]
    for stage, count in enumerate(layers, 1):
        for block in range(count):
            at = f"layer{stage}.{block}"
            for i in range(1, convolutions + 1):
                names += [f"{at}.conv{i}.weight", *norm(f"{at}.bn{i}")]
            if block == 0 and (stage > 1 or convolutions == 3):
                names += [f"{at}.downsample.0.weight", *norm(f"{at}.downsample.1")]
    return names


@pytest.mark.parametrize(
    ("depth", "convolutions", "layers", "tensors"),
    [
        (18, 2, (2, 2, 2, 2), 122),
        (34, 2, (3, 4, 6, 3), 218),
        (50, 3, (3, 4, 6, 3), 320),
        (101, 3, (3, 4, 23, 3), 626),
        (152, 3, (3, 8, 36, 3), 932),
    ],
)
def test_names_are_torchvisions(depth, convolutions, layers, tensors):
    with torch.device("meta"):
        state = ResNet(ResNetConfig(depth=depth)).state_dict()
    assert sorted(state) == sorted(torchvision_names(convolutions, layers))
    assert len(state) == tensors


def test_resnet18_for_cifar10_has_the_published_size():
    """FACTS §2: 11,173,962 parameters with the 3×3 stem and ten classes."""
    with torch.device("meta"):
        model = ResNet(ResNetConfig(depth=18, stem="cifar", img_size=32, num_classes=10))
    assert sum(p.numel() for p in model.parameters()) == 11_173_962


@pytest.mark.parametrize(("depth", "gmacs"), [(18, 1.814), (50, 4.089), (101, 7.801), (152, 11.514)])
def test_macs_are_torchvisions(depth, gmacs):
    with torch.device("meta"):
        model = ResNet(ResNetConfig(depth=depth)).eval()
        with FlopCounterMode(display=False) as counter:
            model(torch.empty(1, 3, 224, 224))
    assert counter.get_total_flops() / 2e9 == pytest.approx(gmacs, abs=5e-4)


@given(
    layers=st.lists(st.integers(1, 2), min_size=1, max_size=4).map(tuple),
    block=st.sampled_from(["basic", "bottleneck"]),
    width=st.integers(1, 6),
    stem=st.sampled_from(["imagenet", "cifar"]),
    ends=st.tuples(st.integers(1, 4), st.integers(0, 4)),
)
def test_any_number_of_stages_follows_the_closed_form(layers, block, width, stem, ends):
    chans, classes = ends
    config = ResNetConfig(
        depth=None, layers=layers, block=block, width=width, stem=stem, in_chans=chans, num_classes=classes, img_size=16
    )
    model = ResNet(config)
    expected = chans * width * (49 if stem == "imagenet" else 9) + 2 * width
    inputs = width
    for stage, count in enumerate(layers):
        w = width * 2**stage
        outputs = w * (4 if block == "bottleneck" else 1)
        for i in range(count):
            kernels = ((inputs, w, 9), (w, w, 9)) if block == "basic" else ((inputs, w, 1), (w, w, 9), (w, outputs, 1))
            expected += sum(a * b * area + 2 * b for a, b, area in kernels)
            if i == 0 and (stage or inputs != outputs):
                expected += inputs * outputs + 2 * outputs
            inputs = outputs
    expected += (inputs + 1) * classes
    assert sum(p.numel() for p in model.parameters()) == expected
    assert model(torch.randn(2, chans, 16, 16)).shape == (2, classes or inputs)


@pytest.mark.parametrize(("stem", "side", "final"), [("imagenet", 224, 7), ("cifar", 32, 4), ("cifar", 8, 1)])
def test_resolution_halves_from_stage_to_stage(stem, side, final):
    sides = []
    with torch.device("meta"):
        model = ResNet(ResNetConfig(depth=18, stem=stem, img_size=side))
        for name in model.stage_names:
            getattr(model, name).register_forward_hook(lambda _m, _i, out: sides.append(out.shape[-1]))
        model(torch.empty(2, 3, side, side))
    assert sides == [final * 2**k for k in (3, 2, 1, 0)]


def test_the_stride_sits_in_the_3x3_convolution():
    with torch.device("meta"):
        first = ResNet(ResNetConfig(depth=50)).get_submodule("layer2.0")
    assert [first.conv1.stride, first.conv2.stride, first.conv3.stride] == [(1, 1), (2, 2), (1, 1)]


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_a_block_carries_its_input_around(block):
    """With the last norm at zero a block without downsampling is the identity on what a ReLU puts out."""
    torch.manual_seed(0)
    model = ResNet(ResNetConfig(depth=None, layers=(2, 1), block=block, width=4, stem="cifar", img_size=8))
    last = model.get_submodule("layer1.1")
    nn.init.zeros_((last.bn2 if block == "basic" else last.bn3).weight)
    x = torch.rand(2, 16 if block == "bottleneck" else 4, 8, 8)
    assert torch.equal(last(x), x)


def test_the_d_variant_has_timms_names():
    """Beside torchvision's: a stem of three convolutions, and pooling before a shortcut's 1×1."""
    with torch.device("meta"):
        plain, d = (set(ResNet(ResNetConfig(depth=50, variant=word)).state_dict()) for word in ("plain", "d"))
    assert {"conv1.0.weight", "conv1.3.weight", "conv1.6.weight", "conv1.4.running_var"} < d
    assert {name for name in plain - d if "downsample" not in name} == {"conv1.weight"}
    assert {name for name in d if name.startswith("layer2.0.downsample")} == {
        "layer2.0.downsample.1.weight",
        *(f"layer2.0.downsample.2.{part}" for part in NORM),
    }


@pytest.mark.parametrize("side", [7, 8])
def test_the_d_variants_shortcut_skips_no_pixel(side):
    config = ResNetConfig(depth=None, layers=(1, 1), block="basic", width=4, stem="cifar", img_size=side)
    torch.manual_seed(0)
    seen = {}
    for word in ("plain", "d"):
        shortcut = ResNet(replace(config, variant=word)).eval().get_submodule("layer2.0.downsample")
        x = torch.randn(1, 4, side, side, requires_grad=True)
        out = shortcut(x)
        assert out.shape[-1] == (side + 1) // 2
        out.square().sum().backward()
        seen[word] = (x.grad != 0).all().item()
    assert seen == {"plain": False, "d": True}


@pytest.mark.parametrize("norm", ["batchnorm", "groupnorm"])
@pytest.mark.parametrize("variant", ["plain", "d"])
@pytest.mark.parametrize("stem", ["imagenet", "cifar"])
@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_circular_padding_forgets_where_things_are(stem, variant, norm, block):
    """Shifts by the network's stride change no output; with zeros around the image they do."""
    config = ResNetConfig(
        depth=None,
        layers=(1, 1),
        block=block,
        width=4,
        stem=stem,
        variant=variant,
        norm=norm,
        img_size=32,
        num_classes=3,
    )
    stride = 8 if stem == "imagenet" else 2
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    moved = x.roll((stride, 2 * stride), dims=(2, 3))
    for padding, same in (("circular", True), ("zeros", False)):
        torch.manual_seed(0)
        model = ResNet(replace(config, padding=padding)).double().eval()
        assert torch.allclose(model(x), model(moved), rtol=1e-8) == same


@pytest.mark.parametrize(("width", "groups"), [(64, 32), (32, 16), (48, 16), (6, 2), (5, 1), (2, 1)])
def test_group_norm_takes_as_many_of_32_groups_as_divide_the_channels(width, groups):
    model = ResNet(ResNetConfig(depth=18, width=width, stem="cifar", img_size=8, norm="groupnorm", num_classes=2))
    assert model.bn1.num_groups == groups
    assert not any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    x = torch.randn(3, 3, 8, 8)
    torch.testing.assert_close(model(x)[:1], model(x[:1]), rtol=1e-4, atol=1e-5)  # an image sees no other


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_without_residuals_a_network_has_no_shortcuts(block):
    config = ResNetConfig(
        depth=None, layers=(2, 1), block=block, width=4, stem="cifar", img_size=8, residual=False, num_classes=2
    )
    torch.manual_seed(0)
    model = ResNet(config)
    assert not any("downsample" in name for name, _ in model.named_parameters())
    last = model.get_submodule("layer1.1")
    nn.init.zeros_((last.bn2 if block == "basic" else last.bn3).weight)
    assert not last(torch.rand(2, 16 if block == "bottleneck" else 4, 8, 8)).any()


def test_initial_weights_are_torchvisions():
    torch.manual_seed(0)
    model = ResNet(ResNetConfig(depth=18, num_classes=10))
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            area = module.kernel_size[0] ** 2
            assert module.weight.std().item() == pytest.approx(math.sqrt(2 / (area * module.out_channels)), rel=0.05)
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all()
            assert not module.bias.any()


def test_every_parameter_receives_a_gradient_and_none_is_exempt_from_decay_by_name():
    torch.manual_seed(0)
    model = ResNet(ResNetConfig(depth=18, stem="cifar", img_size=(8, 12), width=4, num_classes=3))
    model(torch.randn(4, 3, 8, 12)).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())
    assert model.no_weight_decay() == set()


def test_float32_agrees_with_float64():
    torch.manual_seed(0)
    model = ResNet(ResNetConfig(depth=50, stem="cifar", img_size=16, width=8, num_classes=3)).eval()
    x = torch.randn(2, 3, 16, 16)
    single = model(x).double()
    torch.testing.assert_close(single, model.double()(x.double()), rtol=1e-4, atol=1e-4)
