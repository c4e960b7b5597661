"""``zoo new-plugin``: a plugin package that installs and passes its tests, made from templates.

The templates are in ``templates/``; ``LAYOUT`` says which file of the package each becomes. Torch is not imported.
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata
from importlib import util as importlib_util
from keyword import iskeyword
from pathlib import Path
from string import Template

import zoo
from zoo import api
from zoo.columns import json_text
from zoo.errors import RequestError
from zoo.machine.disk import folder_written
from zoo.registry import Registry, load_registry
from zoo.registry.discovery import canonical
from zoo.registry.entries import Named

TEMPLATES = Path(__file__).parent / "templates"

LAYOUT = {
    "pyproject.toml": "pyproject.toml.txt",
    "README.md": "README.md.txt",
    ".gitignore": "gitignore.txt",
    ".github/workflows/test.yml": "test.yml.txt",
    "src/$module/__init__.py": "entry.py.txt",
    "src/$module/networks.py": "networks.py.txt",
    "src/$module/terms.py": "terms.py.txt",
    "src/$module/$part.yaml": "recipe.yaml.txt",
    "src/$module/py.typed": "py.typed.txt",
    "tests/test_contract.py": "test_contract.py.txt",
    "tests/test_terms.py": "test_terms.py.txt",
}
"""File of the package -> its template. ``src/`` keeps the package out of reach of a test that is run beside it: tests
see what is installed, as the zoo does, and setuptools finds the one package there without being told."""

_LEGAL = re.compile(r"[A-Z0-9]|[A-Z0-9][A-Z0-9._-]*[A-Z0-9]", re.IGNORECASE | re.ASCII)


def words_for(distribution: str) -> dict[str, str]:
    """The words of the templates, all derived from the name of a new distribution (PEP 508), as its author wrote it."""
    name = canonical(distribution)
    module, part = name.replace("-", "_"), name.removeprefix("zoo-")
    return {
        "distribution": distribution,
        "module": module if module.isidentifier() and not iskeyword(module) else f"zoo_{module}",  # 3d-nets, class
        "part": part,
        "term": f"pseudo_huber_{part.replace('-', '_')}",
        "api": repr(api.VERSION),
        "zoo": zoo.__version__,
    }


def parts_of(words: Mapping[str, str]) -> list[tuple[str, str]]:
    """The kind and name of everything that a new package provides."""
    return [("encoder", words["part"]), ("term", words["term"]), ("recipe", words["part"])]


def _check(words: Mapping[str, str], registry: Registry, folder: Path) -> None:
    """Refuses names that are not legal, or that something installed has. An empty folder is no module in the way."""
    name, module = words["distribution"], words["module"]
    if not _LEGAL.fullmatch(name):
        raise RequestError(
            f"'{name}' is not the name of a package; write letters, digits, '.', '_' and '-', "
            "with a letter or a digit at both ends, such as my-zoo-plugin"
        )
    with suppress(metadata.PackageNotFoundError):
        version = metadata.version(name)
        raise RequestError(f"package '{name}' is installed already (version {version}); choose another name")
    spec = importlib_util.find_spec(module)  # found, not imported
    places = [] if spec is None else [spec.origin] if spec.origin else list(spec.submodule_search_locations or ())
    taken = [place for place in places if place and Path(place) != folder.resolve()]
    if taken:
        raise RequestError(f"module '{module}' is there already ({taken[0]}); choose another name")
    entries: list[Named] = [*registry.components(), *registry.recipes()]
    owners = {(entry.kind, entry.name): entry.distribution for entry in entries}
    for kind, part in parts_of(words):
        if (kind, part) in owners:
            raise RequestError(f"{kind} '{part}' is in {owners[kind, part]} already; choose another name than '{name}'")


def _write(words: Mapping[str, str], folder: Path) -> list[Path]:
    """Writes the package whole or not at all: beside its place first, then renamed. Gives its files' paths inside it.

    A folder that is not empty, or cannot be written, is a RequestError.
    """
    files = {Path(Template(path).substitute(words)): TEMPLATES / template for path, template in LAYOUT.items()}
    place = folder.resolve()
    try:
        if place.exists() and (not place.is_dir() or any(place.iterdir())):
            raise RequestError(f"{folder}: is there already and not empty; choose another --out")
        with folder_written(place) as beside:
            for path, template in files.items():
                (beside / path).parent.mkdir(parents=True, exist_ok=True)
                (beside / path).write_text(Template(template.read_text("utf-8")).substitute(words), "utf-8")
    except OSError as error:
        raise RequestError(f"{folder}: cannot be written: {error.strerror}; choose another --out") from None
    return list(files)


def new_plugin(arguments: argparse.Namespace) -> int:
    """``zoo new-plugin NAME``."""
    words = words_for(arguments.name)
    folder = arguments.out or Path(arguments.name)
    _check(words, load_registry(tuple(arguments.plugin)), folder)
    files = _write(words, folder)
    steps = [f"cd {shlex.quote(str(folder))}", "pip install -e '.[test]'", "pytest", f"zoo build {words['part']}"]
    if arguments.json:
        provides = [{"kind": kind, "name": name} for kind, name in parts_of(words)]
        print(json_text({"folder": str(folder), "files": [*map(str, files)], "provides": provides, "next": steps}))
    else:
        provided = ", ".join(f"{kind} '{name}'" for kind, name in parts_of(words))
        print("\n".join([f"{folder}: {provided}", "", "next:", *(f"    {step}" for step in steps)]))
    return 0
