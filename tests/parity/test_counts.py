"""Multiply-adds of other people's models against what their library publishes beside its weights."""

import pytest

from tests.parity.peers import import_torchvision
from vitbench.declare.external import ExternalConfig
from vitbench.measure import count

NAMES = ("vit_b_16", "swin_t", "convnext_tiny", "efficientnet_b0", "densenet121", "resnext50_32x4d")


@pytest.mark.parametrize("name", NAMES)
def test_a_count_is_what_torchvision_publishes(name):
    published = next(iter(import_torchvision().models.get_model_weights(name))).meta
    counts = count(ExternalConfig(f"torchvision:{name}"))
    assert round(counts.macs / 1e9, 3) == published["_ops"]
    assert counts.params == published["num_params"]
    assert (counts.complete, counts.findings, len(set(counts.methods.values()))) == (True, (), 1)
