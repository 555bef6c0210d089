"""Files of models with more than a class token: DeiT, representation layers, registers, attention pooling, hybrids."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.models.weights import written
from tests.models.weights.written import CONFIG, GRID, HEADS, PATCH, Reference, close, images
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.vit import ViTConfig
from vitbench.models import build
from vitbench.models.weights import config_from_checkpoint, load_weights, save_weights
from vitbench.utils.errors import UserError


def vit(**changes):
    return build(ViTConfig(**CONFIG | changes)).eval()


@pytest.mark.parametrize(
    ("writer", "form", "eps"),
    [
        (lambda ref: {"model": written.timm(ref)}, "DeiT", 1e-6),
        (written.timm, "timm", 1e-6),
        (written.hugging_face, "Hugging Face", 1e-12),
        (lambda ref: written.hugging_face(ref, 5), "Hugging Face", 1e-12),
    ],
)
def test_two_tokens_and_two_heads(tmp_path, writer, form, eps):
    reference = Reference(eps=eps, prefix=2)
    torch.save(writer(reference), tmp_path / "w.pth")
    model = vit(distilled=True, norm_eps=eps)
    report = load_weights(model, tmp_path / "w.pth")
    assert (report.format, report.warnings) == (form, ())
    close(model(images()), reference(images()))
    with pytest.warns(UserWarning, match="number of heads"):
        assert config_from_checkpoint(tmp_path / "w.pth") == ViTConfig(**CONFIG, distilled=True, norm_eps=eps)


def test_two_tokens_keep_their_places_on_another_grid(tmp_path):
    reference = Reference(prefix=2)
    torch.save({"model": written.timm(reference)}, tmp_path / "w.pth")
    model = vit(distilled=True, img_size=PATCH * 4)
    assert load_weights(model, tmp_path / "w.pth").resized == {"pos_embed": "3×3 → 4×4, bicubic"}
    assert model.pos_embed[:, :2].equal(reference.positions[:, :2])


def test_other_classes_leave_both_heads(tmp_path):
    torch.save({"model": written.timm(Reference(prefix=2))}, tmp_path / "w.pth")
    report = load_weights(vit(distilled=True, num_classes=3), tmp_path / "w.pth", replace_head=True)
    assert set(report.missing) == {"head.weight", "head.bias", "head_dist.weight", "head_dist.bias"}


@pytest.mark.parametrize("big_vision", [False, True])
def test_the_tanh_gelu_of_jax(tmp_path, big_vision):
    arrays = written.jax_arrays(big_vision=big_vision)
    np.savez(tmp_path / "w.npz", **arrays)
    model = vit(act="gelu_tanh")
    assert not load_weights(model, tmp_path / "w.npz").warnings
    close(model(images()), written.jax_forward(arrays, images().permute(0, 2, 3, 1).numpy(), written.tanh_gelu))
    assert config_from_checkpoint(tmp_path / "w.npz") == ViTConfig(**CONFIG, act="gelu_tanh")


def test_the_representation_layer_is_loaded_or_asked_about(tmp_path):
    arrays = written.jax_arrays(representation=128)
    np.savez(tmp_path / "w.npz", **arrays)
    model = vit(act="gelu_tanh", representation_size=128)
    assert not load_weights(model, tmp_path / "w.npz").warnings
    with_it = written.jax_forward(arrays, images().permute(0, 2, 3, 1).numpy(), written.tanh_gelu)
    close(model(images()), with_it)
    with pytest.raises(UserError, match=r"only in the file: pre_logits\.fc\.weight"):
        load_weights(vit(act="gelu_tanh"), tmp_path / "w.npz")
    plain = vit(act="gelu_tanh")
    report = load_weights(plain, tmp_path / "w.npz", drop=["pre_logits"])
    assert set(report.dropped) == {"pre_logits/kernel", "pre_logits/bias"}
    assert not report.warnings
    assert (plain(images()) - torch.as_tensor(with_it)).abs().max() > 0.1


def test_the_pooler_of_hugging_face_is_the_representation_layer(tmp_path):
    reference = Reference(eps=1e-12)
    state = {n.removeprefix("vit."): t for n, t in written.hugging_face(reference).items() if "classifier" not in n}
    state |= {"pooler.dense.weight": torch.randn(128, 128), "pooler.dense.bias": torch.randn(128)}
    torch.save(state | {"embeddings.mask_token": torch.zeros(1, 1, 128)}, tmp_path / "w.bin")
    model = vit(num_classes=0, representation_size=128, norm_eps=1e-12)
    report = load_weights(model, tmp_path / "w.bin")
    assert report.dropped == {"embeddings.mask_token": "it is for masked pretraining alone"}
    assert not report.warnings
    assert model.pre_logits.fc.weight.equal(state["pooler.dense.weight"])


@pytest.mark.parametrize("rows", ["all", "all but the registers", "none"])
def test_registers_with_positions_and_without(tmp_path, rows):
    state = written.timm(Reference())
    state["reg_token"] = torch.randn(1, 4, 128)
    drawn = torch.randn(1, 5 + GRID**2, 128)
    first = {"all": 5, "all but the registers": 1, "none": 0}[rows]
    state["pos_embed"] = torch.cat((drawn[:, :first], drawn[:, 5:]), 1)
    torch.save(state, tmp_path / "w.pth")
    model = vit(num_registers=4)
    load_weights(model, tmp_path / "w.pth")
    assert model.pos_embed[:, 5:].equal(drawn[:, 5:])
    assert model.pos_embed[:, :first].equal(drawn[:, :first])
    assert not model.pos_embed[:, first:5].any()


def test_attention_pooling_of_big_vision(tmp_path):
    arrays = written.jax_arrays(big_vision=True)
    del arrays["cls"]
    rng = np.random.default_rng(3)
    like = {n: a for n, a in arrays.items() if n.startswith("Transformer/encoderblock_0/") and "LayerNorm_1" not in n}
    pool = {n.replace("Transformer/encoderblock_0", "MAPHead_0"): rng.standard_normal(a.shape) for n, a in like.items()}
    pool = {n: (0.2 * a).astype(np.float32) for n, a in pool.items()} | {
        "MAPHead_0/probe": rng.standard_normal((1, 1, 128)).astype(np.float32)
    }
    np.savez(tmp_path / "w.npz", **{f"params/{n}": a for n, a in (arrays | pool).items()})
    model = vit(act="gelu_tanh", pool="map")
    assert not load_weights(model, tmp_path / "w.npz").warnings
    tokens = torch.randn(2, GRID**2, 128)
    p = {n.removeprefix("MAPHead_0/"): torch.from_numpy(a) for n, a in pool.items()}
    at = "MultiHeadDotProductAttention_0"
    q, k, v = (
        torch.einsum("ntd,dhe->nhte", x, p[f"{at}/{n}/kernel"]) + p[f"{at}/{n}/bias"][:, None]
        for n, x in (("query", p["probe"].expand(2, -1, -1)), ("key", tokens), ("value", tokens))
    )
    seen = ((q @ k.transpose(2, 3)) / (128 // HEADS) ** 0.5).softmax(-1) @ v
    x = torch.einsum("nhte,hed->ntd", seen, p[f"{at}/out/kernel"])[:, 0] + p[f"{at}/out/bias"]
    y = F.layer_norm(x, (128,), p["LayerNorm_0/scale"], p["LayerNorm_0/bias"], 1e-6)
    y = F.gelu(y @ p["MlpBlock_0/Dense_0/kernel"] + p["MlpBlock_0/Dense_0/bias"], approximate="tanh")
    close(model.attn_pool(tokens), x + y @ p["MlpBlock_0/Dense_1/kernel"] + p["MlpBlock_0/Dense_1/bias"])
    assert config_from_checkpoint(tmp_path / "w.npz") == ViTConfig(**CONFIG, act="gelu_tanh", pool="map")


def jax_hybrid(layers, width=32, old=False):
    """Arrays of a hybrid: HWIO kernels, group norms flat or, as the oldest files have them, (1, 1, 1, channels)."""
    rng = np.random.default_rng(5)

    def draw(*shape):
        return (0.3 * rng.standard_normal(shape)).astype(np.float32)

    def norm(at, channels):
        shape = (1, 1, 1, channels) if old else (channels,)
        return {f"{at}/scale": 1 + draw(*shape), f"{at}/bias": draw(*shape)}

    arrays = {n: a for n, a in written.jax_arrays().items() if not n.startswith("embedding")}
    arrays |= {"conv_root/kernel": draw(7, 7, 3, width)} | norm("gn_root", width)
    inputs = width
    for stage, count in enumerate(layers, 1):
        outputs = 4 * width * 2 ** (stage - 1)
        for unit in range(1, count + 1):
            at = f"block{stage}/unit{unit}"
            for n, shape in (
                (1, (1, 1, inputs, outputs // 4)),
                (2, (3, 3, outputs // 4, outputs // 4)),
                (3, (1, 1, outputs // 4, outputs)),
            ):
                arrays |= {f"{at}/conv{n}/kernel": draw(*shape)} | norm(f"{at}/gn{n}", shape[-1])
            if unit == 1:
                arrays |= {f"{at}/conv_proj/kernel": draw(1, 1, inputs, outputs)} | norm(f"{at}/gn_proj", outputs)
            inputs = outputs
    return arrays | {"embedding/kernel": draw(1, 1, inputs, 128), "embedding/bias": draw(128)}


def jax_features(arrays, layers, x):
    """The residual network as models_resnet.py has it, with torch's functions."""
    p = {n: torch.from_numpy(a) for n, a in arrays.items()}

    def conv(x, at, stride=1):
        kernel = p[f"{at}/kernel"]
        kernel = (kernel - kernel.mean((0, 1, 2))) / (kernel.std((0, 1, 2), correction=0) + 1e-5)
        total = max((-(-x.shape[-1] // stride) - 1) * stride + kernel.shape[0] - x.shape[-1], 0)
        x = F.pad(x, (total // 2, total - total // 2) * 2)
        return F.conv2d(x, kernel.permute(3, 2, 0, 1), stride=stride)

    def norm(x, at):
        return F.group_norm(x, 32, p[f"{at}/scale"].flatten(), p[f"{at}/bias"].flatten(), 1e-5)

    x = F.relu(norm(conv(x, "conv_root", 2), "gn_root"))
    x = F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-torch.inf), 3, 2)
    for stage, count in enumerate(layers, 1):
        for unit in range(1, count + 1):
            at, stride = f"block{stage}/unit{unit}", 2 if stage > 1 and unit == 1 else 1
            y = F.relu(norm(conv(x, f"{at}/conv1"), f"{at}/gn1"))
            y = F.relu(norm(conv(y, f"{at}/conv2", stride), f"{at}/gn2"))
            y = norm(conv(y, f"{at}/conv3"), f"{at}/gn3")
            x = F.relu(y + (norm(conv(x, f"{at}/conv_proj", stride), f"{at}/gn_proj") if unit == 1 else x))
    return x


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("layers", [(), (1,), (2, 1)])
def test_hybrids_of_jax(tmp_path, layers, old):
    arrays = jax_hybrid(layers, old=old)
    np.savez(tmp_path / "w.npz", **arrays)
    stride = 4 * 2 ** max(len(layers) - 1, 0)
    hybrid = {"stem": "hybrid", "hybrid_layers": layers, "hybrid_width": 32, "act": "gelu_tanh"}
    config = ViTConfig(**CONFIG | hybrid | {"patch_size": stride, "img_size": stride * GRID})
    model = build(config).eval()
    (warning,) = load_weights(model, tmp_path / "w.npz").warnings
    assert "1e-5 to a filter's deviation" in warning
    x = images(stride * GRID)
    close(model.patch_embed.backbone(x), jax_features(arrays, layers, x), 1e-3)
    assert config_from_checkpoint(tmp_path / "w.npz") == config


SIZES = {"img_size": 8, "patch_size": 4, "num_classes": 3, "embed_dim": 64, "num_heads": 1, "mlp_ratio": 2.0}
KNOBS = st.fixed_dictionaries(
    {},
    optional={
        "depth": st.integers(1, 3),
        "in_chans": st.integers(1, 4),
        "qkv_bias": st.booleans(),
        "num_registers": st.integers(0, 3),
        "representation_size": st.sampled_from([None, 5]),
        "pool": st.sampled_from(["cls", "mean", "map"]),
        "stem": st.sampled_from(["patchify", "conv"]),
        "norm": st.sampled_from(["layernorm", "rmsnorm", "batchnorm"]),
        "mlp": st.sampled_from(["mlp", "swiglu"]),
        "qk_norm": st.booleans(),
        "layer_scale": st.sampled_from([None, 1e-5]),
        "patch_norm": st.booleans(),
    },
)


@given(knobs=KNOBS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_knob_that_has_a_tensor_is_seen(tmp_path, knobs):
    config = ViTConfig(**SIZES | {"depth": 2} | knobs)
    torch.save(build(config).state_dict(), tmp_path / "w.pth")
    with pytest.warns(UserWarning, match="number of heads"):
        assert config_from_checkpoint(tmp_path / "w.pth") == config
    assert not load_weights(build(config), tmp_path / "w.pth").warnings


@pytest.mark.parametrize("knob", [{"qk_scale": 1.0}, {"residual": False}, {"norm_position": "post"}, {"act": "relu"}])
def test_a_knob_without_a_tensor_is_named(tmp_path, knob):
    torch.save(written.timm(Reference()), tmp_path / "w.pth")
    if "norm_position" in knob:
        with pytest.raises(UserError, match=r"only in the file: norm\.weight"):
            load_weights(vit(**knob), tmp_path / "w.pth")
    else:
        (warning,) = load_weights(vit(**knob), tmp_path / "w.pth").warnings
        assert next(iter(knob)) in warning


@pytest.mark.parametrize("knobs", [{"variant": "d"}, {"norm": "groupnorm"}, {"residual": False}, {"stem": "cifar"}])
def test_the_knobs_of_a_resnet_are_seen(tmp_path, knobs):
    config = ResNetConfig(**{"depth": None, "layers": (1, 1), "block": "basic", "width": 8} | knobs)
    torch.save(build(config).state_dict(), tmp_path / "w.pth")
    with pytest.warns(UserWarning, match="image size"):
        found = config_from_checkpoint(tmp_path / "w.pth")
    assert {n: getattr(found, n) for n in knobs} == knobs
    assert not load_weights(build(config), tmp_path / "w.pth").warnings


@pytest.mark.parametrize("at", ["every_layer", "every_layer_shared"])
@pytest.mark.parametrize("pos_embed", ["learned", "learned2d"])
def test_positions_of_each_layer_come_back(tmp_path, pos_embed, at):
    config = ViTConfig(**CONFIG, pos_embed=pos_embed, pos_embed_at=at)
    source, model = build(config), build(config)
    save_weights(source, tmp_path / "w.safetensors")
    assert not load_weights(model, tmp_path / "w.safetensors").missing
    state = source.state_dict()
    assert all(tensor.equal(state[name]) for name, tensor in model.state_dict().items())
