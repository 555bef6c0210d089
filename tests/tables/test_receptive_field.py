"""Receptive fields against published ones, and against the gradient of a built network."""

import pytest
import torch
from torch import nn

from tests.support.made_records import Made
from vitbench import ResNetConfig, build, tables
from vitbench.declare.serialize import as_dict
from vitbench.tables import receptive_field


def side(config):
    """The receptive field at the end, by the closed form."""
    field, step = 1, 1
    for _, kernel, stride in receptive_field.windows(config):
        field, step = field + (kernel - 1) * step, step * stride
    return field


@pytest.mark.parametrize(
    ("depth", "published", "moved"),
    [(18, 435, 0), (34, 899, 0), (50, 483, 56), (101, 1027, 56), (152, 1507, 56)],
)
def test_published_receptive_fields(depth, published, moved):
    """Araujo et al. 2019, table 1, and torchvision's 18 and 34. Theirs are v1, with the stride before the 3×3: there
    each of three stages widens by one more of its new step, 8 + 16 + 32 pixels (v1.5 here).
    """
    assert side(ResNetConfig(depth=depth)) == published - moved


@pytest.mark.parametrize(
    "config",
    [
        ResNetConfig(depth=None, layers=(1, 1, 1), block="basic", width=4, stem="cifar", img_size=64),
        ResNetConfig(depth=None, layers=(2, 1), block="basic", width=4, stem="imagenet", img_size=128),
        ResNetConfig(depth=None, layers=(1, 2), block="bottleneck", width=4, stem="imagenet", img_size=128),
        ResNetConfig(depth=None, layers=(1, 1), block="basic", width=4, stem="imagenet", variant="d", img_size=128),
    ],
)
def test_the_gradient_reaches_as_far(config):
    """Which pixels one place in the middle of the last feature map depends on, all weights positive, no ReLU cut."""
    model = build(config).eval()
    for p in model.parameters():
        nn.init.constant_(p, 0.1)
    for module in model.modules():
        if isinstance(module, nn.MaxPool2d):  # a maximum sends its gradient to one pixel: a mean, to all
            module.forward = nn.AvgPool2d(module.kernel_size, module.stride, module.padding).forward
    features = {}
    getattr(model, model.stage_names[-1]).register_forward_hook(lambda *parts: features.update(last=parts[2]))
    images = torch.ones(1, config.in_chans, config.img_size, config.img_size, dtype=torch.float64, requires_grad=True)
    model.double()(images)
    last = features["last"]
    middle = last.shape[-1] // 2
    (gradient,) = torch.autograd.grad(last[0, 0, middle, middle], images)
    seen = gradient[0].abs().sum(0) > 0
    assert seen.any(0).sum().item() == seen.any(1).sum().item() == side(config)


def test_every_layer_of_every_resnet(tmp_path):
    config = ResNetConfig(depth=None, layers=(1, 1), block="basic", stem="cifar", img_size=8, width=4)
    older = {k: v for k, v in as_dict(config).items() if k != "variant"}
    variants = [
        {"name": "vit"},
        {"name": "resnet", "config": older},
        {"name": "odd", "config": {"type": "ResNetConfig"}},
    ]
    made = Made(tmp_path, [*variants, {"name": "newer", "config": {"type": "ResNetConfig", "warp": 9}}])
    found = receptive_field.receptive_fields(tables.read_study(made.folder))
    own = found[found["variant"] == "resnet"]
    assert own["field_px"].tolist() == [3, 5, 7, 9, 13]
    assert own["stage"].tolist() == ["stem", "stage 1", "stage 1", "stage 2", "stage 2"]
    assert own["depth"].tolist() == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert set(found["variant"]) == {"resnet", "odd"}
    assert set(own["image_px"]) == {8}
