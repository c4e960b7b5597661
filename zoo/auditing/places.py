"""Where in a script something happens, and what the script calls its things: read from frames and source."""

from __future__ import annotations

import ast
import linecache
import os
import re
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import islice
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

FRAMEWORKS = {"torch", "functorch", "accelerate", "lightning", "pytorch_lightning", "lightning_fabric", "torchmetrics"}
"""Packages that call ``backward`` and ``step`` for a script: the script's own line is asked for, not theirs."""
_HERE = str(Path(__file__).parent)
_STANDARD = sysconfig.get_paths()["stdlib"]


@dataclass(frozen=True)
class Place:
    """A line of a script, and the text of what is called there."""

    file: str
    line: int
    text: str = ""

    def __str__(self) -> str:
        """The file as seen from the working directory, where it lies below it: ``train.py:40``."""
        near = os.path.relpath(self.file) if os.path.isabs(self.file) and os.path.exists(self.file) else self.file
        return f"{self.file if near.startswith('..') else near}:{self.line}"


@cache
def _depth(file: str) -> int:
    """How much a file is the user's own: 0 a script, 1 an installed library, 2 a framework, Python or this room."""
    if file.startswith((_HERE, "<frozen")) or os.sep + os.path.join("zoo", "cli") + os.sep in file:
        return 2
    _, found, inside = file.rpartition(f"site-packages{os.sep}")
    if found:
        return 2 if inside.split(os.sep)[0] in FRAMEWORKS else 1
    return 2 if file.startswith(_STANDARD) else 0


def own_frames() -> list[FrameType]:
    """The script's frames, at most 40, the innermost first; a library's where none is the script's own."""
    frames: list[FrameType] = []
    library: list[FrameType] = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and len(frames) < 40:
        depth = _depth(frame.f_code.co_filename)
        if depth < 2:
            (library if depth else frames).append(frame)
        frame = frame.f_back
    return frames or library


def place() -> Place:
    """Where the script is now: its innermost line; a library's where none is the script's own."""
    frame: FrameType | None = sys._getframe(1)
    library = None
    while frame is not None:
        depth = _depth(frame.f_code.co_filename)
        if depth == 0:
            return place_in(frame)
        library = library or (frame if depth == 1 else None)
        frame = frame.f_back
    return place_in(library) if library else Place("?", 0)


def place_in(frame: FrameType) -> Place:
    """Where a frame is."""
    line, text = _positions(frame.f_code, frame.f_lasti)
    return Place(frame.f_code.co_filename, line or frame.f_lineno, text)


