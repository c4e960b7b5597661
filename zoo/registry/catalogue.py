"""Reads registry.yaml: the packages known to exist, what they provide, and which of them may be imported here.

The user's settings and the registry.yaml beside a recipe are layered over the bundled file, which describes their
schema. Every scalar is text, so YAML's guesses at types cannot surprise anybody.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from zoo.api import KINDS
from zoo.errors import Position, Problem, RecipeError, RequestError, did_you_mean
from zoo.registry.discovery import FIRST_PARTY, Plugin, State, canonical

if TYPE_CHECKING:
    from yaml import Mark
    from yaml.nodes import Node

BUNDLED = Path(__file__).resolve().parent.parent / "registry.yaml"
NULL = "tag:yaml.org,2002:null"


@dataclass(frozen=True)
class Package:
    """A package known to exist: ``provides`` holds names by kind."""

    summary: str = ""
    provides: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    recipes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Blocked:
    """Versions of a package that must not be imported; no ``versions`` means all of them."""

    package: str
    reason: str
    versions: str = ""
    file: str = ""

    def hits(self, version: str) -> bool:
        """True if ``version`` is blocked; one that cannot be compared is."""
        from packaging.specifiers import InvalidSpecifier, SpecifierSet
        from packaging.version import InvalidVersion, Version

        try:
            return SpecifierSet(self.versions).contains(Version(version), prereleases=True)
        except InvalidVersion:
            return True
        except InvalidSpecifier:
            raise RequestError(
                f"{self.file}: error: versions '{self.versions}' of blocked package '{self.package}' "
                "is not a version specifier such as '<0.3'"
            ) from None


@dataclass(frozen=True)
class Catalogue:
    """One or several layered registry.yaml; names of distributions are canonical.

    ``allowed_by`` is the file of ``allow``, ``disabled`` maps each name to its file, and ``only`` is ``ZOO_PLUGINS``.
    """

    packages: Mapping[str, Package] = field(default_factory=dict)
    blocked: tuple[Blocked, ...] = ()
    pins: Mapping[str, str] = field(default_factory=dict)
    allow: frozenset[str] | None = None
    allowed_by: str = ""
    disabled: Mapping[str, str] = field(default_factory=dict)
    only: tuple[str, ...] | None = None

    def over(self, below: Catalogue) -> Catalogue:
        """This catalogue layered over another."""
        return Catalogue(
            packages={**below.packages, **self.packages},
            blocked=below.blocked + self.blocked,
            pins={**below.pins, **self.pins},
            allow=below.allow if self.allow is None else self.allow,
            allowed_by=below.allowed_by if self.allow is None else self.allowed_by,
            disabled={**self.disabled, **below.disabled},
        )

    def verdict(self, plugin: Plugin) -> tuple[State, str] | None:
        """State and reason of a plugin that must not be imported; else None. Allowlists admit the first party."""
        package, version = plugin.distribution, plugin.version
        for block in self.blocked:
            if block.package == package and block.hits(version):
                by = "" if block.file == str(BUNDLED) else f" by {block.file}"
                return "blocked", f"{package} {block.versions or version} is blocked{by}: {block.reason}"
        if self.only is not None and package != FIRST_PARTY and not any(map(plugin.answers_to, self.only)):
            listed = f"is '{','.join(self.only)}'" if self.only else "is empty (so it is with --no-plugins)"
            return "disabled", f"the variable ZOO_PLUGINS {listed}, which leaves it out"
        if self.allow is not None and package not in {*self.allow, FIRST_PARTY}:
            return "disabled", f"'{package}' is not under 'allow' in {self.allowed_by}"
        for name, file in self.disabled.items():
            if plugin.answers_to(name):
                enable = f": zoo plugins enable {name}" if file == str(settings_file()) else ""
                return "disabled", f"'{name}' is under 'disabled' in {file}{enable}"
        return None

    def providers(self, kind: str, name: str) -> list[str]:
        """Packages known to provide a component, or a recipe where the kind is ``recipe``."""
        return [
            package
            for package, known in self.packages.items()
            if name in (known.recipes if kind == "recipe" else known.provides.get(kind, ()))
        ]


def settings_file() -> Path:
    """``$ZOO_CONFIG/registry.yaml``, ``$XDG_CONFIG_HOME/zoo/registry.yaml`` or ``~/.config/zoo/registry.yaml``."""
    folder = os.environ.get("ZOO_CONFIG")
    if folder:
        return Path(os.path.abspath(os.path.expanduser(folder)), "registry.yaml")
    base = os.environ.get("XDG_CONFIG_HOME", "")
    base = base if os.path.isabs(base) else os.path.expanduser("~/.config")  # XDG has relative ones ignored
    return Path(base, "zoo", "registry.yaml")


def chosen() -> tuple[str, ...] | None:
    """The names in ``ZOO_PLUGINS``, or None where it is not set."""
    text = os.environ.get("ZOO_PLUGINS")
    return None if text is None else tuple(filter(None, map(str.strip, text.split(","))))


def policy(distributions: Iterable[str], layers: Sequence[Path], only: tuple[str, ...] | None) -> Catalogue:
    """The catalogue, as far as it concerns some distributions. Reading YAML costs 25 ms: without a layer of the
    user's own (later ones over earlier ones) the bundled file is parsed only if it mentions a stranger at all.
    """
    text = "" if layers else canonical(BUNDLED.read_text("utf-8"))
    known = layers or any(canonical(name) in text for name in distributions if name != FIRST_PARTY)
    return replace(whole(layers) if known else Catalogue(), only=only)


def whole(layers: Sequence[Path]) -> Catalogue:
    """The bundled catalogue with the user's layers over it."""
    result = _bundled()
    for file in layers:
        result = read(file).over(result)
    return result


