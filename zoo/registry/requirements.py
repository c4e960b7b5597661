"""Says what a package requires and this environment lacks, from its metadata; imported when an import has failed."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import InvalidRequirement, Requirement

from zoo.registry.discovery import canonical


def unmet(package: str) -> list[str]:
    """One sentence for each requirement of an installed package that is not met here; where all are, for those of
    the packages that it requires. Environment markers are respected; an extra counts where it is asked for.
    """
    missing: list[str] = []
    asked: list[tuple[str, frozenset[str], str]] = [(package, frozenset(), "it")]
    seen = set()
    while asked:
        package, extras, who = asked.pop(0)
        if (canonical(package), extras) not in seen:
            seen.add((canonical(package), extras))
            required = list(_requirements(package, extras))
            lacking = [sentence for requirement in required if (sentence := _missing(requirement, who))]
            missing += lacking
            asked += [] if lacking else [(each.name, frozenset(each.extras), each.name) for each in required]
    return missing


def _requirements(package: str, extras: frozenset[str]) -> Iterator[Requirement]:
    """Requirements that count here, their markers decided. Passes over an illegible line: this is advice."""
    for line in distribution(package).requires or []:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        marker, requirement.marker = requirement.marker, None
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield requirement


def _missing(requirement: Requirement, who: str) -> str:
    try:
        version = distribution(requirement.name).version
    except PackageNotFoundError:
        return f"{who} requires '{requirement}', which is not installed: pip install '{requirement}'"
    if requirement.specifier.contains(version, prereleases=True):
        return ""
    return f"{who} requires '{requirement}' and {requirement.name} {version} is installed: pip install '{requirement}'"
