from __future__ import annotations

import numpy as np
import pytest
import torch

from vitbench.data import load
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.train import TrainConfig
from vitbench.declare.vit import ViTConfig
from vitbench.measure import accuracy
from vitbench.models import build
from vitbench.models.inspect import attention_maps, mean_attention_distance, position_embedding_similarity
from vitbench.models.weights import load_weights, save_weights
from vitbench.utils.errors import UserError


def test_the_record_agrees_with_itself():
    config = ViTConfig(img_size=8, patch_size=4, in_chans=1, num_classes=10, embed_dim=16, depth=1, num_heads=2)
    digits = load("digits")
    seen = []
    result = accuracy.measure(config, TrainConfig(epochs=3), digits, seed=0, on_epoch=seen.append)
    values, correct = result.values, result.samples["correct"]["values"]
    assert len(correct) == values["num_test"] == digits.spec.num_test
    assert sum(correct) == values["correct"]
    assert values["accuracy"] == values["correct"] / values["num_test"]
    assert (np.array(correct) == (result.arrays["predictions"] == digits.test.labels.numpy())).all()
    assert (values["epochs"], values["steps"]) == (3, 3 * (1077 // TrainConfig().batch_size))
    assert result.arrays["epoch"].tolist() == [1, 2, 3]
    for name in ("train_loss", "val_loss", "val_accuracy", "seconds"):
        assert result.arrays[name].tolist() == [getattr(epoch, name) for epoch in seen]
    assert values["val_accuracy"] == result.arrays["val_accuracy"][-1]
    assert values["train_seconds"] == result.arrays["seconds"][-1]
    assert values["total_seconds"] > values["train_seconds"]
    assert result.arrays["steps"].tolist() == [33, 66, 99]
    assert result.arrays["labels"].tolist() == digits.test.labels.tolist()
    assert result.arrays["logits"].dtype == np.float32
    assert (result.arrays["logits"].argmax(1) == result.arrays["predictions"]).all()
    assert values["wait_share"] == seen[-1].wait_s / seen[-1].seconds
    assert 0 < values["wait_share"] < 0.5
    assert "init" not in values


def test_a_teacher_is_trained_left_as_a_file_and_teaches(tmp_path):
    """As the planner does it: one trial leaves its weights, the next is handed the path."""
    digits = load("digits")
    resnet = ResNetConfig(depth=18, width=4, stem="cifar", img_size=8, in_chans=1, num_classes=10)
    path = tmp_path / "teacher.safetensors"
    first = accuracy.measure(resnet, TrainConfig(epochs=1), digits, seed=0, save_weights_to=path)
    student = ViTConfig(**{**vars(TINY), "distilled": True})
    recipe = TrainConfig(epochs=1, teacher="variant:resnet", distillation="hard")
    second = accuracy.measure(student, recipe, digits, seed=0, teacher_weights=path)
    named = TrainConfig(epochs=1, teacher=str(path), distillation="hard")
    third = accuracy.measure(student, named, digits, seed=0, teacher_config=resnet, teacher_weights=path)
    assert second.values["train_loss"] == third.values["train_loss"]
    teacher = build(resnet).eval()
    load_weights(teacher, path)
    with torch.no_grad():
        logits = teacher((digits.test.images.float() - digits.mean[:, None, None]) / digits.std[:, None, None])
    np.testing.assert_allclose(logits.numpy(), first.arrays["logits"], atol=1e-4)
    with pytest.raises(UserError, match="a row of an ablation"):
        accuracy.measure(student, recipe, digits, seed=0)


def test_a_record_says_what_became_of_the_file_that_it_started_from(tmp_path):
    digits = load("digits")
    save_weights(build(ViTConfig(**{**vars(TINY), "num_classes": 4})), tmp_path / "w.safetensors")
    recipe = TrainConfig(epochs=1, init_from=str(tmp_path / "w.safetensors"))
    said = accuracy.measure(TINY, recipe, digits, seed=0).values["init"]
    assert any("head.weight" in line and "the file has 4 classes, the model 10" in line for line in said)


TINY = ViTConfig(img_size=8, patch_size=2, in_chans=1, num_classes=10, embed_dim=16, depth=2, num_heads=2)


def test_a_trained_vit_keeps_what_it_looks_at(monkeypatch):
    digits = load("digits")
    model = build(TINY)
    found = accuracy.attention_arrays(model, digits, "cpu")
    images = (digits.val.images[:64].float() - digits.mean[:, None, None]) / digits.std[:, None, None]
    expected = mean_attention_distance(attention_maps(model, images), (4, 4), 1, 2)
    np.testing.assert_allclose(found["attention_distance"], expected, rtol=1e-6)
    pairs = {0: 16, 1: 48, 4: 32, 9: 16, 2: 36, 5: 48, 10: 24, 8: 16, 13: 16, 18: 4}  # squared offset → pairs of 16²
    assert found["uniform_distance"] == pytest.approx(2 * sum(n * d**0.5 for d, n in pairs.items()) / 256)
    np.testing.assert_allclose(found["pos_similarity"], position_embedding_similarity(model), atol=1e-6)
    monkeypatch.setattr(accuracy, "WEIGHTS_AT_ONCE", 5 * 2 * 2 * 17**2)  # 12 parts of 5 images and one of 4
    np.testing.assert_allclose(
        accuracy.attention_arrays(model, digits, "cpu")["attention_distance"], expected, rtol=1e-6
    )
    monkeypatch.setattr(accuracy, "SIMILARITIES_UP_TO", 15)
    assert "pos_similarity" not in accuracy.attention_arrays(model, digits, "cpu")


def test_looking_changes_no_number_of_the_trial():
    digits = load("digits")
    result = accuracy.measure(TINY, TrainConfig(epochs=1), digits, seed=0)
    assert {"attention_distance", "uniform_distance", "pos_similarity"} <= result.arrays.keys()
    after = torch.get_rng_state()
    again = accuracy.measure(TINY, TrainConfig(epochs=1), digits, seed=0)
    assert torch.equal(torch.get_rng_state(), after)
    assert again.values["train_loss"] == result.values["train_loss"]
    assert (again.arrays["attention_distance"] == result.arrays["attention_distance"]).all()


def test_other_models_have_nothing_to_look_at():
    resnet = build(ResNetConfig(depth=18, width=4, stem="cifar", img_size=8, in_chans=1, num_classes=10))
    assert accuracy.attention_arrays(resnet, load("digits"), "cpu") == {}
    found = accuracy.attention_arrays(build(ViTConfig(**{**vars(TINY), "pos_embed": "none"})), load("digits"), "cpu")
    assert found.keys() == {"attention_distance", "uniform_distance"}
