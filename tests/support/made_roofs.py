"""Three variants under the ceilings of a made machine."""

from tests.support.made_records import Made

NAMES = ("baseline", "wide", "tiny")
LATENCY_S = {"baseline": 4e-3, "wide": 2e-3, "tiny": 1e-3}
MACS = {"baseline": 5_000_000, "wide": 10_000_000, "tiny": 500_000}  # of an image; a batch has 8
TRAFFIC = {
    "baseline": {"unfused": 16_000_000, "compulsory": 1_000_000, "ops": 100},  # 5 to 80 FLOPs a byte
    "wide": {"unfused": 8_000_000, "compulsory": 2_000_000, "ops": 100},  # 20 to 80
    "tiny": {"unfused": 1_000_000, "compulsory": 500_000, "ops": 160},  # 8 to 16
}


def under_roofs(place, *, traffic=True, ceilings=True):
    """A folder of three variants and the ceilings of their machine."""
    made = Made(place, [{"name": name} for name in NAMES], ablation="roof")
    for name in NAMES:
        made.cost(name, params=1000, macs=MACS[name])
        made.memory(name, inference=2**20, training=2**22, traffic=TRAFFIC[name] if traffic else None)
        made.accuracy(name, [0.9, 0.91])
    if ceilings:
        made.ceiling(flop_per_s=100e9, bytes_per_s=10e9, ops_per_s=2e5)
    made.timing(LATENCY_S, noise=0.0)
    return made
