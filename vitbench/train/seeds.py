"""A trial's independent streams of random numbers, each from its seed and a name."""

from __future__ import annotations

import hashlib

import numpy as np
import torch


def seed_of(seed: int, name: str) -> int:
    """The seed of one stream of a trial: ``weights``, ``order``, ``augmentation`` and so on."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8]) >> 1


def generator(seed: int, name: str, device: torch.device | str = "cpu") -> torch.Generator:
    """A stream as torch draws from it."""
    return torch.Generator(device).manual_seed(seed_of(seed, name))


def numpy_generator(seed: int, name: str) -> np.random.Generator:
    """A stream as numpy draws from it: torch's Beta takes no generator."""
    return np.random.default_rng(seed_of(seed, name))
