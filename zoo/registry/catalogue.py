"""registry.yaml: which packages are known to exist and what they provide, and who may be imported here.

The bundled file is the catalogue; the user's settings and the registry.yaml beside a recipe, same schema, are
layered over it in this order. The schema is described in the bundled file. Every scalar is text, so no YAML typing
surprises are possible.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from zoo.api import KINDS
from zoo.errors import Position, Problem, RecipeError, RequestError, did_you_mean
from zoo.registry.discovery import FIRST_PARTY, Plugin, State, canonical

if TYPE_CHECKING:
    from yaml.nodes import Node

BUNDLED = Path(__file__).resolve().parent.parent / "registry.yaml"

T = TypeVar("T")


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
        """Whether ``version`` is blocked; one that cannot be compared is."""
        if not self.versions:
            return True
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
    """What one or several layered registry.yaml say; names of distributions are canonical.

    ``allowed_by`` is the file of ``allow``, ``disabled`` has for each name its file, and ``only`` is ``ZOO_PLUGINS``.
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
        """Why a plugin is not imported, or None. The first party need not be on an allowlist."""
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
                cure = f": zoo plugins enable {name}" if file == str(settings_file()) else ""
                return "disabled", f"'{name}' is under 'disabled' in {file}{cure}"
        return None

    def providers(self, kind: str, name: str) -> list[str]:
        """Packages known to provide a component, or a recipe where the kind is ``recipe``."""
        return [
            package
            for package, known in self.packages.items()
            if name in (known.recipes if kind == "recipe" else known.provides.get(kind, ()))
        ]


def settings_file() -> Path:
    """Where the user's settings are, or would be: ``$ZOO_CONFIG/registry.yaml``, else
    ``$XDG_CONFIG_HOME/zoo/registry.yaml``, else ``~/.config/zoo/registry.yaml``."""
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


def policy(found: Iterable[str], layers: Sequence[Path], only: tuple[str, ...] | None) -> Catalogue:
    """The catalogue, as far as it concerns the distributions found. Reading YAML costs 25 ms: without a layer
    of the user's the bundled file is parsed only if it mentions a stranger at all.

    Args:
        found: distributions with plugins.
        layers: the user's own files, later ones over earlier ones.
        only: what ``ZOO_PLUGINS`` names, if it is set.
    """
    text = "" if layers else canonical(BUNDLED.read_text("utf-8"))
    known = layers or any(canonical(name) in text for name in found if name != FIRST_PARTY)
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
    """One registry.yaml.

    Raises:
        RecipeError: every problem in the file, placed.
    """
    try:
        return parse(file.read_text("utf-8"), str(file))
    except (OSError, UnicodeDecodeError) as error:
        problems = [Problem(Position(str(file)), f"cannot be read: {error}")]
    except RecipeError as error:
        problems = list(error.problems)
    if file == settings_file():
        cure = "these are your settings of zoo: correct them, or remove the file, to go on"
        problems[-1] = replace(problems[-1], message=f"{problems[-1].message}; {cure}")
    raise RecipeError(problems)


def parse(text: str, file: str) -> Catalogue:
    """The text of a registry.yaml; positions name ``file``.

    Raises:
        RecipeError: every problem in it, placed.
    """
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        node = yaml.compose(text, Loader=loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = Position(file, mark.line + 1, mark.column + 1) if mark else Position(file)
        raise RecipeError([Problem(place, f"is not YAML: {getattr(error, 'problem', error)}")]) from None
    reader = _Reader(file)
    catalogue = reader.catalogue(node) if node else Catalogue()
    if reader.problems:
        raise RecipeError(reader.problems)
    return catalogue


class _Reader:
    """YAML nodes to a catalogue, collecting problems."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def catalogue(self, node: Node) -> Catalogue:
        top = self.mapping(node, "the file", ("packages", "blocked", "pins", "allow", "disabled"))
        packages = self.mapping(top.get("packages"), "'packages'")
        allow = top.get("allow")
        return Catalogue(
            packages={canonical(name): self.package(name, value) for name, value in packages.items()},
            blocked=tuple(self.items(top.get("blocked"), "'blocked'", self.block)),
            pins={self.pin(k, v): canonical(self.text(v, k)) for k, v in self.pins(top).items()},
            allow=None if allow is None else frozenset(map(canonical, self.texts(allow, "'allow'"))),
            allowed_by=self.file,
            disabled=dict.fromkeys(self.texts(top.get("disabled"), "'disabled'"), self.file),
        )

    def package(self, name: str, node: Node) -> Package:
        keys = self.mapping(node, f"package '{name}'", ("summary", "provides", "recipes"))
        provides = self.mapping(keys.get("provides"), f"'provides' of '{name}'", KINDS)
        return Package(
            summary=self.text(keys["summary"], "summary") if "summary" in keys else "",
            provides={kind: tuple(self.texts(value, kind)) for kind, value in provides.items()},
            recipes=tuple(self.texts(keys.get("recipes"), "recipes")),
        )

    def block(self, node: Node) -> Blocked:
        keys = self.mapping(node, "an item of 'blocked'", ("package", "versions", "reason"))
        texts = {key: self.text(value, key) for key, value in keys.items()}
        for key in ("package", "reason"):
            if key not in texts:
                self.problem(node, f"an item of 'blocked' needs '{key}'")
        package, reason = canonical(texts.get("package", "")), texts.get("reason", "")
        return Blocked(package, reason, texts.get("versions", ""), self.file)

    def pins(self, top: Mapping[str, Node]) -> dict[str, Node]:
        return self.mapping(top.get("pins"), "'pins'")

    def pin(self, key: str, node: Node) -> str:
        kind, slash, name = key.partition("/")
        if slash and (kind not in (*KINDS, "recipe") or not name):
            self.problem(node, f"pin '{key}': '{kind}' is not a kind{did_you_mean(kind, KINDS)}")
        return key

    def mapping(self, node: Node | None, where: str, choices: Iterable[str] | None = None) -> dict[str, Node]:
        result: dict[str, Node] = {}
        if node is None or _empty(node):
            return result
        if not _is(node, "mapping"):
            self.problem(node, f"{where} must be a mapping")
            return result
        for key_node, value in node.value:
            key = self.text(key_node, "a key")
            if choices is not None and key not in choices:
                self.problem(key_node, f"{where} has no key '{key}'{did_you_mean(key, choices)}")
            elif key in result:
                self.problem(key_node, f"{where} has '{key}' twice")
            else:
                result[key] = value
        return result

    def items(self, node: Node | None, where: str, each: Callable[[Node], T]) -> list[T]:
        if node is None or _empty(node):
            return []
        if not _is(node, "sequence"):
            self.problem(node, f"{where} must be a list")
            return []
        return [each(item) for item in node.value]

    def texts(self, node: Node | None, where: str) -> list[str]:
        return self.items(node, where, lambda item: self.text(item, where))

    def text(self, node: Node, where: str) -> str:
        if not _is(node, "scalar") or _empty(node):
            self.problem(node, f"{where} must be text")
            return ""
        return str(node.value)

    def problem(self, node: Node, message: str) -> None:
        mark = node.start_mark
        self.problems.append(Problem(Position(self.file, mark.line + 1, mark.column + 1), message))


def _is(node: Node, kind: str) -> bool:
    return getattr(node, "id", "") == kind  # scalar, sequence or mapping


def _empty(node: Node) -> bool:
    return _is(node, "scalar") and node.tag == "tag:yaml.org,2002:null"
