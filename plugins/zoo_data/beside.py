"""What lies beside an image in a folder: a class for each sub-folder, and partners in other ones. Imports no torch."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from zipfile import ZipFile, is_zipfile

from zoo import api
from zoo_data.bad import Bad, printable
from zoo_data.files import user_path

TRAIN = ("train", "training")
TEST = ("test", "testing", "val", "valid", "validation")
"""Names of directories that say which split is in them, in any case; of several the first."""
RUN = {"recipe.yaml", "plugins.json"}
"""Files by which a directory is known as a run of the zoo."""

Masks = Mapping[str, int | Sequence[str]]
"""Field -> its classes, or how many."""


def folder_fields(
    path: str, test: float | str, labels: str | Sequence[str], pairs: Mapping[str, str] | None, masks: Masks | None
) -> tuple[dict[str, api.Field], dict[str, object]]:
    """What ``folder`` brings, and the option ``labels`` with the names that the sub-folders have.

    Raises:
        ValueError: where its options do not go together, or there is no sub-folder.
        OSError: where the directory cannot be listed.
    """
    if pairs and labels != "none":
        raise ValueError("folder: a set has 'labels' or 'pairs', not both; leave one out.")
    if masks and (unknown := [name for name in masks if name not in (pairs or {})]):
        raise ValueError(
            f"folder: option 'masks' has {unknown[0]!r}, which 'pairs' does not; give its sub-folder there."
        )
    if pairs:
        return _of_pairs(pairs, masks or {}), {}
    if labels == "none":
        return {"x": api.IMAGE}, {}
    names = classes_in(path, test) if isinstance(labels, str) else labels
    if len({*names}) < len(names) or not names:
        raise ValueError(f"folder: option 'labels' is {names}; name each sub-folder once.")
    return {"x": api.IMAGE, "label": api.Field("label", classes=tuple(names))}, {"labels": list(names)}


def _of_pairs(pairs: Mapping[str, str], masks: Masks) -> dict[str, api.Field]:
    places = [Path(place).as_posix() for place in pairs.values()]
    if len({*places}) < len(places) or any(place in ("", ".") or place.startswith(("/", "..")) for place in places):
        raise ValueError(f"folder: option 'pairs' is {dict(pairs)}; give each field a sub-folder of its own.")
    if next(iter(pairs)) != "x" or "x" in masks:
        raise ValueError("folder: the first field of 'pairs' is x, images: {x: photos, y: maps}.")
    fields = dict.fromkeys(pairs, api.IMAGE)
    for name, said in masks.items():
        classes = said if isinstance(said, int) else tuple(said)
        if (classes if isinstance(classes, int) else len(classes)) not in range(2, 257):
            raise ValueError(f"folder: option 'masks' says {said} of {name!r}; give 2 to 256 classes, or their names.")
        if not isinstance(classes, int) and len({*classes}) < len(classes):
            raise ValueError(f"folder: option 'masks' says {[*classes]} of {name!r}; name each class once.")
        fields[name] = api.Field("mask", "H W", classes=classes)
    return fields


def classes_in(path: str, test: float | str) -> list[str]:
    """The names of the sub-folders, sorted: of the directories of the splits, where there are these.

    Raises:
        ValueError: where there is none.
        OSError: where the directory cannot be listed.
    """
    root = place_of(path)
    tops = folders(root)
    train = next((top for top in tops if top.lower() in TRAIN), None)
    held = next((top for known in TEST for top in tops if top.lower() == known), None)
    if isinstance(test, str):
        place = Path(os.path.normpath(root / user_path(test)))
        found = {top for top in tops if root / top != place} | {*folders(directory(str(place)))}
    elif train and held:
        found = {*folders(root, train), *folders(root, held)}
    else:
        found = {*tops}
    if not found:
        raise ValueError(f"folder: {printable(str(root))} has no sub-folders, and 'labels' makes a class of each.")
    return sorted(found)


def place_of(path: str) -> Path:
    """The absolute path of a directory that can be listed, or of a zip."""
    with suppress(OSError, ValueError, RuntimeError):
        if path and (place := user_path(path).absolute()).is_file() and is_zipfile(place):
            return place
    return directory(path)


def directory(path: str) -> Path:
    """The absolute path of a directory that can be listed."""
    if not path:
        raise ValueError("folder: option 'path' is empty; give the directory of your images.")
    try:
        root = user_path(path).absolute()
        os.scandir(root).close()
    except FileNotFoundError:
        raise FileNotFoundError(f"folder: {root} does not exist; give a directory of images.") from None
    except NotADirectoryError:
        raise NotADirectoryError(f"folder: {root} is no directory; give one that holds images.") from None
    except (OSError, ValueError, RuntimeError) as error:  # a null byte in the name; no such ~user
        why = getattr(error, "strerror", None) or error
        raise OSError(f"folder: {path!r} cannot be listed ({why}); give a directory you may read.") from None
    return root


def folders(root: Path, inside: str = "") -> list[str]:
    """Sub-folders of a directory or of one in a zip, sorted; none that begins with a dot or is a run of the zoo."""
    if root.is_file() and is_zipfile(root):
        with ZipFile(root) as archive:
            start = f"{inside}/" if inside else ""
            below = (name.removeprefix(start) for name in archive.namelist() if name.startswith(start))
            found = {name.partition("/")[0] for name in below if "/" in name}
    else:
        with os.scandir(root / inside) as scan:
            found = {
                one.name for one in scan if one.is_dir() and not all((root / one.path / name).exists() for name in RUN)
            }
    return sorted(name for name in found if not name.startswith((".", "__MACOSX")))


def labelled(inside: Mapping[str, str], classes: Sequence[str]) -> dict[str, int]:
    """Name -> the number of its class, of the images in sub-folders of these names.

    Args:
        inside: name -> what of it follows the directory of its split.
        classes: names of sub-folders.

    Raises:
        ValueError: for a class of which there is no image.
    """
    numbers = {name: number for number, name in enumerate(classes)}
    tops = {name: rest.partition("/")[0] if "/" in rest else "" for name, rest in inside.items()}
    found = {name: numbers[top] for name, top in tops.items() if top in numbers}
    if empty := [name for number, name in enumerate(classes) if number not in {*found.values()}]:
        there = ", ".join(sorted({top for top in tops.values() if top})) or "none"
        raise ValueError(f"folder: class {empty[0]!r} has no image; sub-folders with images: {there}.")
    return found


def paired(inside: Mapping[str, str], places: Mapping[str, str]) -> tuple[dict[str, list[str]], list[Bad]]:
    """Images of sub-folders that belong together by their names there, without extension.

    Args:
        inside: name -> what of it follows the directory of its split; those of test last.
        places: field -> its sub-folder.

    Returns:
        Of each field as many names, in one order; and those that have no partner.

    Raises:
        ValueError: for a sub-folder without an image; where no image has all its partners.
    """
    found: dict[str, dict[str, str]] = {field: {} for field in places}
    starts = {field: f"{Path(place).as_posix()}/" for field, place in places.items()}
    alone = list[Bad]()
    for name, rest in inside.items():
        field = next((field for field, start in starts.items() if rest.startswith(start)), None)
        if field is None:
            continue
        split, stem = name.removesuffix(rest), os.path.splitext(rest.removeprefix(starts[field]))[0]
        first = found[field].setdefault(f"{split}{stem}", name)
        if first != name:
            alone.append(Bad(name, f"{first} has its name too, but for the extension"))
    for field, names in found.items():
        if not names:
            there = sorted({rest.partition("/")[0] for rest in inside.values() if "/" in rest})
            raise ValueError(
                f"folder: {starts[field]} of {field} has no image; there are {', '.join(there) or 'none'}."
            )
    for names in found.values():
        for key, name in names.items():
            if lacking := [starts[other] for other in places if key not in found[other]]:
                alone.append(Bad(name, f"no partner in {' and '.join(lacking)}"))
    whole = [key for key in found["x"] if all(key in names for names in found.values())]
    if not whole:
        raise ValueError(f"folder: no image has a partner of its name, but for the extension: first {alone[0]}.")
    return {field: [names[key] for key in whole] for field, names in found.items()}, alone
