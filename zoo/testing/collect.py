"""Which checks there are for a plugin: ``checks``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from zoo.errors import RequestError, did_you_mean
from zoo.recipe import Source
from zoo.registry import LOCAL, Entry, Plugin, RecipeEntry, check_options, clear_cache, load_registry
from zoo.registry.discovery import canonical
from zoo.testing import (
    augmentations,
    building,
    datasets,
    metrics,
    networks,
    optimizers,
    plugins,
    priors,
    values,
    watchers,
)
from zoo.testing import recipes as shipped
from zoo.testing.common import COMMON, signature
from zoo.testing.core import Bench, Body, Case, Check, ContractError, Examples, named, shown

KINDS: Mapping[str, tuple[Any, Any]] = {
    **dict.fromkeys(("encoder", "decoder", "generator", "critic"), (building.Network, networks.battery)),
    **dict.fromkeys(("value", "term"), (values.subject, values.battery)),
    "prior": (priors.Prior, priors.battery),
    "data": (datasets.Data, datasets.battery),
    "metric": (metrics.Metric, metrics.battery),
    "optimizer": (optimizers.Mover, optimizers.battery),
    "watcher": (watchers.Looker, watchers.battery),
    "augmentation": (augmentations.Augmenter, augmentations.battery),
}
"""Kind -> what its checks look at, made of a case; and which checks a case has."""


def checks(
    plugin: str | Path,
    *,
    options: Examples | None = None,
    recipes: Mapping[str, Source] | None = None,
    sizes: Mapping[str, Sequence[int]] | None = None,
) -> tuple[Check, ...]:
    """The contract of a plugin, check by check.

    Args:
        plugin: name of an installed distribution, or the path of a plugin's file.
        options: ``"encoder/foo"`` -> options to check it with, one set after the other; without, its defaults, or
            each of its variants. The first set is also used where a recipe has the part.
        recipes: ``"term/foo"`` -> a recipe that uses the value, term or metric; without, one that is installed.
        sizes: ``"encoder/foo"`` -> image sides that it takes, where the usual ones are not among them.

    Returns:
        never none: a plugin that is absent, broken or empty has a check that fails and says so.
    """
    file = plugin.resolve() if isinstance(plugin, Path) else None
    name = file.stem if file else canonical(str(plugin))
    clear_cache()  # it may have been installed, or edited, since
    registry = load_registry((file,) if file else ())
    mine = [p for p in registry.plugins if (p.distribution, p.name) == (LOCAL, name)]
    if file is None:
        mine = [p for p in registry.plugins if p.distribution == name]
    owner = LOCAL if file else name
    bench = Bench(registry, owner, dict(options or {}), dict(recipes or {}), dict(sizes or {}))
    owned = [(p.distribution, p.name) for p in mine]
    parts = [e for e in registry.components() if (e.distribution, e.plugin) in owned]
    there = [e for e in registry.recipes() if (e.distribution, e.plugin) in owned]
    package = plugins.Package(name, file, registry, tuple(mine))
    return (
        *_bound("plugin", name, plugins.PACKAGE, package),
        *_requests(name, bench, [f"{e.kind}/{e.name}" for e in parts]),
        *_entrances(mine),
        *(check for entry in parts for check in _component(entry, bench)),
        *(check for entry in there for check in _recipe(entry, bench)),
    )


def _bound(kind: str, component: str, bodies: Iterable[Body], subject: Any, example: str = "") -> Iterator[Check]:
    for body in bodies:
        about = (body.__doc__ or "").strip().splitlines()[0]
        yield Check(kind, component, named(body), partial(body, subject), example, about)


def _entrances(mine: Iterable[Plugin]) -> Iterator[Check]:
    for plugin in mine:
        if plugin.module:
            entrance = plugins.Entrance(plugin)
            yield from _bound("plugin", plugin.name, plugins.battery(entrance), entrance)


def _requests(name: str, bench: Bench, known: Sequence[str]) -> Iterator[Check]:
    """A check that fails for each key of the arguments that means nothing."""
    for argument, given in (("options", bench.options), ("recipes", bench.recipes), ("sizes", bench.sizes)):
        for key in given:
            if key not in known:
                told = f"{argument} has '{key}', which '{name}' does not bring{did_you_mean(key, known)}"
                yield Check("plugin", name, argument, partial(_fail, told), key, "Every key names a part.")


def _fail(sentence: str) -> None:
    raise ContractError(sentence)


def _recipe(entry: RecipeEntry, bench: Bench) -> Iterator[Check]:
    """The checks of a recipe; of one that cannot be resolved, that one."""
    try:
        bench.recipe(entry)
        bodies = shipped.BATTERY
    except RequestError:
        bodies = (shipped.resolves,)
    yield from _bound("recipe", entry.name, bodies, shipped.Shipped(entry, bench))


def _component(entry: Entry, bench: Bench) -> Iterator[Check]:
    """The checks of a component, for each of its examples or variants."""
    by = entry.component.by
    automatic = [{by: value} for value in entry.component.variants] or [{}]
    given = bench.options.get(f"{entry.kind}/{entry.name}") or automatic
    for options in given:
        variant = entry.variant(options.get(by) if by else None)
        example = shown(options) if len(given) > 1 else ""
        yield from _case(variant, dict(options), bench, example)


def _case(entry: Entry, given: dict[str, Any], bench: Bench, example: str) -> Iterator[Check]:
    try:
        complete, problems = check_options(entry.signature, given)
    except RequestError as error:
        yield Check(
            entry.kind, entry.name, named(signature), partial(_fail, str(error)), example, signature.__doc__ or ""
        )
        return
    case = Case(entry, given, complete, bench)
    yield from _bound(entry.kind, entry.name, (signature,), case, example)
    if problems:
        told = "; ".join(f"{case} {problem.message}" for problem in problems)
        cure = f"give contract_tests() an example that is right: options={{'{case.key}': [{{...}}]}}"
        yield Check(entry.kind, entry.name, "example", partial(_fail, f"{told}. {cure}"), example, "Options are right.")
        return
    try:
        signature(case)
    except ContractError:
        return  # what asks for the impossible cannot be made
    subject, battery = KINDS[entry.kind]
    yield from _bound(entry.kind, entry.name, COMMON, case, example)
    yield from _bound(entry.kind, entry.name, battery(case), subject(case), example)
