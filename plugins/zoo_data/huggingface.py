"""Images in a data set of Hugging Face's ``datasets`` library: from their hub, saved to disk, or in local files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from zoo import api
from zoo_data.bad import Bad, by_fault, judge, printable
from zoo_data.decode import Content, View
from zoo_data.files import user_path
from zoo_data.find import Search
from zoo_data.hub import huggingface_fields, load
from zoo_data.listed import File, signature
from zoo_data.pack import CHUNK, alike, check_workers, pack, whole
from zoo_data.pixels import Size, check_common
from zoo_data.read import read
from zoo_data.sources import Items, Source, how_many

HELD_OUT = ("test", "validation", "valid", "val")
"""Splits taken for test where none is named, in this order."""


def huggingface(
    *,
    name: str,
    config: str = "",
    revision: str = "",
    split: str = "train",
    test_split: str = "",
    held_out: float = 0.1,
    column: str = "",
    columns: tuple[str, ...] | dict[str, int | str | tuple[str, ...]] = (),
    size: Size = 64,
    stored: Size = 0,
    channels: Literal[1, 3] = 3,
    crop: int | Literal["square", "none"] = "square",
    train: int = 0,
    test: int = 0,
    resize: Literal["antialias", "published"] = "antialias",
    on_error: Literal["error", "skip"] = "skip",
    workers: int = 0,
    seed: int = 0,
) -> api.Examples:
    """The images of one column, in the data set's order. Data sets that would run code of theirs are not loaded.

    Args:
        name: a directory, as ``save_to_disk`` writes it or of files that ``load_dataset`` reads (images in
            folders, Parquet); else a data set of the hub, which ``datasets`` fetches and keeps.
        config: which of its configurations, where it has several.
        revision: branch, tag or commit on the hub.
        split: for training.
        test_split: for test; empty for ``test`` or ``validation``, and where there is neither, a random share
            of ``split``.
        held_out: that share, between 0 and 1.
        column: the one with the images; empty where only one has.
        columns: others that become fields of their names: classes (ClassLabel, or true and false) a label, numbers and
            lists of so many numbers a vector, images (of the first one's proportions) an image; or a mapping that says
            which, as a run's recipe has it: {label: [cat, dog], pose: 3, depth: image}.
        size: image side in pixels, or [height, width].
        stored: image side that is packed, or [height, width], larger than ``size``: models see the central part, or
            what an augmentation such as ``resized-crop`` cuts out; 0 for ``size``.
        channels: 3, or 1 (luma).
        crop: the largest central ``square``, or part of the proportions of ``size``; a number of pixels, for a
            central part of that shorter side; ``none`` squeezes the whole image.
        train: how many training images, the first ones; 0 for all.
        test: how many test images, the first ones; 0 for all.
        resize: ``antialias`` (bicubic), or ``published`` (bilinear from the four nearest pixels).
        on_error: ``skip`` images that cannot be read and name them in the notes, or stop with an ``error``.
        workers: processes that decode; 0 for one a core, at most 8; 1 for none but this one.
        seed: which images are held out.

    Raises:
        ValueError: for a value outside its range, a data set without such a split or column, or a bad image.
        OSError: when it cannot be loaded, ``datasets`` is not installed, or the cache cannot be written.
    """
    _check(workers, held_out, size=size, stored=stored, channels=channels, seed=seed, crop=crop)
    fields, _ = huggingface_fields(name, config, revision, split, columns)
    splits = load(name, config, revision)
    rows = _rows(splits, split, test_split, held_out, seed)
    wanted, notes = {"train": train, "test": test}, _passed_over(name, splits, {which for which, _ in rows.values()})
    view, found = View(stored or size, channels, crop, resize), dict[str, dict[str, Tensor]]()
    for part, (which, indices) in rows.items():
        first = indices[: how_many("huggingface", part, wanted[part], len(indices))]
        images = {own: own for own, field in fields.items() if field == api.IMAGE} | {"x": column}
        taken = {own: _images_of(splits[which], called, [*images]) for own, called in images.items()}
        sources = {own: _source(name, part, which, data, first) for own, data in taken.items()}
        found[part], good, told = _packed(sources, [f"{which}[{row}]" for row in first], view, workers, on_error)
        others = {own: field for own, field in fields.items() if own not in images}
        found[part] |= _values(splits[which], others, [first[place] for place in good])
        notes += told
    both = {own: (found["train"][own], found["test"][own]) for own in fields}
    return api.Examples(*both.pop("x"), tuple(dict.fromkeys(notes)), both)


def _check(workers: int, held_out: float, **common: Any) -> None:
    check_common("huggingface", **common)
    check_workers("huggingface", workers)
    if not 0 < held_out < 1:
        raise ValueError(f"huggingface: option 'held_out' is {held_out}; choose a share between 0 and 1, such as 0.1.")


def _packed(
    sources: Mapping[str, Source], names: list[str], view: View, workers: int, on_error: str
) -> tuple[dict[str, Tensor], list[int], list[str]]:
    """Of each column of images the pixels of the rows that are good in all of them, which these are, and notes."""
    packs = {own: pack(source, view, workers) for own, source in sources.items()}
    packs = alike(dict.fromkeys(sources, names), packs, sources, view.crop, workers)
    found, good, bad = whole(dict.fromkeys(sources, names), packs)
    notes = [note for packed in packs.values() for note in packed.notes]
    where, page = sources["x"].where, packs["x"].page
    return found, good, [*notes, *judge("huggingface", by_fault(bad), len(good) * len(sources), where, on_error, page)]


def _values(data: Any, fields: Mapping[str, api.Field], rows: Sequence[int]) -> dict[str, Tensor]:
    """What columns have in some rows: classes (N,), numbers (N, features)."""
    found = dict[str, Tensor]()
    some = data.select_columns(list(fields)).select(rows) if fields else {}
    for column, field in fields.items():
        try:
            values = torch.tensor(some[column][:], dtype=torch.int64 if field.kind == "label" else torch.float32)
        except (TypeError, ValueError):
            what = "class" if field.kind == "label" else "list of so many numbers"
            raise ValueError(f"huggingface: column {column!r} has no {what} in some rows.") from None
        found[column] = values if field.kind == "label" else values.reshape(len(rows), -1)
    return found


def _passed_over(name: str, splits: dict[str, Any], used: set[str]) -> list[str]:
    """Says which splits are not used, and that a directory holds images which are in none."""
    notes, path = [], user_path(name)
    rows = sum(map(len, splits.values()))
    if path.is_dir() and (there := len(Search(path).names)) > rows:
        why = "the library goes by names such as train_1.png; data 'folder' takes them all"
        notes.append(f"huggingface: of {there:,} images in {printable(str(path))} {rows:,} are taken: {why}.")
    if others := [f"{split} ({len(splits[split]):,})" for split in splits if split not in used]:
        notes.append(f"huggingface: not used of {printable(name)}: {', '.join(others)}.")
    return notes


huggingface.read = read


def _rows(
    splits: dict[str, Any], split: str, test_split: str, held_out: float, seed: int
) -> dict[str, tuple[str, Sequence[int]]]:
    """For ``train`` and ``test``: a split, and which of its rows."""
    for option, chosen in (("split", split), ("test_split", test_split or split)):
        if chosen not in splits:
            raise ValueError(f"huggingface: option '{option}' is {chosen!r}; choices: {', '.join(sorted(splits))}.")
    test_split = test_split or next((s for s in HELD_OUT if s in splits and s != split), split)
    if test_split != split:
        return {which: (s, range(len(splits[s]))) for which, s in (("train", split), ("test", test_split))}
    count = len(splits[split])
    if count < 2:
        raise ValueError(f"huggingface: split {split!r} has {count} rows; training and test need one each.")
    order = np.random.default_rng(seed).permutation(count)
    border = min(max(round(held_out * count), 1), count - 1)
    return {"train": (split, np.sort(order[border:]).tolist()), "test": (split, np.sort(order[:border]).tolist())}


def _images_of(data: Any, column: str, beside: Sequence[str]) -> Any:
    """The split with the one column of images, as files and not decoded."""
    from datasets import Image

    columns = [name for name, kind in data.features.items() if isinstance(kind, Image)]
    columns = columns if column else [name for name in columns if name not in beside]
    if column not in columns and (column or len(columns) != 1):
        there = ", ".join(columns) or f"none; it has {', '.join(data.features)}"
        raise ValueError(f"huggingface: option 'column' is {column!r}; columns of images: {there}.")
    return data.select_columns([column or columns[0]]).cast_column(column or columns[0], Image(decode=False))


def _source(name: str, part: str, which: str, data: Any, indices: Sequence[int]) -> Source:
    (column,) = data.column_names

    def items(start: int) -> Items:
        for first in range(start, len(indices), CHUNK):
            rows = indices[first : first + CHUNK]
            for row, image in zip(rows, data[list(rows)][column], strict=True):
                yield f"{which}[{row}]", _content(f"{which}[{row}]", image)

    files = [Path(file["filename"]) for file in data.cache_files]
    if not files:
        raise ValueError("huggingface: the data set is held in memory; unset HF_DATASETS_IN_MEMORY_MAX_SIZE.")
    identity = [column, *([file.name, *signature(file)] for file in files), list(indices)]
    return Source("huggingface", part, len(indices), items, identity, f"images of {name}, {which}")


def _content(name: str, image: dict[str, Any] | None) -> Content:
    if image and image.get("bytes"):
        return bytes(image["bytes"])
    return File(Path(image["path"])) if image and image.get("path") else Bad(name, "no image")
