"""Hostile tensor files: every header that a hundred ways of lying give, under a digest that is right."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from helpers.runs import STEPS, digest, put_file, restored

from hostile_runs.crafted import Bomb, archive, built, header_of, put, refused, sealed_again
from zoo.errors import ZooError
from zoo.runs.checkpoint import tensors_path
from zoo.runs.weights import load_weights

PROMISE = "A run from elsewhere runs no code, reads no file but its own, and asks for no more memory than it may."


def first(header: dict[str, Any]) -> dict[str, Any]:
    """A tensor of some size: the one that begins the data."""
    return next(entry for name, entry in header.items() if name != "__metadata__" and entry["data_offsets"][1])


Attack = Callable[[dict[str, Any], bytes], bytes]


def changed(**fields: Any) -> Attack:
    """One field of one tensor says something else."""

    def attack(header: dict[str, Any], data: bytes) -> bytes:
        first(header).update(fields)
        return built(header, data)

    return attack


def entry(**fields: Any) -> Attack:
    """A tensor more."""
    described = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0], **fields}
    return lambda header, data: built({**header, str(fields.pop("name", "model/extra")): described}, data)


def named(name: str) -> Attack:
    return lambda header, data: built(
        {**header, name: {"dtype": "F32", "shape": [1], "data_offsets": [len(data), len(data) + 4]}}, data + b"\0" * 4
    )


def dropped(header: dict[str, Any], data: bytes) -> bytes:
    last = max((name for name in header if name != "__metadata__"), key=lambda name: header[name]["data_offsets"][1])
    begin = header.pop(last)["data_offsets"][0]
    return built(header, data[:begin])


def doubled(header: dict[str, Any], data: bytes) -> bytes:
    text = json.dumps(header, separators=(",", ":"))
    name = next(name for name in header if name != "__metadata__")
    return built(None, data, f"{text[:-1]},{json.dumps(name)}:{json.dumps(header[name])}}}".encode())


def two_as_one(header: dict[str, Any], data: bytes) -> bytes:
    """Two tensors lie over each other."""
    entries = sorted((e for n, e in header.items() if n != "__metadata__"), key=lambda e: e["data_offsets"])
    entries[1]["data_offsets"] = entries[0]["data_offsets"]
    return built(header, data)


def reshaped(header: dict[str, Any], data: bytes) -> bytes:
    """The same bytes in another shape."""
    wide = next(e for e in header.values() if len(e.get("shape", ())) > 1)
    wide["shape"] = [torch.Size(wide["shape"]).numel()]
    return built(header, data)


def retyped(header: dict[str, Any], data: bytes) -> bytes:
    first(header)["dtype"] = "I64" if first(header)["dtype"] == "F64" else "I32"
    return built(header, data)


def with_length(length: int) -> Attack:
    return lambda header, data: length.to_bytes(8, "little") + built(header, data)[8:]


def with_header(text: bytes) -> Attack:
    return lambda _, data: built(None, data, text)


def replaced(content: bytes) -> Attack:
    return lambda *_: content


HEADERS: dict[str, Attack] = {
    **{f"length {n}": with_length(n) for n in (0, 1, 2**24 + 1, 2**31, 2**32, 2**40, 2**63, 2**64 - 1)},
    **{
        f"header {text[:12]!r}": with_header(text)
        for text in (
            b"",
            b"null",
            b"[]",
            b"{}",
            b"1",
            b'"x"',
            b"{",
            b"\xff\xfe",
            b"{'a':1}",
            b"[" * 10**6,
            b'{"a":' * 10**5,
        )
    },
    "header of 17 MB": with_header(b'{"a":"' + b"x" * 17_000_000 + b'"}'),
    "header with a constant": with_header(b'{"a": NaN}'),
    "header with a number of 5,000 digits": with_header(b'{"a": ' + b"9" * 5000 + b"}"),
    "a thousand times as many tensors": with_header(
        b"{" + b",".join(b'"%d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}' % i for i in range(20_000)) + b"}"
    ),
    **{
        f"shape {str(shape)[:30]}": changed(shape=shape)
        for shape in (
            [-1],
            [0],
            [2**31],
            [2**62, 2**62],
            [2**63, 2],
            [1.0],
            [True],
            ["4"],
            "4",
            None,
            {},
            [[1]],
            [1] * 65,
            4,
            [-2, -2],
            [2**64],
        )
    },
    **{
        f"offsets {str(offsets)[:30]}": changed(data_offsets=offsets)
        for offsets in (
            [0],
            [0, 1, 2],
            [4, 0],
            [-4, 0],
            [0, 2**40],
            [2**63, 2**63 + 4],
            [0.0, 4.0],
            ["0", "4"],
            None,
            [1, 5],
            {},
            [True, 4],
        )
    },
    **{
        f"type {str(dtype)[:30]}": changed(dtype=dtype)
        for dtype in ("F31", "", None, 5, ["F32"], "f32", "torch.load", "F128")
    },
    "a field less": lambda header, data: (first(header).pop("shape"), built(header, data))[1],
    "a tensor that is text": lambda header, data: built({**header, "model/x": "torch.load"}, data),
    "a tensor more": entry(),
    "a tensor less": dropped,
    "two over each other": two_as_one,
    "another shape": reshaped,
    "another type": retyped,
    "bytes behind": lambda header, data: built(header, data + b"\0" * 8),
    "bytes missing": lambda header, data: built(header, data[:-8]),
    "truth values of 2": lambda header, data: built(
        {**header, "model/b": {"dtype": "BOOL", "shape": [1], "data_offsets": [len(data), len(data) + 1]}}, data + b"\2"
    ),
    **{
        f"name {name[:20]!r}": named(f"model/{name}")
        for name in (
            "../../../etc/passwd",
            "/etc/passwd",
            "\0",
            "",
            "__class__",
            "__reduce__",
            "x" * 100_000,
            "\ud800",
            "a.b",
        )
    },
    "metadata that is a list": lambda header, data: built({**header, "__metadata__": []}, data),
    "metadata of numbers": lambda header, data: built({**header, "__metadata__": {"sha256": 1}}, data),
    "a pickle": replaced(pickle.dumps(Bomb())),
    "an archive": replaced(archive()),
    "nothing": replaced(b""),
    "seven bytes": replaced(b"\0" * 7),
}


@pytest.mark.promise(PROMISE)
@pytest.mark.parametrize("name", HEADERS)
def test_a_hostile_header_is_refused_though_its_digest_is_right(copy, engine, name, record_property):
    weights, state = copy / "model.safetensors", tensors_path(copy, STEPS)
    put_file(weights, sealed_again(HEADERS[name](*header_of(weights.read_bytes()))))
    with pytest.raises(ZooError, match=r"model\.safetensors"):
        load_weights(engine.model, copy, "raw")
    put(copy, HEADERS[name](*header_of(state.read_bytes())))
    assert str(state) in refused(copy, engine)
    record_property("cases", 2)


@pytest.mark.promise(PROMISE)
@pytest.mark.parametrize("attack", [changed(extra=1), doubled])
def test_a_header_that_says_more_than_it_must_says_the_same(copy, engine, attack, record_property):
    weights, state = copy / "model.safetensors", tensors_path(copy, STEPS)
    restored(copy, engine)
    expected = digest(engine)
    put(copy, attack(*header_of(state.read_bytes())))
    assert restored(copy, engine) == []
    assert digest(engine) == expected
    put_file(weights, sealed_again(attack(*header_of(weights.read_bytes()))))
    assert load_weights(engine.model, copy, "raw") == "raw"
    assert digest(engine) == expected
    record_property("cases", 2)


@pytest.mark.promise(PROMISE)
@pytest.mark.parametrize("index", ["99", "-99", "x", "", "1e9"])
def test_moments_of_parameters_that_are_none(copy, engine, index, record_property):
    header, data = header_of(tensors_path(copy, STEPS).read_bytes())
    old = next(name for name in header if name.endswith("/exp_avg"))
    header[f"optimizer/{old.split('/')[1]}/{index}/exp_avg"] = header.pop(old)
    put(copy, built(header, data))
    refused(copy, engine)
    record_property("cases", 1)


def test_moments_of_another_shape_are_refused(copy, engine):
    header, data = header_of(tensors_path(copy, STEPS).read_bytes())
    moment = next(e for name, e in header.items() if name.endswith("/exp_avg") and len(e["shape"]) > 1)
    moment["shape"] = [*moment["shape"][::-1], 1]
    put(copy, built(header, data))
    assert "exp_avg' is F32" in refused(copy, engine)
