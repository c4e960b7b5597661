"""Images in a data set of Hugging Face's ``datasets`` library: from their hub, saved to disk, or in local files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from zoo import api
from zoo_data.bad import Bad, by_fault, judge, printable
from zoo_data.cache import digest
from zoo_data.decode import Content, View
from zoo_data.files import user_path
from zoo_data.find import Search
from zoo_data.hub import huggingface_fields, load
from zoo_data.listed import File, signature
from zoo_data.pack import CHUNK, alike, check_workers, pack, whole
from zoo_data.parquet import Column, Rows
from zoo_data.pixels import Size, check_common
from zoo_data.read import read
from zoo_data.sources import Items, Source, how_many
from zoo_data.unpacked import Reader, Unpacked

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
    stream: bool = False,
    mixed: int = 16,
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
        stream: read images whenever they are used: nothing is packed, and of the hub's Parquet files nothing is kept.
        mixed: with ``stream``, how many row groups of Parquet are in memory, and mixed in an epoch's order, at a time.
        on_error: ``skip`` images that cannot be read and name them in the notes, or stop with an ``error``.
        workers: processes that decode; 0 for one a core, at most 8; 1 for none but this one.
        seed: which images are held out.

    Raises:
        ValueError: for a value outside its range, a data set without such a split or column, or a bad image.
        OSError: when it cannot be loaded, ``datasets`` is not installed, or the cache cannot be written.
    """
    _check(workers, held_out, mixed, size=size, stored=stored, channels=channels, seed=seed, crop=crop)
    fields, _ = huggingface_fields(name, config, revision, split, columns, stream)
    splits = load(name, config, revision, stream)
    rows = _rows(splits, split, test_split, held_out, seed)
    wanted, notes = {"train": train, "test": test}, _passed_over(name, splits, {which for which, _ in rows.values()})
    view, found = View(stored or size, channels, crop, resize), dict[str, dict[str, Tensor]]()
    for part, (which, indices) in rows.items():
        first = indices[: how_many("huggingface", part, wanted[part], len(indices))]
        images = {own: own for own, field in fields.items() if field == api.IMAGE} | {"x": column}
        taken = {own: _images_of(splits[which], called, [*images], mixed) for own, called in images.items()}
        where, how = (name, part, which), {"on_error": on_error, "workers": workers, "mixed": mixed}
        found[part], good, told = (_unpacked if stream else _packed)(where, taken, first, view, how)
        others = {own: field for own, field in fields.items() if own not in images}
        found[part] |= _values(splits[which], others, [first[place] for place in good])
        notes += told
    both = {own: (found["train"][own], found["test"][own]) for own in fields}
    return api.Examples(*both.pop("x"), tuple(dict.fromkeys(notes)), both)


def _check(workers: int, held_out: float, mixed: int, **common: Any) -> None:
    check_common("huggingface", **common)
    check_workers("huggingface", workers)
    if not 0 < held_out < 1:
        raise ValueError(f"huggingface: option 'held_out' is {held_out}; choose a share between 0 and 1, such as 0.1.")
    if mixed < 1:
        raise ValueError(f"huggingface: option 'mixed' is {mixed}; choose a number of row groups, at least 1.")


Taken = tuple[dict[str, Tensor], Sequence[int], list[str]]
"""Of each column of images its pixels, of the rows that are good in all of them; which these are, and notes."""
Where = tuple[str, str, str]
"""The data set's name, what a split is for, and the split's name."""


