"""Names of device types, without torch."""

from __future__ import annotations

TYPES = {
    "cpu": "vitbench.devices.cpu:Cpu",
    "cuda": "vitbench.devices.cuda:Cuda",
}
"""Device type → the class that implements it. ``auto`` prefers the first available type after ``cpu``."""

CHOICES = ("auto", *TYPES)
"""Values of ``--device``."""


def type_of(device: object) -> str:
    """The device type of a name or of a ``torch.device``: ``cuda`` for ``cuda:1``."""
    return str(device).partition(":")[0]
