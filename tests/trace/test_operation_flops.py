"""FLOPs of a step by operation, against closed forms."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  # the name everybody gives it
from torch import nn

from vitbench import zoo
from vitbench.declare.vit import ViTConfig
from vitbench.measure.counts.closed_form import closed_form
from vitbench.models import build
from vitbench.trace.operation_flops import counted_flops, flops_by_operation

ATTENTION = 2 * (2 * 3) * 5 * 7 * (4 + 4)
"""Scores and weighted values of 2 images, 3 heads, 5 queries, 7 keys, 4 channels."""

CALLS = {
    "linear": (F.linear, [(10, 6), (7, 6), (7,)], "aten::addmm", 2 * 10 * 6 * 7),
    "batched": (torch.matmul, [(3, 2, 5, 6), (3, 2, 6, 4)], "aten::bmm", 2 * 6 * 5 * 6 * 4),
    "convolution": (
        lambda x, w: F.conv2d(x, w, stride=2), [(2, 4, 9, 8), (6, 4, 3, 2)], "aten::convolution", 2 * 2 * 16 * 144,
    ),
    "depthwise": (
        lambda x, w: F.conv2d(x, w, groups=4, padding=3), [(2, 4, 9, 9), (4, 1, 7, 7)],
        "aten::convolution", 2 * 2 * 81 * 4 * 49,
    ),
    "attention": (
        F.scaled_dot_product_attention, [(2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 4)],
        "aten::_scaled_dot_product_flash_attention_for_cpu", ATTENTION,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_flops_of_an_operation_and_twice_as_many_of_its_gradient(name):
    call, shapes, operation, truth = CALLS[name]
    inputs = [torch.randn(shape, requires_grad=True) for shape in shapes]
    assert flops_by_operation(lambda: call(*inputs)) == {operation: truth}
    both = flops_by_operation(lambda: call(*inputs).sum().backward())
    assert sum(both.values()) == 3 * truth


def test_fused_layers_are_seen_and_stay_fused_afterwards():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    with torch.inference_mode():
        flops = flops_by_operation(lambda: layer(torch.randn(3, 5, 8)))
    assert sum(flops.values()) == 3 * 2 * (5 * (3 * 64 + 64 + 2 * 8 * 16) + 2 * 2 * 5 * 5 * 4)
    assert torch.backends.mha.get_fastpath_enabled()


def test_a_vit_has_the_flops_of_its_closed_form():
    config = zoo("vit_tiny_patch16_224")
    model, image = build(config).eval(), torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        flops = flops_by_operation(lambda: model(image))
    assert sum(flops.values()) == pytest.approx(2 * closed_form(config).macs, rel=1e-3)


def test_the_count_beside_it_is_of_the_whole_batch_and_of_both_passes():
    config = ViTConfig(img_size=8, patch_size=4, embed_dim=8, depth=1, num_heads=1, num_classes=2)
    form = closed_form(config)
    assert counted_flops(config, 3, training=False) == 3 * 2 * form.macs
    assert counted_flops(config, 3, training=True) == 3 * 2 * (form.macs + form.macs_backward)


def test_a_counter_that_fails_counts_nothing():
    def fails():
        raise RuntimeError("no formula")

    assert flops_by_operation(fails) is None
