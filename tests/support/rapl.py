"""A made sysfs tree of energy counters."""

RANGE_UJ = 262_143_328_850
"""The range of a Xeon's counter, in microjoules."""


def zone(root, folder, name, microjoules, span=RANGE_UJ):
    """Adds a domain below ``root``; returns the file of its counter."""
    place = root / folder
    place.mkdir()
    (place / "name").write_text(name + "\n")
    (place / "energy_uj").write_text(f"{microjoules}\n")
    (place / "max_energy_range_uj").write_text(f"{span}\n")
    return place / "energy_uj"


def make_xeon(root):
    """Two packages, their cores, the memory of one, and the whole platform, which counts all of it again."""
    return {
        "package-0": zone(root, "intel-rapl:0", "package-0", 1_000_000),
        "core": zone(root, "intel-rapl:0:0", "core", 500_000),
        "dram": zone(root, "intel-rapl:0:1", "dram", 2_000_000),
        "package-1": zone(root, "intel-rapl:1", "package-1", 3_000_000),
        "psys": zone(root, "intel-rapl:2", "psys", 9_000_000),
    }
