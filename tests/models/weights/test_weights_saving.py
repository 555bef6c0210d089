"""What we write we read, and so does anybody who reads safetensors."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.vit import ViTConfig
from vitbench.models import build
from vitbench.models.weights import config_from_checkpoint, load_weights, save_weights
from vitbench.utils.errors import UserError

VITS = st.builds(
    ViTConfig,
    img_size=st.tuples(st.integers(1, 3), st.integers(1, 3)).map(lambda grid: (4 * grid[0], 4 * grid[1])),
    patch_size=st.just(4),
    in_chans=st.integers(1, 4),
    num_classes=st.integers(0, 5),
    embed_dim=st.sampled_from([8, 16, 24]),
    depth=st.integers(1, 3),
    num_heads=st.sampled_from([1, 2]),
    mlp_ratio=st.floats(0.2, 4),
    qkv_bias=st.booleans(),
    pos_embed=st.sampled_from(["none", "learned", "learned2d", "sincos1d", "sincos2d", "relative", "rope"]),
    num_registers=st.integers(0, 2),
    norm=st.sampled_from(["layernorm", "rmsnorm", "batchnorm"]),
    norm_position=st.sampled_from(["pre", "post"]),
    layer_scale=st.sampled_from([None, 0.1]),
    mlp=st.sampled_from(["mlp", "swiglu"]),
    pool=st.sampled_from(["cls", "mean", "map"]),
    norm_eps=st.sampled_from([1e-6, 1e-12]),
)
RESNETS = st.builds(
    ResNetConfig,
    depth=st.none(),
    layers=st.lists(st.integers(1, 2), min_size=1, max_size=3).map(tuple),
    block=st.sampled_from(["basic", "bottleneck"]),
    width=st.integers(1, 8),
    stem=st.sampled_from(["imagenet", "cifar"]),
    num_classes=st.integers(0, 5),
)


@given(config=VITS | RESNETS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_save_then_load_is_the_identity(tmp_path, config):
    path = tmp_path / "w.safetensors"
    source, model = build(config), build(config)
    save_weights(source, path)
    report = load_weights(model, path)
    state = source.state_dict()
    assert all(state[name].equal(tensor) for name, tensor in model.state_dict().items())
    computed = {"pos_embed"} if getattr(config, "pos_embed", "").startswith("sincos") else set()
    assert set(report.loaded) == set(state) - computed
    assert set(report.dropped) == set(report.missing) == computed
    assert not report.resized
    assert not report.warnings
    assert config_from_checkpoint(path) == config
    assert load_file(path).keys() == state.keys()


def test_a_knob_without_a_shape_is_named_when_it_differs(tmp_path):
    save_weights(build(ViTConfig(embed_dim=16, depth=1, num_heads=2, norm_eps=1e-5)), tmp_path / "w.safetensors")
    report = load_weights(build(ViTConfig(embed_dim=16, depth=1, num_heads=4)), tmp_path / "w.safetensors")
    assert sorted(warning.partition(",")[0] for warning in report.warnings) == [
        "the file was made with norm_eps=1e-05",
        "the file was made with num_heads=2",
    ]


def test_training_knobs_are_no_difference(tmp_path):
    small = {"embed_dim": 16, "depth": 1, "num_heads": 2}
    save_weights(build(ViTConfig(**small, drop_rate=0.1, init="jax", drop_path_rate=0.2)), tmp_path / "w.safetensors")
    assert not load_weights(build(ViTConfig(**small)), tmp_path / "w.safetensors").warnings


def test_an_unfinished_file_is_not_left_behind(tmp_path):
    model = build(ViTConfig(embed_dim=16, depth=1, num_heads=2))
    with pytest.raises(UserError, match="cannot be written"):
        save_weights(model, tmp_path / "nowhere" / "w.safetensors")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        save_weights(model, tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_model_on_meta_has_nothing_to_save(tmp_path):
    with torch.device("meta"):
        model = build(ViTConfig(embed_dim=16, depth=1, num_heads=2))
    with pytest.raises(UserError, match="meta"):
        save_weights(model, tmp_path / "w.safetensors")


def test_a_model_of_somebody_else_comes_back_into_it(tmp_path):
    source, model = torch.nn.Linear(2, 3), torch.nn.Linear(2, 3)
    save_weights(source, tmp_path / "w.safetensors")
    load_weights(model, tmp_path / "w.safetensors")
    assert model.weight.equal(source.weight)
    with pytest.raises(UserError, match="does not contain its model's config"):
        config_from_checkpoint(tmp_path / "w.safetensors")
