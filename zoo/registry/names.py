"""Resolves names: ``[distribution/]name`` to one entry, or to a sentence that helps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from zoo.errors import RequestError, a, did_you_mean
from zoo.registry.catalogue import Catalogue
from zoo.registry.discovery import FIRST_PARTY, LOCAL, Plugin, canonical

if TYPE_CHECKING:
    from zoo.registry.entries import Named


class UnknownName(RequestError):
    """No component or recipe has that name; the message says what to do."""


class AmbiguousName(RequestError):
    """Several packages provide the name and nothing says which is meant."""


N = TypeVar("N", bound="Named")


def split(name: str) -> tuple[str, str]:
    """``"dist/name"`` -> canonical distribution (or nothing) and bare name."""
    distribution, slash, bare = name.rpartition("/")
    return (canonical(distribution) if slash else ""), bare


def choose(
    candidates: Sequence[N],
    kind: str,
    name: str,
    pins: Mapping[str, str],
    plugins: Sequence[Plugin] = (),
    own: Sequence[str] = (),
) -> N:
    """The one meant by a bare name among several providers: that of the package whose ``own`` text or part says it, the
    pinned one, the first-party one, or the only one.

    Raises AmbiguousName where nothing says which, RequestError for a pin to a package that does not provide it.
    """
    by_distribution = {entry.distribution: entry for entry in candidates}
    if inside := next((package for package in own if package in by_distribution), None):
        return by_distribution[inside]
    meant, pinned = _meant(by_distribution, kind, name, pins)
    if meant in by_distribution:
        return by_distribution[meant]
    ids = sorted(entry.id for entry in candidates)
    if pinned:
        raise RequestError(f"{kind} '{name}' is pinned to '{meant}', {_why_not(meant, by_distribution, plugins)}")
    raise AmbiguousName(
        f"{kind} '{name}' is provided by {len(ids)} packages; choose {' or '.join(map(repr, ids))}, "
        f"or pin it in registry.yaml (pins: {{{kind}/{name}: {ids[0].partition('/')[0]}}})"
    )


def _meant(providers: Iterable[str], kind: str, name: str, pins: Mapping[str, str]) -> tuple[str, bool]:
    """The package that a bare name means, or nothing; and True if a pin says so."""
    pin = pins.get(f"{kind}/{name}") or pins.get(name)
    first, *others = sorted(providers, key=order)
    return pin or ("" if others and first != FIRST_PARTY else first), bool(pin)


def _why_not(pinned: str, providers: Iterable[str], plugins: Sequence[Plugin]) -> str:
    ill = _ill(pinned, plugins)
    if ill:
        return f"which is not available: {ill}"
    if any(plugin.distribution == pinned for plugin in plugins):
        return f"which does not provide it{did_you_mean(pinned, providers)}"
    install = f": pip install {pinned}, or change the pin{did_you_mean(pinned, providers)}"
    return f"which is not installed{did_you_mean(pinned, providers, listed=False) or install}"


@dataclass(frozen=True)
class Collision:
    """A name that several packages provide. Bare it means that of ``meant``; it is ambiguous where that is empty."""

    kind: str
    name: str
    providers: tuple[str, ...]
    meant: str
    pinned: bool

    def __str__(self) -> str:
        if not self.meant:
            means = f"is ambiguous: pin it in registry.yaml (pins: {{{self.kind}/{self.name}: {self.providers[0]}}})"
        elif self.meant not in self.providers:
            means = f"is pinned to {self.meant}, which does not provide it"
        else:
            means = f"means that of {self.meant} ({'pinned' if self.pinned else 'first-party'})"
        return f"{self.kind} '{self.name}' is provided by {' and '.join(self.providers)}; a bare '{self.name}' {means}"


def collisions(entries: Iterable[tuple[str, Named]], pins: Mapping[str, str]) -> list[Collision]:
    """Names with more than one provider, in the order of the entries; each has the kind that a pin of its name says."""
    providers: dict[tuple[str, str], list[str]] = {}
    for kind, entry in entries:
        providers.setdefault((kind, entry.name), []).append(entry.distribution)
    several = [(kind, name, owners) for (kind, name), owners in providers.items() if len(owners) > 1]
    return [Collision(k, n, tuple(sorted(o, key=order)), *_meant(o, k, n, pins)) for k, n, o in several]


def unknown(
    kind: str, name: str, entries: Sequence[Named], plugins: Sequence[Plugin], catalogue: Catalogue
) -> UnknownName:
    """The exception for a name that none of the entries answers to; ``plugins`` are all, however they fared."""
    package, bare = split(name)
    if kind != "recipe" and ("." in bare or ":" in bare):  # torchvision.models.resnet18, my_module:Encoder, ./my.py
        cure = "give a file that brings it, --plugin FILE.py (zoo new-plugin writes a package)"
        return UnknownName(f"there is no {kind} '{name}': a part is named, not imported by a path; {cure}")
    if package:
        return UnknownName(_in_package(kind, bare, package, entries, plugins, catalogue))
    providers = catalogue.providers(kind, bare)
    if providers:
        return UnknownName(_provided_elsewhere(kind, bare, providers, plugins))
    choices = did_you_mean(bare, [entry.name for entry in entries if entry.kind == kind])
    kinds = [entry.kind for entry in entries if entry.name == bare]
    kinds += [
        other for known in catalogue.packages.values() for other, names in known.provides.items() if bare in names
    ]
    if kinds:
        return UnknownName(f"'{bare}' is {a(kinds[0])}, not {a(kind)}{choices}")
    suspects = "" if "did you mean" in choices else _suspects(plugins)
    return UnknownName(f"there is no {kind} '{bare}'{choices}{suspects}")


def _provided_elsewhere(kind: str, name: str, providers: Sequence[str], plugins: Sequence[Plugin]) -> str:
    """Says why the known providers do not have it: ill, absent, or installed in a version without it."""
    ill = [text for package in providers if (text := _ill(package, plugins))]
    if ill:
        return f"{kind} '{name}' comes with {'; or with '.join(ill)}"
    here = {plugin.distribution: plugin.version for plugin in plugins}
    absent = [package for package in providers if package not in here]
    if absent:
        cures = " or ".join(f"pip install {package}" for package in absent)
        have = "has" if len(absent) == 1 else "have"
        return f"there is no {kind} '{name}' here, but {' and '.join(absent)} {have} it: {cures}"
    package = providers[0]
    return (
        f"there is no {kind} '{name}' in {package} {here[package]}, which is installed, "
        f"but another version has it: pip install --upgrade {package}"
    )


def _in_package(
    kind: str, name: str, package: str, entries: Sequence[Named], plugins: Sequence[Plugin], catalogue: Catalogue
) -> str:
    distributions = {plugin.distribution for plugin in plugins}
    if package in distributions:
        ill = _ill(package, plugins)
        if ill:
            return f"{kind} '{package}/{name}' is not available: {ill}"
        provided = [entry.name for entry in entries if (entry.kind, entry.distribution) == (kind, package)]
        return f"'{package}' has no {kind} '{name}'{did_you_mean(name, provided)}"
    if package in catalogue.packages:
        return f"{kind} '{package}/{name}' needs a package that is not installed: pip install {package}"
    return f"no package '{package}' with plugins is installed{did_you_mean(package, distributions)}"


def _ill(package: str, plugins: Sequence[Plugin]) -> str:
    """``"zoo-foo 1.2, whose plugin 'foo' is broken: ..."`` or nothing if the package is well or absent."""
    ill = [plugin for plugin in plugins if plugin.distribution == package and plugin.state != "ok"]
    return f"{package} {ill[0].version}, whose plugin {', '.join(map(_diagnosis, ill))}" if ill else ""


def _diagnosis(plugin: Plugin) -> str:
    more = f" (zoo plugins --traceback {plugin.name} shows more)" if plugin.traceback else ""
    return f"'{plugin.name}' is {plugin.state}: {plugin.reason}{more}"


def _suspects(plugins: Sequence[Plugin]) -> str:
    ill = [plugin for plugin in plugins if plugin.state != "ok"]
    if len(ill) == 1:
        return f" (it may be one of {ill[0].distribution} {ill[0].version}, whose plugin {_diagnosis(ill[0])})"
    listed = ", ".join(f"'{p.name}' of {p.distribution} is {p.state}" for p in ill)
    return f" (it may be one of these: plugin {listed}; 'zoo plugins' says why)" if ill else ""


def not_installed(name: str, plugins: Iterable[Plugin], others: Iterable[str] = ()) -> str:
    """The sentence for a name that no plugin or package answers to; ``others`` may have been meant, too."""
    known = {part for plugin in plugins for part in (plugin.name, plugin.distribution)}
    return f"no plugin or package '{name}' is installed{did_you_mean(name, known.union(others))}"


def order(distribution: str) -> tuple[bool, bool, str]:
    """First-party first, local files last."""
    return distribution != FIRST_PARTY, distribution == LOCAL, distribution
