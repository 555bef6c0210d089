"""Every format's file gives the logits of the code that it belongs to."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.models.weights import written
from tests.models.weights.written import CONFIG, GRID, Reference, close, images
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.vit import ViTConfig
from vitbench.models import build
from vitbench.models.weights import config_from_checkpoint, load_weights
from vitbench.utils.errors import UserError


def vit(**changes):
    return build(ViTConfig(**CONFIG | changes)).eval()


WRITERS = {
    "timm": (written.timm, "timm", 1e-6),
    "torchvision": (written.torchvision, "torchvision ViT", 1e-6),
    "torchvision_old": (
        lambda ref: written.torchvision(ref, ("mlp.linear_1", "mlp.linear_2")),
        "torchvision ViT",
        1e-6,
    ),
    "hf4": (written.hugging_face, "Hugging Face", 1e-12),
    "hf5": (lambda ref: written.hugging_face(ref, 5), "Hugging Face", 1e-12),
    "deit": (lambda ref: {"model": written.timm(ref)}, "DeiT", 1e-6),
    "lightning": (lambda ref: {"state_dict": written.timm(ref), "epoch": 3}, "timm", 1e-6),
    "ddp": (lambda ref: {f"module.{k}": v for k, v in written.timm(ref).items()}, "timm", 1e-6),
}
WRAPPED = ("deit", "lightning")  # safetensors files hold tensors alone


def write(path, state, kind):
    if kind == "safetensors":
        save_file({name: tensor.contiguous().clone() for name, tensor in state.items()}, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == "zip")
    return path


@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, kind) for name in WRITERS for kind in ("zip", "legacy", "safetensors")[: 2 if name in WRAPPED else 3]],
)
def test_the_logits_are_those_of_the_reference(tmp_path, name, kind):
    writer, form, eps = WRITERS[name]
    reference = Reference(eps=eps)
    state = writer(reference)
    path = write(tmp_path / "weights.bin", state, kind)
    model = vit(norm_eps=eps)
    report = load_weights(model, path)
    assert report.format == form
    assert sorted(report.loaded) == sorted(model.state_dict())
    assert not report.missing
    assert not report.resized
    assert not report.warnings
    assert set(report.dropped) == ({"epoch"} if name == "lightning" else set())
    close(model(images()), reference(images()))


@pytest.mark.parametrize("prefix", ["", "opt/target/", "params/", "params/img/"])
@pytest.mark.parametrize("style", ["vit_jax", "big_vision", "stacked"])
def test_the_logits_are_those_of_a_numpy_pass_over_the_jax_arrays(tmp_path, style, prefix):
    arrays = written.jax_arrays(big_vision=style != "vit_jax")
    saved = written.jax_arrays(big_vision=style != "vit_jax", stacked=style == "stacked")
    other = {"params/txt/Embed_0/embedding": np.zeros(3)} if prefix == "params/img/" else {}
    np.savez(tmp_path / "w.npz", **{prefix + name: array for name, array in saved.items()}, **other)
    model = vit()
    report = load_weights(model, tmp_path / "w.npz")
    assert report.format == "Google JAX"
    assert sorted(report.loaded) == sorted(model.state_dict())
    assert set(report.dropped) == set(other)
    assert any("gelu" in warning for warning in report.warnings)
    close(model(images()), written.jax_forward(arrays, images().permute(0, 2, 3, 1).numpy()))


def test_bfloat16_arrays_of_jax_are_read(tmp_path):
    arrays = {name: torch.from_numpy(a).bfloat16() for name, a in written.jax_arrays().items()}
    np.savez(tmp_path / "w.npz", **{name: t.view(torch.int16).numpy().view("V2") for name, t in arrays.items()})
    model = vit()
    load_weights(model, tmp_path / "w.npz")
    kept = {name: t.float().numpy() for name, t in arrays.items()}
    close(model(images()), written.jax_forward(kept, images().permute(0, 2, 3, 1).numpy()))


def test_the_heads_of_a_jax_file_must_be_the_models(tmp_path):
    np.savez(tmp_path / "w.npz", **written.jax_arrays())
    with pytest.raises(UserError, match="has 2 heads and the model 4: build it with num_heads=2"):
        load_weights(vit(num_heads=4), tmp_path / "w.npz")


def test_an_unusual_number_of_heads_is_named_where_the_file_does_not_show_it(tmp_path):
    path = write(tmp_path / "w.pth", written.timm(Reference()), "zip")
    (warning,) = load_weights(vit(num_heads=4), path).warnings
    assert "num_heads=4" in warning
    assert "2 would be usual" in warning


def test_an_eps_that_is_not_the_formats_is_named(tmp_path):
    path = write(tmp_path / "w.pth", written.hugging_face(Reference()), "zip")
    (warning,) = load_weights(vit(), path).warnings
    assert "norm_eps=1e-12" in warning


def test_patches_of_2020_are_folded(tmp_path):
    reference = Reference()
    state = written.timm(reference)
    state["patch_embed.proj.weight"] = state["patch_embed.proj.weight"].flatten(1)
    model = vit()
    load_weights(model, write(tmp_path / "w.pth", state, "zip"))
    close(model(images()), reference(images()))


def test_half_precision_comes_out_in_the_models(tmp_path):
    state = {name: tensor.half() for name, tensor in written.timm(Reference()).items()}
    model = vit()
    assert not load_weights(model, write(tmp_path / "w.pth", state, "zip")).warnings
    assert model.head.weight.dtype == torch.float32
    assert model.head.weight.equal(state["head.weight"].float())


def test_longer_numbers_than_the_models_are_named(tmp_path):
    state = {name: tensor.double() for name, tensor in written.timm(Reference()).items()}
    (warning,) = load_weights(vit(), write(tmp_path / "w.pth", state, "zip")).warnings
    assert "rounded" in warning


@pytest.mark.parametrize("name", ["timm", "torchvision", "hf4", "hf5", "deit"])
def test_the_config_is_read_from_shapes(tmp_path, name):
    writer, _, eps = WRITERS[name]
    path = write(tmp_path / "w.pth", writer(Reference()), "zip")
    with pytest.warns(UserWarning, match="number of heads: 2 assumed, which makes 64 channels each"):
        config = config_from_checkpoint(path)
    assert config == ViTConfig(**CONFIG, norm_eps=eps)


@pytest.mark.parametrize("style", ["vit_jax", "big_vision", "stacked"])
def test_the_config_of_a_jax_file_knows_its_heads(tmp_path, style):
    np.savez(tmp_path / "w.npz", **written.jax_arrays(big_vision=style != "vit_jax", stacked=style == "stacked"))
    config = config_from_checkpoint(tmp_path / "w.npz")  # warnings are errors here
    assert {name: getattr(config, name) for name in CONFIG} == CONFIG


def test_a_published_size_takes_its_published_heads(tmp_path):
    with torch.device("meta"):
        state = build(ViTConfig(patch_size=14, embed_dim=1280, depth=32, num_heads=16)).state_dict()
    thin = {
        n: t for n, t in state.items() if not n.startswith("blocks.") or ".mlp.fc1." in n or n.startswith("blocks.0.")
    }
    save_file({n: torch.zeros(t.shape, dtype=torch.uint8) for n, t in thin.items()}, tmp_path / "huge.safetensors")
    with pytest.warns(UserWarning, match="16 assumed, as in vit_huge_patch14_224"):
        assert config_from_checkpoint(tmp_path / "huge.safetensors").num_heads == 16


@pytest.mark.parametrize(
    "config", [ResNetConfig(depth=18), ResNetConfig(depth=None, layers=(1, 2), block="bottleneck")]
)
def test_a_resnet_comes_back_with_its_buffers(tmp_path, config):
    torch.manual_seed(0)
    source = build(config)
    source(torch.randn(2, 3, 64, 64))  # moves the running statistics
    state = {n: t for n, t in source.state_dict().items() if "num_batches" not in n}  # as torchvision's oldest files
    path = write(tmp_path / "w.pth", state, "legacy")
    model = build(config).eval()
    report = load_weights(model, path)
    assert set(report.missing) == {n for n in model.state_dict() if "num_batches" in n}
    x = torch.randn(2, 3, 64, 64)
    assert model(x).equal(source.eval()(x))
    with pytest.warns(UserWarning, match="img_size=224 assumed"):
        assert config_from_checkpoint(path) == config


def test_two_tokens_are_refused_by_a_model_that_has_one(tmp_path):
    path = write(tmp_path / "w.pth", {"model": written.timm(Reference(prefix=2))}, "zip")
    with pytest.raises(UserError, match="dist_token"):
        load_weights(vit(), path)


def test_big_vision_positions_leave_none_for_the_class_token(tmp_path):
    np.savez(tmp_path / "w.npz", **written.jax_arrays(big_vision=True))
    model = vit()
    load_weights(model, tmp_path / "w.npz")
    assert model.pos_embed.shape == (1, 1 + GRID**2, 128)
    assert not model.pos_embed[:, 0].any()
