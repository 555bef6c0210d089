"""What the shipped comparison calls pairs of equal cost are such, by count."""

import pytest

from vitbench.declare import discovery
from vitbench.measure import count

PAIRS = {
    ("vit_p2_d60_l1", "resnet_w16"): "macs",
    ("vit_p2_d32_l6", "resnet_w16"): "params",
    ("vit_p2_d60_l4", "resnet_w32"): "macs",
    ("vit_p2_d80_l4", "resnet_w32"): "params",
    ("vit_p2_d64_l4", "resnet_w26"): "params",
}


@pytest.mark.parametrize(("pair", "cost"), PAIRS.items())
def test_they_are_within_two_per_cent(pair, cost):
    models = {v.name: v.model for v in discovery.load("vit_vs_resnet").ablation.variants()}
    ours, theirs = (getattr(count(models[name]), cost) for name in pair)
    assert ours == pytest.approx(theirs, rel=0.02)
