"""The processor's energy counter: RAPL, as the Linux kernel exposes it (Documentation/power/powercap).

The files ``energy_uj`` count microjoules up to ``max_energy_range_uj`` and then start again at 0.
"""

from __future__ import annotations

from pathlib import Path

from vitbench.devices.device import NotAvailableError

SYSFS = Path("/sys/class/powercap")

MAX_PACKAGE_W = 1000.0
"""No package draws more power; a counter cannot wrap around faster than at this rate."""


class Rapl:
    """All processor packages of the machine, and the memory domains that are counted separately."""

    def __init__(self, root: Path = SYSFS) -> None:
        """Finds the domains below ``root`` and reads them once.

        Raises:
            NotAvailableError: there are none, as in most virtual machines, or they cannot be read.
        """
        names = {path: _text(path / "name") for path in sorted(root.glob("intel-rapl:*")) if (path / "name").exists()}
        self.domains = [path for path, name in names.items() if name.startswith("package") or name == "dram"]
        if not self.domains:
            raise NotAvailableError(f"this machine has no energy counter: {root} contains no intel-rapl package")
        self.ranges = [int(_text(path / "max_energy_range_uj")) / 1e6 for path in self.domains]
        self.source = f"RAPL ({', '.join(names[path] for path in self.domains)})"
        self.max_window_s = min(self.ranges) / MAX_PACKAGE_W
        self.read()

    def read(self) -> list[float]:
        """Joules of each domain, from 0 to its range."""
        return [int(_text(path / "energy_uj")) / 1e6 for path in self.domains]

    def joules_between(self, earlier: list[float], later: list[float]) -> float:
        """The energy used between two readings, in joules; a lower second reading means one wrap-around."""
        pairs = zip(earlier, later, self.ranges, strict=True)
        return sum(after - before + (span if after < before else 0.0) for before, after, span in pairs)


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except PermissionError:
        raise NotAvailableError(
            f"only root may read {path}; `sudo chmod a+r {SYSFS}/intel-rapl*/energy_uj` allows it until the next reboot"
        ) from None
    except OSError as error:
        raise NotAvailableError(f"{path} cannot be read: {error.strerror}") from None
