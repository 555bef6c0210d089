"""Ablations that train in a second: a tiny ViT, a tiny ResNet, and one that learns from the other."""

from pathlib import Path

from vitbench.declare.ablation import Ablation
from vitbench.declare.data import DataConfig
from vitbench.declare.measure import MeasureConfig
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.train import TrainConfig
from vitbench.declare.vit import ViTConfig

TINY = ViTConfig(img_size=8, patch_size=4, in_chans=1, num_classes=10, embed_dim=16, depth=1, num_heads=2)
CNN = ResNetConfig(depth=None, layers=(1,), block="basic", width=4)
TRAINED = ("accuracy", "tuning")
FAULTY_MODELS = Path(__file__).parent / "faulty_models.py"


def ablation(**changes):
    return Ablation(
        **{
            "question": "?",
            "baseline": TINY,
            "train": TrainConfig(epochs=1),
            "measure": MeasureConfig(blocks=2, cycles=1, warmup_s=0.0),
            "seeds": 1,
            **changes,
        }
    )


def taught(teacher="cnn", **changes):
    how = {"train.distillation": "soft", "train.teacher": f"variant:{teacher}"}
    return ablation(**{"combined": {"soft": how}, "references": {"cnn": CNN}, "seeds": 2, **changes})


def forty(seeds=10):
    """Four variants, ten seeds each."""
    return Ablation(
        question="?",
        baseline=TINY,
        axes={"depth": (1, 2), "pool": ("cls", "mean")},
        design="grid",
        train=TrainConfig(epochs=1),
        data_settings=DataConfig(fraction=0.2),
        seeds=seeds,
    )