def _unpacked(
    where: Where, columns: Mapping[str, Any], rows: Sequence[int], view: View, how: Mapping[str, Any]
) -> Taken:
    """Some rows, which are read when they are used."""
    alone = len(columns) == 1
    how = {**how, "on_error": how["on_error"] if alone else "error"}  # what stands in would be nobody's partner

    def one(data: Any) -> Tensor:
        (column,), of_groups = data.column_names, isinstance(data, Column)

        def contents(some: Sequence[int]) -> list[tuple[str, Content]]:
            names = [f"{where[2]}[{row}]" for row in some]
            return [(name, _content(name, image)) for name, image in zip(names, data[[*some]][column], strict=True)]

        blocks = data.rows.starts if of_groups else (0,)
        identity = digest([where[2], column, data.rows.identity if of_groups else _files(data), repr(view)])
        reader = Reader("huggingface", view, contents, len(data), identity, blocks=blocks, **how)
        return Unpacked.of(reader, rows if isinstance(rows, range) else np.asarray(rows))

    return {own: one(data) for own, data in columns.items()}, range(len(rows)), []


def _packed(where: Where, columns: Mapping[str, Any], rows: Sequence[int], view: View, how: Mapping[str, Any]) -> Taken:
    """Some rows, packed."""
    workers, on_error = how["workers"], how["on_error"]
    names = [f"{where[2]}[{row}]" for row in rows]
    sources = {own: _source(*where, data, rows) for own, data in columns.items()}
    packs = {own: pack(source, view, workers) for own, source in sources.items()}
    packs = alike(dict.fromkeys(sources, names), packs, sources, view.crop, workers)
    found, good, bad = whole(dict.fromkeys(sources, names), packs)
    notes = [note for packed in packs.values() for note in packed.notes]
    said, page = sources["x"].where, packs["x"].page
    return found, good, [*notes, *judge("huggingface", by_fault(bad), len(good) * len(sources), said, on_error, page)]


def _values(data: Any, fields: Mapping[str, api.Field], rows: Sequence[int]) -> dict[str, Tensor]:
    """What columns have in some rows: classes (N,), numbers (N, features)."""
    found = dict[str, Tensor]()
    whole = isinstance(data, Rows)
    some = data.select_columns(list(fields)).select(rows) if fields and not whole else {}
    for column, field in fields.items():
        dtype = torch.int64 if field.kind == "label" else torch.float32
        try:
            values = data.tensor(column, dtype)[[*rows]] if whole else torch.tensor(some[column][:], dtype=dtype)
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


def _images_of(data: Any, column: str, beside: Sequence[str], mixed: int) -> Any:
    """The split with the one column of images, as files and not decoded; of row groups, as many more as are mixed."""
    from datasets import Image

    columns = [name for name, kind in data.features.items() if isinstance(kind, Image)]
    columns = columns if column else [name for name in columns if name not in beside]
    if column not in columns and (column or len(columns) != 1):
        there = ", ".join(columns) or f"none; it has {', '.join(data.features)}"
        raise ValueError(f"huggingface: option 'column' is {column!r}; columns of images: {there}.")
    if isinstance(data, Rows):
        return Column(data, column or columns[0], mixed + 1)
    return data.select_columns([column or columns[0]]).cast_column(column or columns[0], Image(decode=False))


def _source(name: str, part: str, which: str, data: Any, indices: Sequence[int]) -> Source:
    (column,) = data.column_names

    def items(start: int) -> Items:
        for first in range(start, len(indices), CHUNK):
            rows = indices[first : first + CHUNK]
            for row, image in zip(rows, data[list(rows)][column], strict=True):
                yield f"{which}[{row}]", _content(f"{which}[{row}]", image)

    identity = [column, *_files(data), list(indices)]
    return Source("huggingface", part, len(indices), items, identity, f"images of {name}, {which}")


def _files(data: Any) -> list[Any]:
    """What is known of the files that a data set lies in."""
    files = [Path(file["filename"]) for file in data.cache_files]
    if not files:
        raise ValueError("huggingface: the data set is held in memory; unset HF_DATASETS_IN_MEMORY_MAX_SIZE.")
    return [[file.name, *signature(file)] for file in files]


def _content(name: str, image: dict[str, Any] | None) -> Content:
    if image and image.get("bytes"):
        return bytes(image["bytes"])
    return File(Path(image["path"])) if image and image.get("path") else Bad(name, "no image")
