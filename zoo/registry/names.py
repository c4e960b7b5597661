"""What a name means: ``[distribution/]name`` to one entry, or a sentence that helps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from zoo.errors import RequestError, did_you_mean
from zoo.registry.catalogue import Catalogue
from zoo.registry.discovery import FIRST_PARTY, LOCAL, Plugin, canonical


class UnknownName(RequestError):
    """No component or recipe has that name; the message says what to do."""


class AmbiguousName(RequestError):
    """Several packages provide the name and nothing says which is meant."""


class Named(Protocol):
    """A component or recipe as names see it."""

    @property
    def distribution(self) -> str:
        """Who provides it."""

    @property
    def id(self) -> str:
        """``distribution/name``."""


N = TypeVar("N", bound=Named)


def split(name: str) -> tuple[str, str]:
    """``"dist/name"`` -> canonical distribution (or nothing) and bare name."""
    distribution, slash, bare = name.rpartition("/")
    return (canonical(distribution) if slash else ""), bare


def choose(candidates: Sequence[N], kind: str, name: str, pins: Mapping[str, str]) -> N:
    """The one meant by a bare name among several providers: pinned, first-party, or the only one."""
    pinned = pins.get(f"{kind}/{name}") or pins.get(name)
    by_distribution = {entry.distribution: entry for entry in candidates}
    if pinned:
        if pinned in by_distribution:
            return by_distribution[pinned]
        choices = did_you_mean(pinned, by_distribution)
        raise RequestError(f"{kind} '{name}' is pinned to '{pinned}', which does not provide it{choices}")
    if FIRST_PARTY in by_distribution:
        return by_distribution[FIRST_PARTY]
    if len(candidates) == 1:
        return candidates[0]
    ids = sorted(entry.id for entry in candidates)
    raise AmbiguousName(
        f"{kind} '{name}' is provided by {len(ids)} packages; choose {' or '.join(map(repr, ids))}, "
        f"or pin it in registry.yaml (pins: {{{kind}/{name}: {ids[0].partition('/')[0]}}})"
    )


def unknown(
    kind: str,
    name: str,
    kinds: Mapping[str, Iterable[str]],
    plugins: Sequence[Plugin],
    catalogue: Catalogue,
) -> UnknownName:
    """The exception for a name that nothing answers to.

    Args:
        kind: what was asked for; ``recipe`` for recipes.
        name: as written, with or without its distribution.
        kinds: what is there: names by kind.
        plugins: all of them, however they fared.
        catalogue: the packages known to exist.
    """
    distribution, bare = split(name)
    if distribution:
        return UnknownName(_in_package(kind, bare, distribution, plugins, catalogue))
    providers = catalogue.providers(kind, bare)
    if providers:
        return UnknownName(_provided_elsewhere(kind, bare, providers, plugins))
    others = [other for other, names in kinds.items() if bare in names]
    if others:
        listed = did_you_mean(bare, kinds.get(kind, ()))
        return UnknownName(f"'{bare}' is {_a(others[0])}, not {_a(kind)}{listed}")
    choices = did_you_mean(bare, kinds.get(kind, ()))
    elsewhere = [other for other, known in _known_kinds(catalogue).items() if bare in known and other != kind]
    if elsewhere:
        return UnknownName(f"'{bare}' is {_a(elsewhere[0])}, not {_a(kind)}{choices}")
    return UnknownName(f"there is no {kind} '{bare}'{choices}{_suspects(choices, plugins)}")


def _provided_elsewhere(kind: str, name: str, providers: Sequence[str], plugins: Sequence[Plugin]) -> str:
    """The catalogue knows who has it: they are ill, absent, or installed in a version without it."""
    sick = [text for package in providers if (text := _sick(package, plugins))]
    if sick:
        return f"{kind} '{name}' comes with {'; or with '.join(sick)}"
    here = {plugin.distribution: plugin.version for plugin in plugins}
    absent = [package for package in providers if package not in here]
    if absent:
        cures = " or ".join(f"pip install {package}" for package in absent)
        return f"there is no {kind} '{name}' here, but {' and '.join(absent)} has it: {cures}"
    package = providers[0]
    return (
        f"there is no {kind} '{name}' in {package} {here[package]}, which is installed, "
        f"but another version has it: pip install --upgrade {package}"
    )


def _in_package(kind: str, name: str, package: str, plugins: Sequence[Plugin], catalogue: Catalogue) -> str:
    provided = {
        component.name
        for plugin in plugins
        if plugin.distribution == package
        for component in (plugin.recipes if kind == "recipe" else plugin.components)
        if kind == "recipe" or getattr(component, "kind", "") == kind
    }
    distributions = {plugin.distribution for plugin in plugins}
    if package in distributions:
        sick = _sick(package, plugins)
        if sick:
            return f"{kind} '{package}/{name}' is not available: {sick}"
        return f"'{package}' has no {kind} '{name}'{did_you_mean(name, provided)}"
    if package in catalogue.packages:
        return f"{kind} '{package}/{name}' needs a package that is not installed: pip install {package}"
    return f"no package '{package}' with plugins is installed{did_you_mean(package, distributions)}"


def _sick(package: str, plugins: Sequence[Plugin]) -> str:
    """``"zoo-foo 1.2, whose plugin 'foo' is broken: ..."`` or nothing if the package is well or absent."""
    ill = [plugin for plugin in plugins if plugin.distribution == package and plugin.state != "ok"]
    if not ill:
        return ""
    told = ", ".join(f"'{plugin.name}' is {plugin.state}: {plugin.reason}" for plugin in ill)
    return f"{package} {ill[0].version}, whose plugin {told}"


def _suspects(choices: str, plugins: Sequence[Plugin]) -> str:
    """Plugins that may have had the name, unless something close was found."""
    if "did you mean" in choices:
        return ""
    ill = [f"'{p.name}' of {p.distribution} is {p.state}" for p in plugins if p.state != "ok"]
    return f" (plugin {', '.join(ill)}; 'zoo plugins' says why)" if ill else ""


def _known_kinds(catalogue: Catalogue) -> dict[str, set[str]]:
    known: dict[str, set[str]] = {}
    for package in catalogue.packages.values():
        for kind, names in package.provides.items():
            known.setdefault(kind, set()).update(names)
    return known


def _a(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def order(distribution: str) -> tuple[bool, bool, str]:
    """First-party first, local files last."""
    return distribution != FIRST_PARTY, distribution == LOCAL, distribution
