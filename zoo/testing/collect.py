"""The checks of a plugin, ``checks``, and the same as pytest's tests, ``contract_tests``."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.errors import RequestError, did_you_mean
from zoo.recipe import Source
from zoo.registry import LOCAL, Entry, check_options, clear_cache, load_registry
from zoo.registry.discovery import canonical
from zoo.testing import images, metrics, networks, training, values
from zoo.testing.core import Bench, Check, Component, ContractError, Examples, failing
from zoo.testing.plugins import Entrance, Package

TALLY = "zoo.testing"
"""Name of the plugin that counts, in pytest's own registry."""
LONGEST_EXAMPLE = 60
KINDS: Mapping[str, type[Component]] = {
    **dict.fromkeys(("encoder", "decoder", "generator", "critic", "module"), networks.Network),
    "value": values.Value,
    "term": values.Term,
    "prior": networks.Prior,
    "data": images.Data,
    "metric": metrics.Metric,
    "optimizer": training.Optimizer,
    "watcher": training.Watcher,
    "augmentation": images.Augmentation,
    "exporter": training.Exporter,
}
"""Kind -> its components as they are checked; a term that owns networks is a ``values.LearningTerm``."""


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
    owner = LOCAL if file else name
    mine = {p.name: p for p in registry.plugins if p.distribution == owner and (not file or p.name == name)}
    bench = Bench(registry, owner, dict(options or {}), dict(recipes or {}), dict(sizes or {}))
    parts = [e for e in registry.components() if e.distribution == owner and e.plugin in mine]
    shipped = [training.Shipped(e, bench) for e in registry.recipes() if e.distribution == owner and e.plugin in mine]
    return (
        *Package(name, file, tuple(mine.values())).checks(),
        *_unknown_keys(name, bench, [f"{e.kind}/{e.name}" for e in parts]),
        *(check for p in mine.values() if p.module for check in Entrance(p).checks()),
        *(check for entry in parts for check in _of_component(entry, bench)),
        *(check for recipe in shipped for check in recipe.checks()),
    )


def contract_tests(
    plugin: str | Path,
    *,
    options: Examples | None = None,
    recipes: Mapping[str, Source] | None = None,
    sizes: Mapping[str, Sequence[int]] | None = None,
    expected_failures: Mapping[str, str] | None = None,
) -> Callable[..., None]:
    """A parametrised test function with a case for each check of a plugin.

    Args:
        plugin: name of an installed distribution, or the path of a plugin's file.
        options, recipes, sizes: see ``checks``.
        expected_failures: id of a check (``"encoder/foo::double backward"``: with every example of options) -> why it
            fails. Strict: it fails the tests if it passes, if there is no such check, or if it gives no reason.

    Returns:
        what to assign to a name that begins with ``test_``.
    """
    import pytest

    reasons, told = dict(expected_failures or {}), dict[str, str]()
    found = checks(plugin, options=options, recipes=recipes, sizes=sizes)
    name = plugin.stem if isinstance(plugin, Path) else plugin
    cases = [*found, *_unfounded(name, found, reasons)]

    def marked(check: Check) -> Any:
        reason = (reasons.get(check.id) or reasons.get(check.key, "")).strip()
        kinds = (ContractError, pytest.fail.Exception)
        marks = pytest.mark.xfail(reason=reason, strict=True, raises=kinds) if reason else ()
        return pytest.param(check, id=check.id, marks=marks)

    @pytest.mark.parametrize("check", list(map(marked, cases)))
    def test_contract(check: Check, request: pytest.FixtureRequest) -> None:
        manager = request.config.pluginmanager
        tally = manager.get_plugin(TALLY) or Tally()
        if not manager.has_plugin(TALLY):
            manager.register(tally, TALLY)
        tally.counts[name][check.kind] += 1
        _run(check, {} if reasons.get(check.id) or reasons.get(check.key) else told)

    return test_contract