@lru_cache(maxsize=1)
def _bundled() -> Catalogue:
    return read(BUNDLED)


def read(file: Path) -> Catalogue:
    """Reads one registry.yaml; raises RecipeError with every problem in it, placed."""
    try:
        return parse(file.read_text("utf-8"), str(file))
    except OSError as error:  # nothing is known of what it says: no advice to remove it
        raise RecipeError([Problem(Position(str(file)), f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        problems = [Problem(Position(str(file)), f"cannot be read: {error}")]
    except RecipeError as error:
        problems = list(error.problems)
    if file == settings_file():
        mine = "these are your settings of zoo: correct them, or remove the file, to go on"
        problems[-1] = replace(problems[-1], message=f"{problems[-1].message}; {mine}")
    raise RecipeError(problems)


def parse(text: str, file: str) -> Catalogue:
    """Reads the text of a registry.yaml; raises RecipeError with every problem in it, placed in ``file``."""
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        node = yaml.compose(text, Loader=loader)
    except yaml.YAMLError as error:
        place = _position(file, getattr(error, "problem_mark", None))
        raise RecipeError([Problem(place, f"is not YAML: {getattr(error, 'problem', error)}")]) from None
    reader = _Reader(file)
    catalogue = reader.catalogue(node) if node else Catalogue()
    if reader.problems:
        raise RecipeError(reader.problems)
    return catalogue


class _Reader:
    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def catalogue(self, node: Node) -> Catalogue:
        top = self.mapping(node, "the file", ("packages", "blocked", "pins", "allow", "disabled"))
        packages = self.mapping(top.get("packages"), "'packages'")
        pins = self.mapping(top.get("pins"), "'pins'")
        allow = top.get("allow")
        return Catalogue(
            packages={canonical(name): self.package(name, value) for name, value in packages.items()},
            blocked=tuple(map(self.block, self.children(top.get("blocked"), "'blocked'", "sequence"))),
            pins={self.pin(key, value): canonical(self.text(value, key)) for key, value in pins.items()},
            allow=None if allow is None else frozenset(map(canonical, self.texts(allow, "'allow'"))),
            allowed_by=self.file,
            disabled=dict.fromkeys(self.texts(top.get("disabled"), "'disabled'"), self.file),
        )

    def package(self, name: str, node: Node) -> Package:
        keys = self.mapping(node, f"package '{name}'", ("summary", "provides", "recipes"))
        provides = self.mapping(keys.get("provides"), f"'provides' of '{name}'", KINDS)
        return Package(
            summary=self.text(keys.get("summary"), "summary"),
            provides={kind: self.texts(value, kind) for kind, value in provides.items()},
            recipes=self.texts(keys.get("recipes"), "recipes"),
        )

    def block(self, node: Node) -> Blocked:
        keys = self.mapping(node, "an item of 'blocked'", ("package", "versions", "reason"))
        for key in {"package", "reason"} - keys.keys():
            self.problem(node, f"an item of 'blocked' needs '{key}'")
        package, reason, versions = (self.text(keys.get(key), key) for key in ("package", "reason", "versions"))
        return Blocked(canonical(package), reason, versions, self.file)

    def pin(self, key: str, node: Node) -> str:
        kind, slash, name = key.partition("/")
        kinds = (*KINDS, "recipe")
        if slash and kind not in kinds:
            self.problem(node, f"pin '{key}': '{kind}' is not a kind{did_you_mean(kind, kinds)}")
        elif slash and not name:
            self.problem(node, f"pin '{key}' names no part: write {kind}/NAME")
        return key

    def mapping(self, node: Node | None, where: str, choices: Iterable[str] | None = None) -> dict[str, Node]:
        result: dict[str, Node] = {}
        for key_node, value in self.children(node, where, "mapping"):
            key = self.text(key_node, "a key")
            if choices is not None and key not in choices:
                self.problem(key_node, f"{where} has no key '{key}'{did_you_mean(key, choices)}")
            elif key in result:
                self.problem(key_node, f"{where} has '{key}' twice")
            else:
                result[key] = value
        return result

    def texts(self, node: Node | None, where: str) -> tuple[str, ...]:
        return tuple(self.text(item, where) for item in self.children(node, where, "sequence"))

    def children(self, node: Any, where: str, kind: Literal["mapping", "sequence"]) -> tuple[Any, ...]:
        """The pairs of a mapping or the items of a list; nothing stands for none of them."""
        if node is None or node.tag == NULL:
            return ()
        if node.id != kind:
            self.problem(node, f"{where} must be a {'list' if kind == 'sequence' else kind}")
            return ()
        return tuple(node.value)

    def text(self, node: Any, where: str) -> str:
        if node is None:
            return ""
        if node.id != "scalar" or node.tag == NULL:
            self.problem(node, f"{where} must be text")
            return ""
        return str(node.value)

    def problem(self, node: Node, message: str) -> None:
        self.problems.append(Problem(_position(self.file, node.start_mark), message))


def _position(file: str, mark: Mark | None) -> Position:
    return Position(file, mark.line + 1, mark.column + 1) if mark else Position(file)
