"""Mutants of recipes: trees with a subtree swapped, grafted, renamed, dropped, doubled, or a value made odd."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zoo.recipe.yaml.read import read

ODD: list[Any] = [
    *(None, True, False, 0, -1, 1, 64, 2**31, 2**63 - 1, -(2**63) + 1, 0.5, -0.0, 1e-300, 1e300),
    *(float("inf"), float("nan"), "", " ", "on", "off", "64", "1e-4", "avae", "dcgan", "timm", "adam", "x", "z"),
    *("generated", "generated_held", "encoder", "encoder.trunk", "critic", "kl", "a/b", "../..", "é", "%", "<<"),
    *("generative-zoo/dcgan", "os.system", "\0", "\n", "\u2028", "\U0001f642", "enc\u043eder", "x" * 3000, "[", "{}"),
    *([], {}, [[]], [{}], [1, "a"], {"use": "dcgan"}, {"use": None}, {"use": ["a"]}, {"from": 0, "to": 1}, {"to": 1}),
    *({"with": {"z": "z"}}, {"with": {"x": 3}}, {"weight": {}}, {"a": {"b": {"c": [1]}}}, {"rows": {}}),
]
"""What a leaf may become."""

KEYS = [
    *("extends", "use", "with", "weight", "kind", "rows", "repeat", "rate", "from", "to", "steps", "", " ", "+", "."),
    *("encoder", "decoder", "generator", "critic", "prior", "encoder + decoder", "encoder.trunk", "a+b", "x", "draw"),
    *("width", "lr", "betas", "optimizer", "optimizers", "sample", "posterior", "entropy", "é", "\t", "\0"),
    *("data", "slots", "phases", "values", "outputs", "train", "evaluate", "augment", "watch", "name", "y" * 300),
]
"""What a key may become."""

Tree = dict[str, Any] | list[Any]


def seeds(*folders: Path) -> list[dict[str, Any]]:
    """The recipes below some folders, as plain data."""
    files = sorted(file for folder in folders for file in folder.rglob("*.yaml"))
    return [read(file.read_bytes(), str(file)).plain() for file in files]


def mutant(choose: random.Random, corpus: list[dict[str, Any]]) -> dict[str, Any]:
    """One recipe of the corpus after one to four mutations."""
    tree = _copy(choose.choice(corpus))
    for _ in range(choose.choice([1, 1, 1, 2, 3, 4])):
        holders = [node for node in _containers(tree) if node]
        if holders:
            choose.choice(MUTATIONS)(choose, choose.choice(holders), corpus)
    return tree


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(below) for key, below in value.items()}
    return [_copy(below) for below in value] if isinstance(value, list) else value


def _containers(value: Any) -> list[Tree]:
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    own = [value] if isinstance(value, dict | list) else []
    return [*own, *(node for item in below for node in _containers(item))]


def _place(choose: random.Random, holder: Tree) -> Any:
    return choose.choice(list(holder)) if isinstance(holder, dict) else choose.randrange(len(holder))


def _odd(choose: random.Random, holder: Tree, _: list[dict[str, Any]]) -> None:
    holder[_place(choose, holder)] = _copy(choose.choice(ODD))


def _drop(choose: random.Random, holder: Tree, _: list[dict[str, Any]]) -> None:
    del holder[_place(choose, holder)]


def _rename(choose: random.Random, holder: Tree, _: list[dict[str, Any]]) -> None:
    """Another key, or the same with one letter more, less or other."""
    if not isinstance(holder, dict):
        return choose.shuffle(holder)
    key = _place(choose, holder)
    at = choose.randrange(len(key) + 1)
    slips = [key[:at] + key[at + 1 :], key[:at] + choose.choice("aeix_ -.+/é") + key[at:], key.upper(), key + key]
    holder[choose.choice([*slips, choose.choice(KEYS)])] = holder.pop(key)
    return None


def _slip(choose: random.Random, holder: Tree, _: list[dict[str, Any]]) -> None:
    """A name with one letter less, a number as text, a number of another size or sign."""
    place = _place(choose, holder)
    value = holder[place]
    if isinstance(value, str) and value:
        at = choose.randrange(len(value))
        holder[place] = value[:at] + value[at + 1 :]
    elif isinstance(value, int | float):
        more = value * 1000 if abs(value) < 2**50 else 0
        holder[place] = choose.choice([str(value), -value, more, value / 3, [value], not value])


def _graft(choose: random.Random, holder: Tree, corpus: list[dict[str, Any]]) -> None:
    """A subtree of some recipe where another was, or beside it."""
    donor = choose.choice([node for node in _containers(choose.choice(corpus)) if node])
    place = _place(choose, donor)
    value = _copy(donor[place])
    if isinstance(holder, list):
        holder.insert(choose.randrange(len(holder) + 1), value)
    else:
        holder[place if isinstance(place, str) and choose.random() < 0.5 else _place(choose, holder)] = value


def _swap(choose: random.Random, holder: Tree, _: list[dict[str, Any]]) -> None:
    one, other = _place(choose, holder), _place(choose, holder)
    holder[one], holder[other] = holder[other], holder[one]


def _double(choose: random.Random, holder: Tree, _: list[dict[str, Any]]) -> None:
    value = _copy(holder[_place(choose, holder)])
    if isinstance(holder, list):
        holder.append(value)
    else:
        holder[choose.choice(KEYS)] = value


MUTATIONS: list[Callable[[random.Random, Any, list[dict[str, Any]]], None]] = [
    *(_odd, _odd, _drop, _rename, _rename, _slip, _slip, _graft, _graft, _swap, _double),
]


PIECES = [
    *"-?:,[]{}#&*!|>'\"%@`\n\t\0 ",
    *(": ", "- ", "\n  ", "\n    ", "<<: *a", "&a ", "*a", "!!x ", "---\n", "\x85", "\ufeff", "é", "1", "null"),
]


def mangled(choose: random.Random, texts: list[str]) -> str:
    """The text of one recipe with one to four pieces cut out, put in, doubled or moved."""
    text = choose.choice(texts)
    for _ in range(choose.choice([1, 1, 2, 3, 4])):
        at, other = sorted(choose.randrange(len(text) + 1) for _ in range(2))
        piece = choose.choice([choose.choice(PIECES), text[at : at + 12], text[at:other][:200]])
        cut = choose.choice([0, 0, 1, 2, 12])
        text = text[:at] + piece + text[at + cut :]
    return text