def _run(check: Check, told: dict[str, str]) -> None:
    """Runs a check as a test; skips it where what it fails by is ``told`` already, by the check that is named there."""
    import pytest

    try:
        check.run()
    except ContractError as error:
        first = told.setdefault(error.reason, check.id)
        if first != check.id:
            pytest.skip(f"fails as {first} does: {error.reason}")
        if error.__cause__:
            raise  # with the traceback of what the part raised
        pytest.fail(str(error), pytrace=False)


def _unknown_keys(name: str, bench: Bench, known: Sequence[str]) -> Iterator[Check]:
    """A check that fails for each key of the arguments that means nothing."""
    for argument, given in (("options", bench.options), ("recipes", bench.recipes), ("sizes", bench.sizes)):
        for key in given:
            if key not in known:
                told = f"{argument} has '{key}', which '{name}' does not bring{did_you_mean(key, known)}"
                yield failing("plugin", name, argument, told, key, "Every key names a part.")


def _of_component(entry: Entry, bench: Bench) -> Iterator[Check]:
    """The checks of a component, for each of its examples or variants."""
    by = entry.part.by
    automatic = [{by: value} for value in entry.part.variants] or [{}]
    given = bench.options.get(f"{entry.kind}/{entry.name}") or automatic
    for options in given:
        variant = entry.variant(options.get(by) if by else None)
        yield from _of_example(variant, dict(options), bench, shown(options) if len(given) > 1 else "")


def _of_example(entry: Entry, given: dict[str, Any], bench: Bench, example: str) -> Iterator[Check]:
    """The checks of one set of options: of what cannot be made, those that say why."""
    try:
        options, problems = check_options(entry.signature, given)
    except RequestError as error:
        yield failing(entry.kind, entry.name, "signature", str(error), example, "The target is read.")
        return
    cls = KINDS[entry.kind] if entry.signature.learn is None else values.LearningTerm
    component = cls(entry, given, options, bench, example)
    signature, *others = component.checks()
    yield signature
    if problems:
        told = "; ".join(f"{component} {problem.message}" for problem in problems)
        cure = f"give contract_tests() an example that is right: options={{'{component.key}': [{{...}}]}}"
        yield failing(entry.kind, entry.name, "example", f"{told}. {cure}", example, "Options are right.")
        return
    try:
        component.check_signature()
    except ContractError:
        return
    yield from others


def shown(options: Mapping[str, Any]) -> str:
    """Options in a line: ``width=8, norm=none``; paths by their last name."""
    paths = {key: Path(value).name for key, value in options.items() if isinstance(value, str) and "/" in value}
    whole = ", ".join(f"{key}={value}" for key, value in {**options, **paths}.items())
    return whole if len(whole) <= LONGEST_EXAMPLE else whole[: LONGEST_EXAMPLE - 3] + "..."


def _unfounded(name: str, found: Sequence[Check], reasons: Mapping[str, str]) -> Iterator[Check]:
    """A check that fails for each expected failure that names no check, or gives no reason."""
    known = {check.id for check in found} | {check.key for check in found}
    for key, reason in reasons.items():
        told = ""
        if key not in known:
            part = key.partition("::")[0]
            near = {other for other in known if other.startswith(f"{part}::")} or known
            told = f"expected_failures has '{key}', and there is no such check{did_you_mean(key, near)}"
        elif not reason.strip():
            told = f"expected_failures gives no reason for '{key}'; say why it cannot be kept"
        if told:
            yield failing("plugin", name, "expected failures", told, key, "Each has a check and a reason.")


class Tally:
    """Counts the checks that were run, and says so under pytest's summary."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """pytest's hook."""
        for plugin, kinds in self.counts.items():
            told = ", ".join(f"{kind} {number}" for kind, number in kinds.items())
            terminalreporter.write_line(f"zoo.testing: {kinds.total()} checks of {plugin} ({told})")
