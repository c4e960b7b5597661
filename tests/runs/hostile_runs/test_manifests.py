"""Hostile manifests under a digest that is right, and bytes of headers and manifests changed at random."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.runs import STEPS, put_file

from hostile_runs.crafted import header_of, put, refused, sealed_again
from zoo.errors import ZooError
from zoo.runs.checkpoint import restore_checkpoint, tensors_path
from zoo.runs.run import Run
from zoo.runs.weights import load_weights

FUZZED = 600
PROMISE = "A run from elsewhere runs no code, reads no file but its own, and asks for no more memory than it may."


def rewritten(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """The manifest changed, and sealed as its writer would have."""
    path = tensors_path(folder, STEPS).with_suffix(".json")
    content = json.loads(path.read_text())
    content.pop("sha256")
    content = change(content) or content
    text = json.dumps(content, indent=2, sort_keys=True) + "\n"
    if isinstance(content, dict):
        content["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


def file_called(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda content: content.update(files={name: next(iter(content["files"].values()))})


def file_with(**fields: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda content: next(iter(content["files"].values())).update(fields)


MANIFESTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    **{
        f"file {name[:20]!r}": file_called(name)
        for name in (
            "../model.safetensors",
            "/etc/passwd",
            "../../x.safetensors",
            "model.safetensors",
            "step-1.pkl",
            "",
            ".",
            "step-00000003.safetensors/../x.safetensors",
            "lock",
            "\0.safetensors",
            "a\n.safetensors",
        )
    },
    **{
        f"step {step}": lambda content, step=step: content.update(step=step)
        for step in (-1, 4, 2**70, 3.0, "3", None, True)
    },
    **{f"bytes {size}": file_with(bytes=size) for size in (-1, 0, 1, 2**60, 1.5, "9", None)},
    **{f"digest {str(d)[:8]}": file_with(sha256=d) for d in ("", "0" * 64, "A" * 64, None, 5, [])},
    "a field more": file_with(pickle="x"),
    "no files": lambda content: content.update(files={}),
    "files that are a list": lambda content: content.update(files=["x"]),
    "another format": lambda content: content.update(format=2),
    "no plain": lambda content: content.update(plain=None),
    "another step in plain": lambda content: content.update(plain={"step": 9}),
    "another recipe": lambda content: content.update(recipe="0" * 64),
    "a score of text": lambda content: content.update(score={"label": "mse", "value": "x", "better": "lower"}),
    "a score of no way": lambda content: content.update(score={"label": "mse", "value": 1.0, "better": "no"}),
    "a score of fields": lambda content: content.update(score={"x": 1}),
    "a list": lambda _: ["x"],
    "a number": lambda _: 5,
}


@pytest.mark.promise(PROMISE)
@pytest.mark.parametrize("name", MANIFESTS)
def test_a_hostile_manifest_is_refused_though_its_digest_is_right(copy, engine, name, record_property):
    rewritten(copy, MANIFESTS[name])
    assert str(tensors_path(copy, STEPS)) in refused(copy, engine)
    record_property("cases", 1)


# -- fuzz ----------------------------------------------------------------------------------------------------


def mutated(content: bytes, choose: random.Random, most: int) -> bytes:
    """A few bytes of the first ``most`` changed, removed, doubled, or put in the place of others."""
    torn = bytearray(content)
    for _ in range(choose.randint(1, 4)):
        place = choose.randrange(min(most, len(torn)))
        match choose.randrange(5):
            case 0:
                torn[place] = choose.randrange(256)
            case 1:
                del torn[place : place + choose.randint(1, 9)]
            case 2:
                torn[place:place] = choose.choice([b"0", b"-", b"9" * 20, b'"', b"[", b"{", b"]", b",", b"e9", b"null"])
            case 3:
                torn[place : place + 1] = choose.choice(b"0123456789").to_bytes()
            case _:
                other = choose.randrange(min(most, len(torn)))
                torn[place : place + 8] = torn[other : other + 8]
    return bytes(torn)


@pytest.mark.promise(PROMISE)
def test_mutated_headers_and_manifests_are_refused_or_say_the_same(copy, engine, record_property):
    choose, tried = random.Random(7), 0
    weights, state = copy / "model.safetensors", tensors_path(copy, STEPS)
    good = {path: path.read_bytes() for path in (weights, state, state.with_suffix(".json"))}
    meant = header_of(good[weights])[0].keys()
    for number in range(FUZZED):
        path = (weights, state, state.with_suffix(".json"))[number % 3]
        torn = mutated(
            good[path],
            choose,
            int.from_bytes(good[path][:8], "little") if path != state.with_suffix(".json") else 10**6,
        )
        tried += torn != good[path]
        try:
            if path == weights:
                put_file(path, sealed_again(torn))
                load_weights(engine.model, copy, "raw")
                assert header_of(path.read_bytes())[0].keys() == meant
            else:
                put(copy, torn) if path == state else put_file(path, torn)
                with Run(copy) as run:
                    restore_checkpoint(run, engine)
                assert engine.step_index == STEPS
        except ZooError:
            pass
        for file, content in good.items():
            if file in (path, state.with_suffix(".json")):
                put_file(file, content)
    record_property("cases", tried)
