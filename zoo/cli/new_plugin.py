"""``zoo new-plugin``: a plugin package that installs and passes its tests, made from templates.

The templates are in ``templates/``; ``LAYOUT`` says which file of the package each becomes. Torch is not imported.
"""

from __future__ import annotations

import argparse
import re
import shlex
from dataclasses import dataclass
from importlib import metadata
from importlib import util as importlib_util
from keyword import iskeyword
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory

import zoo
from zoo import api
from zoo.columns import json_text
from zoo.errors import RequestError
from zoo.registry import Registry, load_registry
from zoo.registry.discovery import canonical

TEMPLATES = Path(__file__).parent / "templates"

LAYOUT = {
    "pyproject.toml": "pyproject.toml.txt",
    "README.md": "README.md.txt",
    ".gitignore": "gitignore.txt",
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


@dataclass(frozen=True)
class Names:
    """What a new package and its parts are called, all derived from the distribution's name.

    Args:
        distribution: as its author wrote it: letters, digits, ``.``, ``_`` and ``-`` (PEP 508).
    """

    distribution: str

    @property
    def module(self) -> str:
        """Its import name; ``zoo_`` goes before one that Python would not take (``3d-nets``, ``class``)."""
        name = canonical(self.distribution).replace("-", "_")
        return name if name.isidentifier() and not iskeyword(name) else f"zoo_{name}"

    @property
    def part(self) -> str:
        """Its encoder, its recipe and its plugin: the distribution's name without a leading ``zoo-``."""
        return canonical(self.distribution).removeprefix("zoo-")

    @property
    def term(self) -> str:
        """Its term; an identifier, as terms' names are."""
        return f"pseudo_huber_{self.part.replace('-', '_')}"

    @property
    def parts(self) -> tuple[tuple[str, str], ...]:
        """The kind and name of everything it provides."""
        return ("encoder", self.part), ("term", self.term), ("recipe", self.part)


def check_names(names: Names, registry: Registry, folder: Path) -> None:
    """Refuses names that are not legal, or that something installed has already.

    Args:
        names: of the new package.
        registry: what is installed.
        folder: where the package goes; an empty one is no module in anybody's way.

    Raises:
        RequestError: saying which name, who has it, and what to do.
    """
    name = names.distribution
    if not _LEGAL.fullmatch(name):
        raise RequestError(
            f"'{name}' is not the name of a package; write letters, digits, '.', '_' and '-', "
            "with a letter or a digit at both ends, such as my-zoo-plugin"
        )
    version = _installed(name)
    if version:
        raise RequestError(f"package '{name}' is installed already (version {version}); choose another name")
    where = _module_at(names.module, folder)
    if where:
        raise RequestError(f"module '{names.module}' is there already ({where}); choose another name")
    owners = {(entry.kind, entry.name): entry.distribution for entry in registry.components()}
    owners |= {("recipe", recipe.name): recipe.distribution for recipe in registry.recipes()}
    for kind, part in names.parts:
        if (kind, part) in owners:
            raise RequestError(f"{kind} '{part}' is in {owners[kind, part]} already; choose another name than '{name}'")


def _installed(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def _module_at(module: str, folder: Path) -> str:
    """Where a module of that name is, or nothing; found, not imported."""
    spec = importlib_util.find_spec(module)
    places = [] if spec is None else [spec.origin] if spec.origin else list(spec.submodule_search_locations or ())
    return next((place for place in places if place and Path(place) != folder.resolve()), "")


def write_package(names: Names, folder: Path) -> list[Path]:
    """Writes the package, whole or not at all: beside its place first, then renamed.

    Args:
        names: of the package; see ``check_names``.
        folder: its directory; made if it is missing. One that holds anything is refused.

    Returns:
        the files, as paths inside the folder.

    Raises:
        RequestError: if the folder is not empty, or cannot be written.
    """
    words = {
        "distribution": names.distribution,
        "module": names.module,
        "part": names.part,
        "term": names.term,
        "api": repr(api.VERSION),
        "zoo": zoo.__version__,
    }
    files = {Path(Template(path).substitute(words)): _filled(template, words) for path, template in LAYOUT.items()}
    place = folder.resolve()
    try:
        if place.exists() and (not place.is_dir() or any(place.iterdir())):
            raise RequestError(f"{folder}: is there already and not empty; choose another --out")
        place.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=place.parent, prefix=f".{place.name}-") as beside:
            whole = Path(beside, place.name)
            for path, text in files.items():
                (whole / path).parent.mkdir(parents=True, exist_ok=True)
                (whole / path).write_text(text, "utf-8")
            whole.rename(place)  # over an empty directory; the system refuses one that has been filled meanwhile
    except OSError as error:
        raise RequestError(f"{folder}: cannot be written: {error.strerror}; choose another --out") from None
    return list(files)


def _filled(template: str, words: dict[str, str]) -> str:
    return Template((TEMPLATES / template).read_text("utf-8")).substitute(words)


def new_plugin(arguments: argparse.Namespace) -> int:
    """``zoo new-plugin NAME``."""
    names = Names(arguments.name)
    folder = arguments.out or Path(names.distribution)
    check_names(names, load_registry(tuple(arguments.plugin)), folder)
    files = write_package(names, folder)
    steps = [f"cd {shlex.quote(str(folder))}", "pip install -e '.[test]'", "pytest", f"zoo build {names.part}"]
    if arguments.json:
        provides = [{"kind": kind, "name": name} for kind, name in names.parts]
        listed = [str(file) for file in files]
        print(json_text({"folder": str(folder), "files": listed, "provides": provides, "next": steps}))
    else:
        provided = ", ".join(f"{kind} '{name}'" for kind, name in names.parts)
        print("\n".join([f"{folder}: {provided}", "", "next:", *(f"    {step}" for step in steps)]))
    return 0