@lru_cache(maxsize=4096)
def _positions(code: CodeType, instruction: int) -> tuple[int, str]:
    """The first line, and the text, of the expression that an instruction belongs to."""
    first, last, left, right = next(islice(code.co_positions(), instruction // 2, None), (None,) * 4)
    if first is None or last is None or left is None or right is None:
        return first or 0, ""
    lines = [linecache.getline(code.co_filename, number).rstrip("\n") for number in range(first, last + 1)]
    raw = [line.encode() for line in lines]
    raw[-1] = raw[-1][:right]
    raw[0] = raw[0][left:]
    return first, " ".join(part.decode(errors="replace").strip() for part in raw)


def argument(text: str) -> str:
    """What a call works on: ``errD`` of ``errD.backward()``, ``loss`` of ``accelerator.backward(loss)``."""
    try:
        call = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        return ""
    while isinstance(call, ast.Call):
        named = [each.value for each in call.keywords if each.arg in ("outputs", "loss", "tensors")]
        if call.args or named:
            call = (call.args or named)[0]
        elif isinstance(call.func, ast.Attribute):
            call = call.func.value
        else:
            return ""
    return ast.unparse(call)


def operand(text: str, number: int) -> str:
    """The left (0) or right (1) side of a sum's text, or an argument of a call."""
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        try:
            statement = ast.parse(text.strip()).body[0]
        except (SyntaxError, IndexError):
            return ""
        return ast.unparse(statement.value) if isinstance(statement, ast.AugAssign) and number else ""
    if isinstance(node, ast.BinOp):
        return ast.unparse(node.right if number else node.left)
    if isinstance(node, ast.Call) and len(node.args) > number:
        return ast.unparse(node.args[number])
    return ""


ASSIGNMENT = (ast.Assign, ast.AnnAssign, ast.AugAssign)
LOOP = (ast.For, ast.AsyncFor, ast.comprehension)


@lru_cache(maxsize=64)
def _nodes(file: str) -> tuple[tuple[int, int, Any], ...]:
    """A file's assignments, loops and comprehensions, each with its first and last line; none if it is no Python."""
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except SyntaxError:
        return ()
    found: list[tuple[int, int, Any]] = []
    for node in ast.walk(tree):
        parts = getattr(node, "generators", [node])
        lines = getattr(node, "lineno", 0), getattr(node, "end_lineno", 0)
        found += [(*lines, part) for part in parts if isinstance(part, (*ASSIGNMENT, *LOOP)) and lines[0]]
    return tuple(found)


@lru_cache(maxsize=4096)
def loop_targets(file: str, line: int) -> tuple[tuple[str, ...], ...]:
    """The names that the loops around a line bind, the innermost loop first."""
    around = [(last - first, n) for first, last, n in _nodes(file) if first <= line <= last and isinstance(n, LOOP)]
    names = [(size, tuple(n.id for n in ast.walk(node.target) if isinstance(n, ast.Name))) for size, node in around]
    return tuple(bound for _, bound in sorted(names))


@lru_cache(maxsize=1024)
def assigned_at(where: Place) -> str:
    """The name that the statement at a line gives its value: ``d_loss`` of ``d_loss = real + fake``."""
    for first, last, node in _nodes(where.file):
        if first <= where.line <= last and isinstance(node, ASSIGNMENT):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            return ast.unparse(target)
    return ""


def compared(file: str, name: str) -> bool:
    """Whether a file compares a name with something, takes its remainder or hands it to a function."""
    word = rf"(?:\w+\.)*{re.escape(name)}\b"
    source = "".join(linecache.getlines(file))
    return bool(re.search(rf"{word}\s*(?:[<>%]|==|!=)|(?:[<>%]|==|!=)=?\s*{word}|,\s*{word}\s*[,)]", source))


# -- names -------------------------------------------------------------------------------------------------


def bound(frames: list[FrameType]) -> Iterator[tuple[str, Any]]:
    """Names and what they are bound to: of each frame its locals, what its ``self`` holds, then the globals."""
    for frame in frames:
        here = frame.f_locals
        yield from _items(here)
        owner = here.get("self")
        if owner is not None and hasattr(owner, "__dict__"):
            yield from _items(vars(owner))
            yield from _items(vars(owner).get("_modules") or {})
    for names in {id(frame.f_globals): frame.f_globals for frame in frames}.values():
        yield from _items(names)


def _items(names: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((str(name), value) for name, value in list(names.items()) if not str(name).startswith("__"))


def name_of(thing: object, frames: list[FrameType]) -> str:
    """What the script calls an object: a variable, an attribute, an item of a list or a dict; else nothing."""
    for name, value in bound(frames):
        if value is thing and name not in ("self", "_", "module", "m"):
            return name
    for name, value in bound(frames):
        if type(value) in (list, tuple) and len(value) < 100:
            for number, item in enumerate(value):
                if item is thing:
                    return f"{name}[{number}]"
        elif type(value) is dict and len(value) < 100:
            for key, item in list(value.items()):
                if item is thing:
                    return f"{name}[{key!r}]"
        elif type(value).__module__ in ("types", "argparse") and hasattr(value, "__dict__"):
            for key, item in list(vars(value).items()):
                if item is thing:
                    return f"{name}.{key}"
    return next((name for name, value in bound(frames) if value is thing and name != "self"), "")
