"""Finds ablation files by name, lists them without executing them, and loads one."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vitbench.declare.ablation import Ablation
from vitbench.utils.errors import UserError, choices, unknown


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What ``--list`` shows of an ablation file."""

    name: str
    path: Path
    question: str
    duration: str  # "about 2 minutes on two CPU cores", or ""
    shipped: bool
    broken: str = ""  # why the file cannot be parsed


def shipped_directory() -> Path:
    """The folder of the shipped ablations: in the installed package, or beside it in a checkout."""
    package = Path(__file__).parent.parent
    inside = package / "_ablations"
    return inside if inside.is_dir() else package.parent / "ablations"


def _files() -> Iterator[tuple[Path, bool]]:
    """Paths of ablation files and whether they are shipped; the user's own come first."""
    own, shipped = Path("ablations"), shipped_directory()
    if own.is_dir() and own.resolve() != shipped.resolve():
        yield from ((path, False) for path in sorted(own.glob("*.py")) if not path.name.startswith("_"))
    yield from ((path, True) for path in sorted(shipped.glob("*.py")) if not path.name.startswith("_"))


def _question(tree: ast.Module) -> str | None:
    """The ``question=`` of ``ABLATION = Ablation(…)``, or None if the file has no such call."""
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if not any(isinstance(t, ast.Name) and t.id == "ABLATION" for t in targets):
            continue
        call = node.value if isinstance(node, (ast.Assign, ast.AnnAssign)) else None
        for keyword in call.keywords if isinstance(call, ast.Call) else []:
            if keyword.arg == "question" and isinstance(keyword.value, ast.Constant):
                return str(keyword.value.value)
        return ""
    return None


def read(path: Path, *, shipped: bool = False) -> Listing:
    """The listing of one file, from its syntax tree."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    except (SyntaxError, ValueError, OSError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        return Listing(
            name=path.stem, path=path, question="", duration="", shipped=shipped, broken=f"{path}{line}: {reason}"
        )
    summary = ast.get_docstring(tree) or ""
    duration = re.search(r"vitbench\.ablate .*#\s*(.+)", summary)
    question = _question(tree)
    return Listing(
        name=path.stem,
        path=path,
        question=question or summary.partition("\n")[0],
        duration=duration[1].strip() if duration else "",
        shipped=shipped,
        broken="" if question is not None else f"{path} defines no ABLATION = Ablation(…)",
    )


def listings() -> list[Listing]:
    """Every ablation that can be named; a user's file hides a shipped one of the same name."""
    found: dict[str, Listing] = {}
    for path, shipped in _files():
        found.setdefault(path.stem, read(path, shipped=shipped))
    return list(found.values())


def find(name: str) -> Path:
    """The file of an ablation, by name or path.

    Raises:
        UserError: no such file exists.
    """
    if name.endswith(".py") or "/" in name:
        path = Path(name)
        if not path.is_file():
            raise UserError(f"no ablation file {name!r}: `python -m vitbench.ablate --list` shows what exists")
        return path
    known = {path.stem: path for path, _ in reversed(list(_files()))}
    if name not in known:
        raise UserError(f"{unknown('ablation', name, sorted(known))} — or give the path of a file")
    return known[name]


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """An ablation and the file that declares it."""

    name: str
    path: Path
    summary: str  # the file's docstring
    ablation: Ablation


def load(name: str) -> Loaded:
    """Executes an ablation file.

    Raises:
        UserError: the file does not exist, fails (the message names file and line), or defines no ``ABLATION``.
    """
    path = find(name)
    spec = importlib.util.spec_from_file_location(f"vitbench_ablation_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent))  # as `python FILE` does, so that modules beside the file are found
    try:
        spec.loader.exec_module(module)
    except UserError as error:
        raise UserError(f"{_place(path, error)}: {error}") from error
    except Exception as error:
        raise UserError(f"{_place(path, error)}: {type(error).__name__}: {error}") from error
    finally:
        sys.path.pop(0)
    ablation = getattr(module, "ABLATION", None)
    if not isinstance(ablation, Ablation):
        others = [key for key, value in vars(module).items() if isinstance(value, Ablation)]
        hint = f"; it has {choices(others)}" if others else ""
        raise UserError(f"{path} defines no ABLATION = Ablation(…){hint}: see {shipped_directory() / 'pos_embed.py'}")
    return Loaded(name=path.stem, path=path, summary=module.__doc__ or "", ablation=ablation)


def _place(path: Path, error: BaseException) -> str:
    """``"FILE, line N"``: the last line of the ablation file in the traceback."""
    if isinstance(error, SyntaxError) and error.lineno:
        return f"{path}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename) == path.resolve()]
    return f"{path}, line {lines[-1]}" if lines else str(path)
