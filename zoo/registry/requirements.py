"""What a package requires and this environment lacks, from its metadata: read only when an import has failed."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import InvalidRequirement, Requirement

from zoo.registry.discovery import canonical


def unmet(package: str) -> list[str]:
    """One sentence for each requirement of an installed package that is not met here; where all are, for those of
    the packages that it requires. Environment markers are respected; an extra counts where it is asked for.
    """
    return _unmet(package, frozenset(), "it", set())


def _unmet(package: str, extras: frozenset[str], who: str, seen: set[tuple[str, frozenset[str]]]) -> list[str]:
    if (canonical(package), extras) in seen:
        return []
    seen.add((canonical(package), extras))
    required = list(_requirements(package, extras))
    missing = [sentence for requirement in required if (sentence := _missing(requirement, who))]
    for requirement in [] if missing else required:
        missing += _unmet(requirement.name, frozenset(requirement.extras), requirement.name, seen)
    return missing


def _requirements(package: str, extras: frozenset[str]) -> Iterator[Requirement]:
    """Those that count here; a line that cannot be read is passed over: this is advice after another failure."""
    for line in distribution(package).requires or []:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield requirement


def _missing(requirement: Requirement, who: str) -> str:
    wanted = _written(requirement)
    try:
        version = distribution(requirement.name).version
    except PackageNotFoundError:
        return f"{who} requires '{wanted}', which is not installed: pip install '{wanted}'"
    if requirement.specifier.contains(version, prereleases=True):
        return ""
    return f"{who} requires '{wanted}' and {requirement.name} {version} is installed: pip install '{wanted}'"


def _written(requirement: Requirement) -> str:
    """As pip takes it, without the marker that has been decided."""
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    if requirement.url:
        return f"{requirement.name}{extras} @ {requirement.url}"
    return f"{requirement.name}{extras}{requirement.specifier}"
