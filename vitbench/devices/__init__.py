"""What vitbench knows about devices: one file per device type. Importing this package does not import torch."""

from vitbench.devices.device import Device, NotAvailableError, device_of, resolve_device
from vitbench.devices.names import CHOICES, TYPES, type_of

__all__ = ["CHOICES", "TYPES", "Device", "NotAvailableError", "device_of", "resolve_device", "type_of"]
