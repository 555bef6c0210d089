"""Path → opened checkpoint. The content decides what a file is, not its name."""

from __future__ import annotations

import zipfile
from pathlib import Path

from vitbench.models.weights.checkpoint import Checkpoint, damaged, refuse_large
from vitbench.models.weights.npz_file import open_npz
from vitbench.models.weights.safetensors_file import open_safetensors
from vitbench.models.weights.torch_file import open_torch_pickles, open_torch_zip
from vitbench.utils.errors import UserError

PICKLE = b"\x80\x02"

ENCRYPTED = 0x1
"""The flag of a zip's member that needs a password."""


def open_checkpoint(path: str | Path) -> Checkpoint:
    """Opens a ``.pth``, ``.safetensors`` or ``.npz`` file and reads names and shapes, but no tensor.

    Files are untrusted: nothing in them is run, and a size is trusted only if the file is long enough for it.

    Raises:
        UserError: there is no such file, it is none of the three, is damaged, or tries to run code.
    """
    path = Path(path)
    if not path.is_file():
        there = sorted(p.name for p in path.parent.glob(f"*{path.suffix}")) if path.parent.is_dir() else []
        hint = f"; {path.parent} has {', '.join(there[:5])}" if there and path.suffix else ""
        raise UserError(f"there is no checkpoint {path}{hint}: give the path of a .pth, .safetensors or .npz file")
    try:
        checkpoint = _open(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    refuse_large(path, checkpoint.tensors)
    if not checkpoint.tensors:
        raise UserError(f"{path} holds no tensors: give a file with the weights of a model")
    return checkpoint


def _open(path: Path) -> Checkpoint:
    with path.open("rb") as file:
        start = file.read(9)
    if start.startswith(b"PK"):
        return _open_zip(path)
    if start.startswith(PICKLE):
        return open_torch_pickles(path)
    if len(start) == 9 and start.endswith(b"{"):
        return open_safetensors(path)
    what = "is empty" if not start else "is none of them, or damaged at its start"
    raise UserError(f"{path} {what}: .pth, .safetensors and .npz files are read")


def _open_zip(path: Path) -> Checkpoint:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, UnicodeError) as error:
        raise damaged(path, error) from error
    if locked := [member.filename for member in members if member.flag_bits & ENCRYPTED]:
        raise damaged(path, f"it says that {locked[0]} is encrypted")
    if members and all(member.filename.endswith(".npy") for member in members):
        return open_npz(path, members)
    return open_torch_zip(path, members)
