"""Files as an attacker makes them: pickles that run code, headers of one's choice, digests that are right."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.runs import STEPS, put_file

from zoo.engine.engine import Engine
from zoo.errors import ZooError
from zoo.model.tensorfile import BLANK, SEAL
from zoo.runs.checkpoint import restore_checkpoint, tensors_path
from zoo.runs.manifest import File, Manifest
from zoo.runs.run import Run

CANARY = "ZOO_CANARY"


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


def header_of(content: bytes) -> tuple[dict[str, Any], bytes]:
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def built(header: Any, data: bytes, text: bytes | None = None) -> bytes:
    """A file with this header, padded."""
    text = text if text is not None else json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data


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
