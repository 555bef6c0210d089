"""Files are untrusted: each bad one gives one clear sentence, runs nothing, allocates nothing, changes nothing."""

import contextlib
import io
import json
import os
import pickle
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from tests.models.weights import written
from tests.models.weights.written import CONFIG, Reference
from vitbench.declare.resnet import ResNetConfig
from vitbench.declare.serialize import as_dict
from vitbench.declare.vit import ViTConfig
from vitbench.models import build
from vitbench.models.weights import checkpoint, config_from_checkpoint, load_weights
from vitbench.utils.errors import UserError


def refused(path, match, config=None, **options):
    """Loading raises this one sentence, reading the config too, and the model keeps its weights."""
    model = build(config or ViTConfig(**CONFIG))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(UserError, match=match) as caught:
        load_weights(model, path, **options)
    assert "\n" not in str(caught.value)
    assert all(before[name].equal(tensor) for name, tensor in model.state_dict().items())


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A folder with the same weights as each kind of file (as bytes, a failing test would print megabytes)."""
    folder = tmp_path_factory.mktemp("good")
    state = written.timm(Reference())
    torch.save(state, folder / "zip", _use_new_zipfile_serialization=True)
    torch.save(state, folder / "legacy", _use_new_zipfile_serialization=False)
    with (folder / "npz").open("wb") as file:
        np.savez(file, **written.jax_arrays())
    save_file({name: tensor.contiguous().clone() for name, tensor in state.items()}, folder / "safetensors")
    return folder


class Malice:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("where", ["alone", "beside", "inside"])
def test_a_pickle_that_runs_code_is_not_run(tmp_path, new, where):
    planted = tmp_path / "planted"
    state = written.timm(Reference())
    evil = Malice(str(planted))
    whole = {"alone": evil, "beside": {"model": state, "args": evil}, "inside": state | {"norm.extra": evil}}[where]
    torch.save(whole, tmp_path / "w.pth", _use_new_zipfile_serialization=new)
    refused(tmp_path / "w.pth", r"tries to run posix\.mkdir; weights never need code, so it was not opened")
    assert not planted.exists()


def test_a_bare_pickle_that_runs_code_is_not_run(tmp_path):
    (tmp_path / "w.pth").write_bytes(pickle.dumps(Malice(str(tmp_path / "planted")), protocol=2))
    refused(tmp_path / "w.pth", "tries to run posix.mkdir")
    assert not (tmp_path / "planted").exists()


def test_an_npz_with_pickled_objects_is_not_run(tmp_path):
    evil = np.array([Malice(str(tmp_path / "planted"))], dtype=object)
    np.savez(tmp_path / "w.npz", **written.jax_arrays() | {"cls": evil})
    refused(tmp_path / "w.npz", "cls holds Python objects, which could run code")
    assert not (tmp_path / "planted").exists()


@pytest.mark.parametrize("kind", ["zip", "legacy", "npz", "safetensors"])
@pytest.mark.parametrize("keep", [0.0, 0.001, 0.01, 0.5, 0.99, 1.0])
def test_a_truncated_file_is_refused(tmp_path, good, kind, keep):
    raw = (good / kind).read_bytes()
    path = tmp_path / "w.bin"
    path.write_bytes(raw[: min(int(keep * len(raw)), len(raw) - 1)])
    refused(path, "truncated or damaged|is empty|is none of them")


@pytest.mark.parametrize("kind", ["zip", "legacy", "npz", "safetensors"])
@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_flipped_bytes_give_a_user_error_or_numbers(tmp_path, good, kind, data):
    raw = bytearray((good / kind).read_bytes())
    ends = st.one_of(st.integers(0, 3000), st.integers(len(raw) - 3000, len(raw) - 1))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(ends)] = data.draw(st.integers(0, 255))
    path = tmp_path / "w.bin"
    path.write_bytes(raw)
    model = build(ViTConfig(**CONFIG))
    with contextlib.suppress(UserError):
        load_weights(model, path)


@pytest.mark.parametrize("kind", ["zip", "npz"])
def test_a_zip_that_asks_for_a_password_is_refused(tmp_path, good, kind):
    raw = bytearray((good / kind).read_bytes())
    raw[raw.rindex(b"PK\x01\x02") + 8] |= 1  # a flag of the last member, in the zip's directory
    (tmp_path / "w.bin").write_bytes(raw)
    refused(tmp_path / "w.bin", "truncated or damaged .it says that .* is encrypted")


def peak_of(action):
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_an_npz_that_unpacks_to_more_than_the_limit_is_not_unpacked(tmp_path, monkeypatch):
    bomb = np.zeros(64 * 2**20, np.uint8)
    np.savez_compressed(tmp_path / "w.npz", **written.jax_arrays(), bomb=bomb)
    del bomb
    assert (tmp_path / "w.npz").stat().st_size < 8 * 2**20
    monkeypatch.setattr(checkpoint, "MAX_BYTES", 32 * 2**20)
    peak = peak_of(lambda: refused(tmp_path / "w.npz", "more than 0.03125 GiB is not read"))
    assert peak < 16 * 2**20


def test_an_npz_under_the_limit_that_does_not_fit_is_not_unpacked_either(tmp_path):
    np.savez_compressed(tmp_path / "w.npz", **written.jax_arrays() | {"head/bias": np.zeros(64 * 2**20, np.uint8)})
    assert peak_of(lambda: refused(tmp_path / "w.npz", "head.bias")) < 16 * 2**20


def test_an_array_whose_header_says_more_than_its_bytes_is_refused(tmp_path):
    np.savez(tmp_path / "w.npz", **written.jax_arrays())
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (2**40,)})
    with zipfile.ZipFile(tmp_path / "w.npz", "a") as archive:
        archive.writestr("more.npy", header.getvalue() + bytes(100))
    refused(tmp_path / "w.npz", r"more says its shape is \(1099511627776,\), which does not fit the 100 bytes")


def test_a_torch_file_that_is_compressed_is_refused(tmp_path):
    torch.save({"a": torch.zeros(2**20)}, tmp_path / "plain.pth")
    with zipfile.ZipFile(tmp_path / "plain.pth") as plain, zipfile.ZipFile(tmp_path / "w.pth", "w", 8) as packed:
        for member in plain.infolist():
            packed.writestr(member.filename, plain.read(member))
    refused(tmp_path / "w.pth", "expands to more than its stored size")


@pytest.mark.parametrize("new", [True, False])
def test_a_tensor_that_is_larger_than_its_file_is_refused(tmp_path, new):
    wide = torch.zeros(1).expand(2**40)
    torch.save({"a": wide}, tmp_path / "w.pth", _use_new_zipfile_serialization=new)
    refused(tmp_path / "w.pth", "a tensor of shape .* is not within its 1 numbers")


def test_a_legacy_file_that_promises_more_than_it_is_long_is_refused(tmp_path):
    torch.save({"a": torch.zeros(1000)}, tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    raw = (tmp_path / "w.pth").read_bytes()
    number = b"M" + struct.pack("<H", 1000)
    assert raw.count(number) >= 2  # the storage's and the shape's
    (tmp_path / "w.pth").write_bytes(raw.replace(number, b"J" + struct.pack("<i", 2**31 - 1)))
    refused(tmp_path / "w.pth", "it ends before its tensors do")


def test_a_memo_index_that_would_fill_the_memory_is_refused(tmp_path):
    raw = b"\x80\x02}r" + struct.pack("<I", 2**32 - 1) + b"."
    (tmp_path / "w.pth").write_bytes(raw)
    refused(tmp_path / "w.pth", "it counts to 4294967295")


def test_opcodes_that_weights_do_not_use_are_refused(tmp_path):
    (tmp_path / "w.pth").write_bytes(pickle.dumps({"a": bytearray(10)}, protocol=5).replace(b"\x80\x05", b"\x80\x02"))
    refused(tmp_path / "w.pth", "is not used in weights")


def test_a_header_of_safetensors_that_promises_more_is_refused(tmp_path):
    header = json.dumps({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
    (tmp_path / "w.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    refused(tmp_path / "w.safetensors", "truncated or damaged")


@pytest.mark.parametrize(
    "config",
    [
        '{"type": "Nothing"}',
        "[",
        "[1]",
        '{"type": "ExternalConfig", "source": "os:system", "kwargs": {"command": "false"}}',
        '{"type": "TrainConfig"}',
        '{"type": "ViTConfig", "depth": -1}',
    ],
)
def test_a_planted_config_is_refused(tmp_path, config):
    """An ExternalConfig names a function that building calls: no file may choose it."""
    save_file({"a": torch.zeros(1)}, tmp_path / "w.safetensors", {"vitbench.config": config})
    refused(tmp_path / "w.safetensors", "its embedded vitbench config")


@pytest.mark.parametrize(
    ("raw", "match"),
    [(b"", "is empty"), (b"<html>404</html>", "is none of them"), (b"PK\x03\x04junk", "truncated or damaged")],
)
def test_no_checkpoint_at_all(tmp_path, raw, match):
    (tmp_path / "w.pth").write_bytes(raw)
    refused(tmp_path / "w.pth", match)
    with pytest.raises(UserError, match=match):
        config_from_checkpoint(tmp_path / "w.pth")


def test_a_missing_file_names_its_neighbours(tmp_path):
    (tmp_path / "b.pth").write_bytes(b"x")
    refused(tmp_path / "a.pth", r"there is no checkpoint .*a\.pth; .* has b\.pth")
    refused(tmp_path / "nowhere" / "a.pth", "there is no checkpoint")
    refused(tmp_path, "there is no checkpoint")


def test_other_zips_and_other_objects(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    refused(tmp_path / "a.zip", "neither of torch.save nor of numpy")
    torch.save([torch.zeros(2)], tmp_path / "list.pth")
    refused(tmp_path / "list.pth", "holds a list, not the weights of a model")
    torch.save({}, tmp_path / "none.pth")
    refused(tmp_path / "none.pth", "holds no tensors")
    torch.save({"fc9.weight": torch.zeros(2)}, tmp_path / "other.pth")
    refused(tmp_path / "other.pth", r"not in a recognised checkpoint format \(its tensors are fc9.weight")


def test_another_architecture_names_tensors_and_the_published_name_that_fits(tmp_path):
    torch.save(build(ResNetConfig(depth=34)).state_dict(), tmp_path / "w.pth")
    refused(
        tmp_path / "w.pth",
        r"only in the file: conv1\.weight.* only in the model: cls_token.*; a model of zoo\('resnet34'\), num_cl",
    )
    refused(tmp_path / "w.pth", r"only in the file: layer\d.*zoo\('resnet34'\)", ResNetConfig(depth=18))


def test_another_size_says_which_shapes(tmp_path):
    torch.save(written.timm(Reference()), tmp_path / "w.pth")
    config = ViTConfig(**CONFIG | {"embed_dim": 64})
    refused(
        tmp_path / "w.pth", r"cls_token \(1×1×128 in the file, 1×1×64 in the model\).*config_from_checkpoint\(", config
    )


def test_other_classes_are_an_error_unless_the_head_may_stay(tmp_path):
    torch.save(written.timm(Reference()), tmp_path / "w.pth")
    config = ViTConfig(**CONFIG | {"num_classes": 7})
    refused(tmp_path / "w.pth", "is for 5 classes and the model for 7: .*replace_head=True", config)
    model = build(config)
    head = model.head.weight.clone()
    report = load_weights(model, tmp_path / "w.pth", replace_head=True)
    assert model.head.weight.equal(head)
    assert set(report.missing) == set(report.dropped) == {"head.weight", "head.bias"}
    assert "dropped head.weight: the file has 5 classes, the model 7" in str(report)


def test_a_file_without_a_head_and_a_model_without_one(tmp_path):
    torch.save({n: t for n, t in written.timm(Reference()).items() if "head" not in n}, tmp_path / "w.pth")
    refused(tmp_path / "w.pth", "is for 0 classes and the model for 5")
    report = load_weights(build(ViTConfig(**CONFIG)), tmp_path / "w.pth", replace_head=True)
    assert set(report.missing) == {"head.weight", "head.bias"}
    assert not load_weights(build(ViTConfig(**CONFIG | {"num_classes": 0})), tmp_path / "w.pth").missing


def test_nothing_is_dropped_unless_it_is_named(tmp_path):
    state = written.timm(Reference()) | {"extra.fc.weight": torch.zeros(128, 128)}
    torch.save(state, tmp_path / "w.pth")
    refused(tmp_path / "w.pth", r"only in the file: extra\.fc\.weight")
    refused(tmp_path / "w.pth", "unknown tensor of .* to drop 'extro'.*did you mean 'extra'", drop=["extro"])
    report = load_weights(build(ViTConfig(**CONFIG)), tmp_path / "w.pth", drop=["extra"])
    assert set(report.dropped) == {"extra.fc.weight"}


def test_missing_and_half_missing_tensors(tmp_path):
    state = written.timm(Reference())
    torch.save({n: t for n, t in state.items() if n != "blocks.1.norm2.bias"}, tmp_path / "w.pth")
    refused(tmp_path / "w.pth", r"only in the model: blocks\.1\.norm2\.bias")
    state = written.hugging_face(Reference())
    del state["vit.encoder.layer.1.attention.attention.key.bias"]
    torch.save(state, tmp_path / "w.pth")
    refused(tmp_path / "w.pth", r"blocks\.1\.attn\.qkv\.bias needs 3 tensors")


def test_whole_numbers_are_no_weights(tmp_path):
    torch.save({n: t.to(torch.int8) for n, t in written.timm(Reference()).items()}, tmp_path / "w.pth")
    refused(tmp_path / "w.pth", "hold torch.int8: not weights")


def test_a_fixed_table_is_not_overwritten_by_a_learned_one(tmp_path):
    torch.save(written.timm(Reference()), tmp_path / "w.pth")
    refused(tmp_path / "w.pth", "build it with pos_embed='learned'", ViTConfig(**CONFIG, pos_embed="sincos2d"))


def test_a_model_on_meta_is_refused(tmp_path):
    torch.save(written.timm(Reference()), tmp_path / "w.pth")
    with torch.device("meta"):
        model = build(ViTConfig(**CONFIG))
    with pytest.raises(UserError, match="meta"):
        load_weights(model, tmp_path / "w.pth")


@pytest.mark.parametrize("side", [4, 8, 16, 400])
def test_a_config_that_lies_about_its_file_is_refused(tmp_path, side):
    state = {name: t.contiguous().clone() for name, t in written.timm(Reference()).items()}
    lie = json.dumps(as_dict(ViTConfig(**CONFIG | {"img_size": side})))
    save_file(state, tmp_path / "w.safetensors", {"vitbench.weights": "1", "vitbench.config": lie})
    refused(tmp_path / "w.safetensors", "does not fit the model|truncated or damaged")


def test_a_tensor_without_numbers_is_of_no_model(tmp_path):
    torch.save(written.timm(Reference()) | {"patch_embed.proj.weight": torch.zeros(0, 3, 4, 4)}, tmp_path / "w.pth")
    refused(
        tmp_path / "w.pth", r"not a model that can be built here: patch_embed\.proj\.weight has shape \(0, 3, 4, 4\)"
    )
    with pytest.raises(UserError, match="has shape"):
        config_from_checkpoint(tmp_path / "w.pth")


@pytest.mark.parametrize("shape", [(2, 10, 128), (10, 128), (1, 0, 128), (1, 10, 127), (0, 10, 128), (1, 11, 128)])
def test_positions_of_impossible_shapes(tmp_path, shape):
    torch.save(written.timm(Reference()) | {"pos_embed": torch.zeros(shape)}, tmp_path / "w.pth")
    refused(tmp_path / "w.pth", "pos_embed|do not form a square|cannot be told")
