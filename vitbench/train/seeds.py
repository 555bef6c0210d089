"""Independent random streams of a trial, each derived from the trial's seed and a name."""

from __future__ import annotations

import hashlib

import numpy as np
import torch


def seed_of(seed: int, name: str) -> int:
    """The seed of a stream, such as ``weights``, ``order`` or ``augmentation``."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8]) >> 1


def generator(seed: int, name: str, device: torch.device | str = "cpu") -> torch.Generator:
    """The stream as a torch generator."""
    return torch.Generator(device).manual_seed(seed_of(seed, name))


def numpy_generator(seed: int, name: str) -> np.random.Generator:
    """The stream as a numpy generator, for torch's Beta distribution takes none."""
    return np.random.default_rng(seed_of(seed, name))
