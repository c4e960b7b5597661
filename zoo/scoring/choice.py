"""Which metrics are measured, by name or by protocol, with which options; and what each looks at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from zoo.errors import RequestError, did_you_mean, said_of
from zoo.metrics.metric import optional
from zoo.recipe.yaml.read import read_option
from zoo.registry import Entry, Registry, check_options, to_arguments

DEFAULT = "torch-fidelity"
"""The protocol where neither metrics nor a protocol are named."""
DATA = "data"
"""What settings of data sets begin with."""
Kind = Literal["features", "pairs", "sets"]
"""What a metric looks at: features of two sets, pairs of images, or two sets of images."""


@dataclass(frozen=True)
class Chosen:
    """A metric and its options.

    Args:
        label: its name.
        entry: the component.
        options: all of them, as plain data.
    """

    label: str
    entry: Entry
    options: Mapping[str, Any]

    def make(self, size: int, **change: Any) -> Any:
        """The metric, for images of a side, with some options otherwise.

        Raises:
            RequestError: it cannot be made so.
        """
        signature = self.entry.signature
        sizes = {"size": size, "channels": 3}
        if strange := [name for name in signature.sizes if name not in sizes]:
            raise RequestError(f"metric '{self.label}' asks for {strange[0]}, which images alone have not")
        try:
            given = to_arguments(signature, {**self.options, **change})
            return self.entry.load()(**{name: sizes[name] for name in signature.sizes}, **given)
        except ValueError as error:
            raise RequestError(f"metric '{self.label}': {said_of(error)}; options: --set OPTION=VALUE") from None

    @property
    def paired(self) -> bool:
        """Whether it looks at images beside their reconstructions."""
        return "reconstruction" in self.entry.signature.needs

    def kind(self, metric: Any) -> Kind:
        """What it looks at; a RequestError if that is more than images."""
        needs = set(self.entry.signature.needs)
        if optional(metric, "features") and optional(metric, "take"):
            return "features"
        if (
            optional(metric, "training")
            or not needs <= {"x", "sample", "reconstruction"}
            or self.entry.signature.computes
        ):
            more = ", ".join(sorted(needs - {"x", "sample", "reconstruction"})) or "training images"
            raise RequestError(f"metric '{self.label}' looks at {more}, beside images: zoo evaluate RUN measures it")
        return "pairs" if self.paired else "sets"


def choose(
    names: Sequence[str], protocol: str, settings: Sequence[str] | Mapping[str, Any], registry: Registry
) -> list[Chosen]:
    """The metrics of those names, or all that know a protocol.

    Args:
        names: of metrics; where there are none, those that have the protocol among the values of their option
            ``protocol``, or are called so.
        protocol: its name; empty for each metric's own.
        settings: ``OPTION=VALUE`` for each metric that has the option, or ``METRIC.OPTION=VALUE``.

    Raises:
        RequestError: there is no such metric, protocol or option.
    """
    entries = [registry.find("metric", name) for name in names]
    if not entries:
        entries = _knowing(protocol or DEFAULT, registry)
    chosen = []
    given = settings_of(settings)
    for entry in entries:
        own = {option.name for option in entry.signature.options}
        options = {
            name: value for (whose, name), value in given.items() if whose == entry.name or (not whose and name in own)
        }
        if protocol and "protocol" in own:
            options["protocol"] = protocol
        values, problems = check_options(entry.signature, options)
        if problems:
            raise RequestError(f"metric '{entry.name}' {problems[0].message}")
        chosen.append(Chosen(entry.name, entry, values))
    _refuse_unused(given, chosen)
    if protocol and not any("protocol" in c.options or c.label == protocol for c in chosen):
        raise RequestError(f"none of {', '.join(names)} has protocols, so '{protocol}' says nothing; leave it out")
    return chosen


def settings_of(settings: Sequence[str] | Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    """(metric or nothing, option) -> value."""
    found = {}
    pairs: Iterable[tuple[str, Any]] = settings.items() if isinstance(settings, Mapping) else map(read_option, settings)
    for path, value in pairs:
        whose, _, name = path.rpartition(".")
        found[whose, name] = value
    return found


def _knowing(protocol: str, registry: Registry) -> list[Entry]:
    metrics = registry.components("metric")
    found = [entry for entry in metrics if protocol in protocols_of(entry) or entry.name == protocol]
    if found:
        return found
    known = {name for entry in metrics for name in protocols_of(entry)} | {entry.name for entry in metrics}
    every = sorted({name for entry in metrics for name in protocols_of(entry)})
    near = did_you_mean(protocol, known, listed=False)
    raise RequestError(f"there is no protocol '{protocol}'{near or '; choices: ' + ', '.join(every)}")


def protocols_of(entry: Entry) -> tuple[str, ...]:
    """The names that a metric's option ``protocol`` may have."""
    option = next((option for option in entry.signature.options if option.name == "protocol"), None)
    return get_args(option.type) if option else ()


def _refuse_unused(given: Mapping[tuple[str, str], Any], chosen: Sequence[Chosen]) -> None:
    known = {(whose, name) for c in chosen for name in c.options for whose in ("", c.label)}
    for whose, name in given:
        if whose != DATA and (whose, name) not in known:
            labels = {c.label for c in chosen}
            if whose and whose not in labels:
                raise RequestError(f"--set {whose}.{name}: '{whose}' is not measured{did_you_mean(whose, labels)}")
            names = {name for c in chosen for name in c.options}
            raise RequestError(f"--set {name}: no metric here has that option{did_you_mean(name, names)}")
