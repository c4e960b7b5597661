"""A directory of images, of any kinds and sizes, good and bad."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple
from zipfile import ZipFile

import torch
from torch import Tensor

from zoo import api
from zoo_data.bad import Bad, by_fault, judge, printable
from zoo_data.beside import TEST, TRAIN, directory, folder_fields, labelled, paired, place_of
from zoo_data.cache import Packed
from zoo_data.decode import View
from zoo_data.files import user_path
from zoo_data.find import Search
from zoo_data.listed import content, signature
from zoo_data.pack import alike, check_workers, pack, whole
from zoo_data.pixels import Size, check_common
from zoo_data.read import of_classes, read
from zoo_data.sources import Items, Source, files_source, of_good, zipped


def folder(
    *,
    path: str = "",
    size: Size = 32,
    stored: Size = 0,
    channels: Literal[1, 3] = 3,
    labels: Literal["none", "folders"] | tuple[str, ...] = "none",
    pairs: dict[str, str] | None = None,
    masks: dict[str, int | tuple[str, ...]] | None = None,
    test: float | str = 0.1,
    crop: int | Literal["square", "none"] = "square",
    resize: Literal["antialias", "published"] = "antialias",
    on_error: Literal["skip", "error"] = "skip",
    workers: int = 0,
    seed: int = 0,
) -> api.Examples:
    """Every image below ``path``, in sorted order: upright, cropped, resized; packed once into the cache.

    Names that begin with a dot and runs of the zoo are passed over, and files that Pillow cannot read, which are
    counted in the notes; what is reached twice, through links, counts once.
    Whether an image is for training or test is a hash of its name below ``path`` and of ``seed``, so adding
    one moves no other, except where a split would be empty: the last or first image is moved into it.

    Args:
        path: the directory, or a zip of images; ``~`` is the home directory, ``$NAME`` what the environment has.
        size: image side in pixels, or [height, width].
        stored: image side that is packed, or [height, width], larger than ``size``: models see the central part, or
            what an augmentation such as ``resized-crop`` cuts out; 0 for ``size``.
        channels: 1 (luma) or 3.
        labels: ``folders`` for a field ``label``, whose classes are the sub-folders, in sorted order; or names of
            sub-folders, in the order of the classes: what else is there is not used.
        pairs: field -> sub-folder, ``x`` first, such as {x: photos, y: maps}: images of one name, but for the
            extension, belong together. They have the same proportions, and where ``crop`` is a number the same size;
            others are bad, unless ``crop`` is ``none``.
        masks: which of these fields are masks: field -> how many classes, or their names. The value of a pixel, or
            its place in a palette, is its class; of two classes, 255 counts as 1. One with another class is bad.
        test: share of the images held out, between 0 and 1; or the directory of the test images, its name below
            ``path`` or absolute. Where ``path`` has directories ``train`` and ``test`` (or ``val``), those are the
            splits.
        crop: the largest central ``square``, or part of the proportions of ``size``; a number of pixels, for a
            central part of that shorter side; ``none`` squeezes the whole image.
        resize: ``antialias`` (bicubic), or ``published`` (bilinear from the four nearest pixels).
        on_error: ``skip`` files that cannot be read or have no partner and name them in the notes, or stop with an
            ``error``.
        workers: processes that decode; 0 for one a core, at most 8; 1 for none but this one.
        seed: another seed, another split.

    Raises:
        ValueError: for a value outside its range, fewer than two good images, or (``error``) a bad one; for a class
            without an image.
        OSError: when ``path`` is missing, no directory, or unreadable; when the cache cannot be written.
    """
    _check(workers, test, size=size, stored=stored, channels=channels, seed=seed, crop=crop)
    described, _ = folder_fields(path, test, labels, pairs, masks)
    root = place_of(path)
    search, where = _search(root), printable(str(root))
    split = _splits(root, search.names, test, _fraction_of(seed, pairs or {}))
    notes = [*split.notes, *_passed_over(search, where)]
    inside = split.inside()
    names, alone = paired(inside, pairs) if pairs else ({"x": [*inside]}, [])
    numbers = labelled(inside, described["label"].classes) if labels != "none" else {}
    names = {"x": [*numbers]} if numbers else names
    notes += _unused(len(inside) - sum(map(len, names.values())) - len(alone), len(inside), where)
    views = {"image": View(stored or size, channels, crop, resize), "mask": View(stored or size, 1, crop, "classes")}
    packs = _packed(root, names, described, views, workers)
    found, good, lost = whole(names, packs)
    bad = by_fault(sorted([*search.bad, *alone, *lost]))
    notes += judge("folder", bad, len(good) * len(names), f"files in {where}", on_error, packs["x"].page)
    _require_two(len(good), bad, root)
    kept = {name: [own[place] for place in good] for name, own in names.items()}
    for name in (name for name in names if described[name].kind == "mask"):
        found[name] = found[name][:, 0]
    if numbers:
        found["label"] = torch.tensor([numbers[name] for name in kept["x"]])
    told = dict.fromkeys(note for packed in packs.values() for note in packed.notes)
    return _parted(found, sum(name not in split.held_out for name in kept["x"]), (*told, *notes))


def _parted(found: dict[str, Tensor], border: int, notes: tuple[str, ...]) -> api.Examples:
    """Those for training, so many, and those for test; one of each at least."""
    border = min(max(border, 1), len(found["x"]) - 1)
    both = {name: (tensor[:border], tensor[border:]) for name, tensor in found.items()}
    return api.Examples(*both.pop("x"), notes, both)


def _passed_over(search: Search, where: str) -> list[str]:
    found = f"folder: found {len(search.names):,} images in {where}, passed over {search.passed_over}."
    return [found] if search.passed_over else []


def _unused(others: int, total: int, where: str) -> list[str]:
    which = f"{others:,} of {total:,} images in {where}, which {'is' if others == 1 else 'are'}"
    return [f"folder: not used: {which} in no sub-folder that is named."] if others else []


def _check(workers: int, test: float | str, **common: Any) -> None:
    check_common("folder", **common)
    check_workers("folder", workers)
    if not isinstance(test, str) and not 0 < test < 1:
        raise ValueError(f"folder: option 'test' is {test}; choose a share between 0 and 1, such as 0.1.")


def _require_two(good: int, bad: list[Bad], root: Path) -> None:
    if good == 1:
        besides = f", besides {len(bad):,} bad ones, first {bad[0]}" if bad else ""
        raise ValueError(
            f"folder: {root} holds one good image{besides}; add another, for train and test need one each."
        )


def _packed(
    root: Path,
    names: Mapping[str, list[str]],
    described: Mapping[str, api.Field],
    views: Mapping[str, View],
    workers: int,
) -> dict[str, Packed]:
    """Each field by its view; bad are those too that do not fit the ``x`` beside them, or the field."""
    sources = {name: _source(root, own) for name, own in names.items()}
    packs = {name: pack(source, views[described[name].kind], workers) for name, source in sources.items()}
    packs = alike(names, packs, sources, views["image"].crop, workers)
    return {name: _checked(name, packed, described[name], names[name]) for name, packed in packs.items()}


def _checked(name: str, packed: Packed, field: api.Field, names: list[str]) -> Packed:
    """A field as it is, or masks with black and white as 0 and 1, bad where they have a class that there is not."""
    if field.kind != "mask":
        return packed
    count = len(field.classes) if isinstance(field.classes, tuple) else int(field.classes)
    masks, spoilt = of_classes(packed.pixels, count), {one.name for one in packed.bad}
    there = [inside for inside in names if inside not in spoilt]
    wrong = [
        Bad(inside, f"a mask with class {highest}, and {name} has {count}, the values of its pixels: 0 to {count - 1}")
        for inside, highest in zip(there, masks.flatten(1).amax(1).tolist(), strict=True)
        if highest >= count
    ]
    return replace(packed, pixels=of_good(masks, there, wrong), bad=(*packed.bad, *wrong))


class Splits(NamedTuple):
    """Which images are used, which of them are for test, and what is to be told of that.

    ``starts`` are the directories of splits, with which some of the names begin.
    """

    chosen: list[str]
    held_out: set[str]
    notes: list[str]
    starts: tuple[str, ...]

    def inside(self) -> dict[str, str]:
        """Name -> what follows the directory of its split: those for training, then those for test, each sorted."""
        names = sorted(self.chosen, key=self.held_out.__contains__)  # stable
        starts = {name: next((start for start in self.starts if name.startswith(start)), "") for name in names}
        return {name: name.removeprefix(start) for name, start in starts.items()}


def _splits(root: Path, names: list[str], test: float | str, fraction: Callable[[str], float]) -> Splits:
    if isinstance(test, str):
        place = Path(os.path.normpath(root / user_path(test)))
        below = f"{place.relative_to(root).as_posix()}/" if place.is_relative_to(root) else ""
        held_out = {name for name in names if below and name.startswith(below)}
        if not below:
            held_out = {str(place / name) for name in _search(directory(str(place))).names}
        if not held_out or held_out >= set(names):
            raise ValueError(f"folder: option 'test' is {test!r}; {place} holds no image, or there is none besides.")
        return Splits(sorted({*names, *held_out}), held_out, [], (below or f"{place}/",))
    tops = Counter(name.partition("/")[0] for name in names if "/" in name)
    train = next((top for top in sorted(tops) if top.lower() in TRAIN), None)
    held = next((top for known in TEST for top in sorted(tops) if top.lower() == known), None)
    if not train or not held:
        return Splits(names, {name for name in names if fraction(name) < test}, [], ())
    chosen = [name for name in names if name.partition("/")[0] in {train, held}]
    splits = f"{train}/ with {tops[train]:,} images for training and {held}/ with {tops[held]:,} for test"
    note = f"folder: {printable(str(root))} has {splits}"
    if others := len(names) - len(chosen):
        note += f"; {others:,} images besides these are not used"
    held_out = {name for name in chosen if name.startswith(f"{held}/")}
    return Splits(chosen, held_out, [f"{note}."], (f"{train}/", f"{held}/"))


def _ready(*, path: str) -> None:
    """Refuses a directory that cannot be listed."""
    place_of(path)


folder.ready = _ready
folder.read = read


def _search(root: Path) -> Search:
    """Lists ``root``, if it holds anything."""
    search = Search(root)
    if not search.names and not search.bad:
        besides = f"; passed over {search.passed_over}" if search.passed_over else ""
        kinds = ".png .jpg .webp and what else Pillow reads, in any case, at any depth"
        raise ValueError(f"folder: {root} holds no image ({kinds}){besides}.")
    return search


def _source(root: Path, names: Sequence[str]) -> Source:
    if not root.is_file():
        return files_source("folder", "all", root, [*names])

    def items(start: int) -> Items:
        with ZipFile(root) as archive:
            for name in names[start:]:
                yield name, zipped(archive, name, name)

    identity = [str(root), *signature(root), content([root]), [*names]]
    return Source("folder", "all", len(names), items, identity, f"images in {printable(str(root))}")


def _fraction_of(seed: int, pairs: dict[str, str]) -> Callable[[str], float]:
    """A number in [0, 1) that is a function of a name and the seed alone; of partners, the same."""

    starts = [f"{Path(place).as_posix()}/" for place in pairs.values()]

    def fraction(name: str) -> float:
        start = next((start for start in starts if name.startswith(start)), "")
        known = os.path.splitext(name.removeprefix(start))[0] if start else name
        digest = hashlib.blake2b(b"%d\0" % seed + os.fsencode(known), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64

    return fraction
