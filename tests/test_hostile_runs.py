"""A run from elsewhere is data: whatever stands in its files, none of it runs, leads out, or takes the memory."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import random
import resource
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers_runs import STEPS, put_file, recipe, trained

import zoo
from zoo.checkpoint import tensors_path
from zoo.engine import Engine
from zoo.errors import ZooError
from zoo.manifest import File, Manifest, sealed
from zoo.model import Model
from zoo.run import Run
from zoo.state import load_weights, restore_checkpoint
from zoo.tensorfile import BLANK, SEAL, parsed

FUZZED = 2000
CANARY = "ZOO_CANARY"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile") / "run"
    trained(recipe("train.keep_last=1"), folder)
    return folder


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(Model(recipe("train.keep_last=1")))


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "run"))


@pytest.fixture(autouse=True)
def _nothing_runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No pickle is opened, and 300 MB are more than is taken."""

    def opened(*_: object, **__: object) -> None:
        raise AssertionError("a pickle is read")

    for module, name in ((pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load")):
        monkeypatch.setattr(module, name, opened)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert CANARY not in os.environ
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


class Bomb:
    """What a pickle of it runs when it is opened."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (f"import os; os.environ[{CANARY!r}] = '1'",)


def archive() -> bytes:
    """As ``torch.save`` writes it: a zip with a pickle in it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as written:
        written.writestr("archive/data.pkl", pickle.dumps(Bomb()))
    return file.getvalue()


# -- headers -------------------------------------------------------------------------------------------------


def header_of(content: bytes) -> tuple[dict[str, Any], bytes]:
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def built(header: Any, data: bytes, text: bytes | None = None) -> bytes:
    """A file with this header, padded."""
    text = text if text is not None else json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data


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
    "a field more": changed(extra=1),
    "a field less": lambda header, data: (first(header).pop("shape"), built(header, data))[1],
    "a tensor that is text": lambda header, data: built({**header, "model/x": "torch.load"}, data),
    "a tensor more": entry(),
    "a tensor less": dropped,
    "a tensor twice": doubled,
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


def sealed_again(content: bytes) -> bytes:
    """With the right SHA-256 of itself, where there is a place for it."""
    place = 8 + len(SEAL)
    if content[8:place] != SEAL:
        return content
    blank = content[:place] + BLANK.encode() + content[place + 64 :]
    return blank[:place] + hashlib.sha256(blank).hexdigest().encode() + blank[place + 64 :]


def put(folder: Path, content: bytes, **changes: Any) -> None:
    """A checkpoint of these bytes, with a manifest that vouches for them."""
    path = tensors_path(folder, STEPS)
    put_file(path, content)
    manifest = Manifest.read(path.with_suffix(".json").read_text())
    files = {path.name: File(len(content), hashlib.sha256(content).hexdigest())}
    path.with_suffix(".json").write_text(replace(manifest, **{"files": files, **changes}).text())


def refused(folder: Path, engine: Engine) -> str:
    with Run(folder) as run, pytest.raises(ZooError) as error:
        restore_checkpoint(run, engine)
    return str(error.value)


@pytest.mark.promise(
    "A run from elsewhere runs no code, reads no file but its own, and asks for no more memory than it may."
)
@pytest.mark.parametrize("name", HEADERS)
def test_a_hostile_header_is_refused_though_its_digest_is_right(copy, engine, name, record_property):
    weights, state = copy / "model.safetensors", tensors_path(copy, STEPS)
    put_file(weights, sealed_again(HEADERS[name](*header_of(weights.read_bytes()))))
    with pytest.raises(ZooError, match=r"model\.safetensors"):
        load_weights(engine.model, copy, "raw")
    put(copy, HEADERS[name](*header_of(state.read_bytes())))
    assert str(state) in refused(copy, engine)
    record_property("cases", 2)


@pytest.mark.promise(
    "A run from elsewhere runs no code, reads no file but its own, and asks for no more memory than it may."
)
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


# -- manifests -----------------------------------------------------------------------------------------------


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


@pytest.mark.promise(
    "A run from elsewhere runs no code, reads no file but its own, and asks for no more memory than it may."
)
@pytest.mark.parametrize("name", MANIFESTS)
def test_a_hostile_manifest_is_refused_though_its_digest_is_right(copy, engine, name, record_property):
    rewritten(copy, MANIFESTS[name])
    assert str(tensors_path(copy, STEPS)) in refused(copy, engine)
    record_property("cases", 1)


# -- what stands in the place of files -----------------------------------------------------------------------

FILES = ("recipe.yaml", "plugins.json", "model.safetensors", "ema.safetensors")


def linked(path: Path, secret: Path) -> None:
    shutil.copy(path, secret)
    path.unlink()
    path.symlink_to(secret)


def looped(path: Path, _: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def piped(path: Path, _: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_folder(path: Path, _: Path) -> None:
    path.unlink()
    path.mkdir()


def endless(path: Path, _: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def sparse(path: Path, _: Path) -> None:
    """A terabyte that takes no room."""
    with path.open("r+b") as file:
        file.truncate(2**40)


def a_pickle(path: Path, _: Path) -> None:
    put_file(path, pickle.dumps(Bomb()))


def an_archive(path: Path, _: Path) -> None:
    put_file(path, archive())


PLACED = (linked, looped, piped, a_folder, endless, sparse, a_pickle, an_archive)


@pytest.mark.promise(
    "A run from elsewhere runs no code, reads no file but its own, and asks for no more memory than it may."
)
@pytest.mark.parametrize("attack", PLACED)
@pytest.mark.parametrize("file", ["recipe.yaml", "ema.safetensors"])
def test_what_is_no_file_of_the_run_is_not_read(copy, tmp_path, file, attack, record_property):
    attack(copy / file, tmp_path / "secret")
    with pytest.raises(ZooError):
        zoo.load(copy)
    record_property("cases", 1)


@pytest.mark.promise(
    "A run from elsewhere runs no code, reads no file but its own, and asks for no more memory than it may."
)
@pytest.mark.parametrize("attack", PLACED)
def test_who_provided_what_is_unknown_then(copy, tmp_path, attack, record_property):
    attack(copy / "plugins.json", tmp_path / "secret")
    with pytest.warns(UserWarning, match=r"plugins\.json: cannot be read") as said:
        zoo.load(copy)
    assert len(said) == 1
    record_property("cases", 1)


@pytest.mark.promise(
    "A run from elsewhere runs no code, reads no file but its own, and asks for no more memory than it may."
)
@pytest.mark.parametrize("attack", PLACED)
@pytest.mark.parametrize("suffix", [".safetensors", ".json"])
def test_a_checkpoint_that_is_none_is_not_taken_up(copy, engine, tmp_path, suffix, attack, record_property):
    attack(tensors_path(copy, STEPS).with_suffix(suffix), tmp_path / "secret")
    assert str(tensors_path(copy, STEPS)) in refused(copy, engine)
    record_property("cases", 1)


@pytest.mark.promise(
    "A run from elsewhere runs no code, reads no file but its own, and asks for no more memory than it may."
)
def test_a_state_that_lies_elsewhere_is_not_written_to(copy, tmp_path):
    shutil.move(copy / "state", tmp_path / "elsewhere")
    (copy / "state").symlink_to(tmp_path / "elsewhere")
    before = sorted(path.name for path in (tmp_path / "elsewhere").iterdir())
    with pytest.raises(ZooError, match="state: leads out of the run"):
        Run(copy)
    assert sorted(path.name for path in (tmp_path / "elsewhere").iterdir()) == before


def test_a_run_may_be_a_link_itself_and_hold_links_within(copy, tmp_path):
    (tmp_path / "link").symlink_to(copy)
    (copy / "ema.safetensors").rename(copy / "weights.safetensors")
    (copy / "ema.safetensors").symlink_to("weights.safetensors")
    assert zoo.load(tmp_path / "link").sample(1).shape == (1, 3, 8, 8)


# -- recipes -------------------------------------------------------------------------------------------------

RECIPES = {
    "a network of the moon's width": (
        "width: 4",
        "width: 1000000000",
        "B of memory here; make it smaller, or set ZOO_ME",
    ),
    "a code of the moon's size": ("latent: 5", "latent: 100000000000000", "one code would take"),
    "noise of the moon's size": ("noise: 0", "noise: 100000000000000", "one code would take"),
    "images of the moon's size": ("size: 8", "size: 67108864", "one image would take"),
    "a class": ("use: generative-zoo/dcgan", "use: os:system", "os:system"),
    "a tag": ("seed: 0", "seed: !!python/object/apply:os.system ['true']", "tag"),
    "another recipe": ("seed: 0", "seed: 0\nextends: /etc/passwd", "extends another recipe"),
    "nothing": (None, "", "empty"),
}


@pytest.mark.promise(
    "A run from elsewhere runs no code, reads no file but its own, and asks for no more memory than it may."
)
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_that_asks_too_much_is_refused_though_its_digest_is_right(copy, name, record_property):
    old, new, said = RECIPES[name]
    text = (copy / "recipe.yaml").read_text()
    assert old is None or old in text
    (copy / "recipe.yaml").write_text(sealed(text.replace(old, new, 1) if old else new))
    with pytest.raises(ZooError) as error:
        zoo.load(copy)
    assert said in str(error.value)
    record_property("cases", 1)


def test_how_much_a_model_may_take_can_be_said(copy, monkeypatch):
    monkeypatch.setenv("ZOO_MEMORY", "1KB")
    with pytest.raises(ZooError, match=r"its weights would take \d+ KB, more than the 1 KB of memory here"):
        zoo.load(copy)
    monkeypatch.setenv("ZOO_MEMORY", "1GB")
    zoo.load(copy)
    monkeypatch.setenv("ZOO_MEMORY", "much")
    with pytest.raises(ZooError, match="ZOO_MEMORY=much: is no number of bytes; write it as 64GB"):
        zoo.load(copy)


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


@pytest.mark.promise(
    "A run from elsewhere runs no code, reads no file but its own, and asks for no more memory than it may."
)
def test_mutated_headers_and_manifests_are_refused_or_say_the_same(copy, engine, record_property):
    choose, tried = random.Random(7), 0
    weights, state = copy / "model.safetensors", tensors_path(copy, STEPS)
    good = {path: path.read_bytes() for path in (weights, state, state.with_suffix(".json"))}
    meant = parsed(good[weights])[0].keys()
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
                assert parsed(path.read_bytes())[0].keys() == meant
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
