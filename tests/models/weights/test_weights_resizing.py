"""Position embeddings on another grid: the methods against scipy and torch, and what is kept."""

import numpy as np
import pytest
import scipy.ndimage
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given
from hypothesis import strategies as st

from tests.models.weights import written
from tests.models.weights.written import CONFIG, GRID, PATCH, Reference
from vitbench.declare.vit import ViTConfig
from vitbench.models import build
from vitbench.models.weights import load_weights, save_weights
from vitbench.models.weights.resizing import METHODS, resize_grid
from vitbench.utils.errors import UserError

OLD, NEW = GRID**2, (GRID + 2) ** 2


def table(side, dim=6, seed=0):
    return torch.randn(1, side * side, dim, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("old", "new"), [(14, 24), (7, 12), (24, 14), (3, 8)])
def test_bilinear_with_aligned_corners_is_scipys_zoom(old, new):
    grid = table(old).numpy().reshape(old, old, -1)
    zoomed = scipy.ndimage.zoom(grid, (new / old, new / old, 1), order=1)
    ours = resize_grid(table(old), (old, old), (new, new), "bilinear_align_corners")
    np.testing.assert_allclose(ours.numpy().reshape(new, new, -1), zoomed, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
@given(old=st.tuples(st.integers(1, 9), st.integers(1, 9)), new=st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_a_constant_and_the_old_grid_come_back(method, old, new):
    constant = torch.full((1, old[0] * old[1], 2), 1.5)
    torch.testing.assert_close(resize_grid(constant, old, new, method), torch.full((1, new[0] * new[1], 2), 1.5))
    drawn = torch.randn(1, old[0] * old[1], 2)
    torch.testing.assert_close(resize_grid(drawn, old, old, method), drawn)


@pytest.mark.parametrize("method", ["bilinear", "bilinear_align_corners"])
def test_rows_stay_rows(method):
    rows = torch.arange(3.0)[:, None].expand(3, 5).reshape(1, 15, 1)
    out = resize_grid(rows, (3, 5), (6, 4), method).reshape(6, 4)
    torch.testing.assert_close(out, out[:, :1].expand_as(out))
    assert (out[1:, 0] >= out[:-1, 0]).all()


DEFAULTS = {  # what each library's own code calls (FACTS §4), written out once more
    "timm": (written.timm, {"mode": "bicubic", "antialias": True}),
    "deit": (lambda ref: {"model": written.timm(ref)}, {"mode": "bicubic", "align_corners": False}),
    "hf": (written.hugging_face, {"mode": "bicubic", "align_corners": False}),
    "torchvision": (written.torchvision, {"mode": "bicubic", "align_corners": True}),
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_by_default_each_format_is_resized_as_its_own_code_does(tmp_path, name):
    writer, arguments = DEFAULTS[name]
    reference = Reference()
    torch.save(writer(reference), tmp_path / "w.pth")
    model = build(ViTConfig(**CONFIG | {"img_size": PATCH * (GRID + 2)}))
    report = load_weights(model, tmp_path / "w.pth")
    positions = reference.positions.detach()
    grid = positions[:, 1:].reshape(1, GRID, GRID, -1).permute(0, 3, 1, 2)
    expected = F.interpolate(grid, size=(GRID + 2, GRID + 2), **arguments).flatten(2).transpose(1, 2)
    torch.testing.assert_close(model.pos_embed[:, 1:].detach(), expected)
    assert model.pos_embed[:, :1].equal(positions[:, :1])  # the class token's place is none in the grid
    assert report.resized["pos_embed"].startswith("3×3 → 5×5, ")


@pytest.mark.parametrize("big_vision", [False, True])
def test_jax_files_are_zoomed(tmp_path, big_vision):
    arrays = written.jax_arrays(big_vision=big_vision)
    np.savez(tmp_path / "w.npz", **arrays)
    model = build(ViTConfig(**CONFIG | {"img_size": PATCH * (GRID + 2)}))
    report = load_weights(model, tmp_path / "w.npz")
    positions = arrays["pos_embedding" if big_vision else "Transformer/posembed_input/pos_embedding"]
    grid = positions[0, -OLD:].reshape(GRID, GRID, -1)
    zoomed = scipy.ndimage.zoom(grid, (5 / 3, 5 / 3, 1), order=1).reshape(NEW, -1)
    np.testing.assert_allclose(model.pos_embed[0, 1:].detach().numpy(), zoomed, atol=1e-5)
    assert report.resized == {"pos_embed": "3×3 → 5×5, bilinear_align_corners"}


@pytest.mark.parametrize("method", METHODS)
def test_any_method_can_be_asked_for(tmp_path, method):
    torch.save(written.timm(Reference()), tmp_path / "w.pth")
    model = build(ViTConfig(**CONFIG | {"img_size": (PATCH * 2, PATCH * 5)}))
    assert load_weights(model, tmp_path / "w.pth", resize=method).resized["pos_embed"] == f"3×3 → 2×5, {method}"


def test_an_unknown_method_is_answered_with_the_nearest(tmp_path):
    with pytest.raises(UserError, match="did you mean 'bicubic_antialias'"):
        load_weights(build(ViTConfig(**CONFIG)), tmp_path / "w.pth", resize="bicubic_antialia")


def test_a_square_number_of_patches_is_a_square_grid_unless_the_file_says_otherwise(tmp_path):
    oblong = ViTConfig(**CONFIG | {"img_size": (PATCH, PATCH * 9)})
    torch.save(written.timm(Reference()), tmp_path / "w.pth")
    report = load_weights(build(oblong), tmp_path / "w.pth")
    assert report.resized == {"pos_embed": "3×3 → 1×9, bicubic_antialias"}
    save_weights(build(oblong), tmp_path / "w.safetensors")
    assert not load_weights(build(oblong), tmp_path / "w.safetensors").resized


SMALL = {"img_size": 12, "patch_size": 4, "in_chans": 1, "num_classes": 3, "embed_dim": 8, "depth": 2, "num_heads": 2}


def moved(tmp_path, new_size, method, **knobs):
    """Our own model of 3×3 patches, saved and loaded into one of another grid: both, and the report."""
    torch.manual_seed(0)
    old = build(ViTConfig(**SMALL, **knobs))
    for parameter in old.parameters():
        torch.nn.init.normal_(parameter)
    save_weights(old, tmp_path / "w.safetensors")
    new = build(ViTConfig(**(SMALL | {"img_size": new_size}), **knobs))
    return old, new, load_weights(new, tmp_path / "w.safetensors", resize=method)


@pytest.mark.parametrize("pool", ["cls", "mean"])
@pytest.mark.parametrize("method", METHODS)
def test_a_vector_a_row_and_a_column_is_resized_as_the_whole_table_that_they_make(tmp_path, method, pool):
    old, new, report = moved(tmp_path, (20, 8), method, pos_embed="learned2d", pool=pool)
    prefix = old.config.num_prefix_tokens
    whole = resize_grid(old.pos_embed()[:, prefix:], (3, 3), (5, 2), method)
    torch.testing.assert_close(new.pos_embed()[:, prefix:], whole)
    torch.testing.assert_close(new.pos_embed()[:, :prefix], old.pos_embed()[:, :prefix])
    assert set(report.resized) == {"pos_embed.columns", "pos_embed.rows"}


@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_a_bias_that_is_linear_in_the_offset_stays_so(tmp_path, pool):
    knobs = {"pos_embed": "relative", "pool": pool}
    torch.manual_seed(0)
    old, new = build(ViTConfig(**SMALL, **knobs)), build(ViTConfig(**(SMALL | {"img_size": (20, 16)}), **knobs))

    def slope(height, width):
        down, across = torch.linspace(-1, 1, 2 * height - 1), torch.linspace(-1, 1, 2 * width - 1)
        return (2 * down[:, None] - 3 * across).flatten()

    tail = torch.tensor([5.0, 6.0, 7.0]) if pool == "cls" else torch.empty(0)
    for block in old.blocks:
        block.attn.rel_pos.relative_position_bias_table.data = torch.cat((slope(3, 3), tail))[:, None].repeat(1, 2)
    save_weights(old, tmp_path / "w.safetensors")
    report = load_weights(new, tmp_path / "w.safetensors", resize="bilinear_align_corners")
    for block in new.blocks:
        torch.testing.assert_close(
            block.attn.rel_pos.relative_position_bias_table[:, 0], torch.cat((slope(5, 4), tail)), atol=1e-5, rtol=0
        )
    assert set(report.resized.values()) == {"5×5 → 9×7, bilinear_align_corners"}
