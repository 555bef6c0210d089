"""What timm's own evaluation makes of files of any shape, and what ours feeds to timm's weights."""

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_data_config

from vitbench import build, zoo
from vitbench.declare.checked import with_values
from vitbench.evaluate.request import prepare

SHAPES = ((300, 400), (500, 333), (224, 224), (97, 640), (248, 249))


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224"])
def test_files_reach_the_model_as_timm_feeds_them(tmp_path, name):
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        for label in "ab":
            (tmp_path / part / label).mkdir(parents=True)
            for i, shape in enumerate(SHAPES):
                coarse = Image.fromarray(rng.integers(256, size=(6, 7, 3), dtype=np.uint8)).resize(shape[::-1])
                coarse.save(tmp_path / part / label / f"{i}.jpg", quality=90)
    config = with_values(zoo(name), {"num_classes": 2, "depth": 1})
    torch.save(build(config).state_dict(), tmp_path / "timm.pth")
    peer = timm.create_model(name, num_classes=2, depth=1)
    transform = create_transform(**resolve_data_config(model=peer))
    ready = prepare("auto", str(tmp_path / "timm.pth"), f"folder:{tmp_path}")
    test = ready.dataset.test
    theirs = torch.stack([transform(Image.open(test.files[i]).convert("RGB")) for i in range(len(test))])
    ours = ready.images(test.take(torch.arange(len(test))))
    assert ours.shape == (10, 3, 224, 224)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
