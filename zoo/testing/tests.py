"""The checks as pytest's tests. Only this module knows pytest, and only inside a call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from zoo.errors import did_you_mean
from zoo.recipe import Source
from zoo.testing.collect import checks
from zoo.testing.core import Check, ContractError, Examples

TALLY = "zoo.testing"
"""Name of the plugin that counts, in pytest's own registry."""


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
        options: see ``checks``.
        recipes: see ``checks``.
        sizes: see ``checks``.
        expected_failures: id of a check (``"encoder/foo::double backward"``: with every example of options) -> why it
            fails. Strict: it fails the tests if it passes, if there is no such check, or if it gives no reason.

    Returns:
        what to assign to a name that begins with ``test_``.
    """
    import pytest

    reasons = dict(expected_failures or {})
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
        _tally(request.config).count(name, check)
        sentence = ""
        try:
            check.run()
        except ContractError as error:
            if error.__cause__:
                raise  # with the traceback of what the part raised
            sentence = str(error)
        if sentence:
            pytest.fail(sentence, pytrace=False)

    return test_contract


def _unfounded(name: str, found: Sequence[Check], reasons: Mapping[str, str]) -> Iterator[Check]:
    """A check that fails for each expected failure that names no check, or gives no reason."""
    known = {check.id for check in found} | {check.key for check in found}
    for key, reason in reasons.items():
        told = ""
        if key not in known:
            told = f"expected_failures has '{key}', and there is no such check{_near(key, known)}"
        elif not reason.strip():
            told = f"expected_failures gives no reason for '{key}'; say why it cannot be kept"
        if told:
            about = "Each has a check and a reason."
            yield Check("plugin", name, "expected failures", partial(_fail, told), key, about)


def _near(key: str, known: set[str]) -> str:
    part = key.partition("::")[0]
    return did_you_mean(key, {other for other in known if other.startswith(f"{part}::")} or known)


def _fail(sentence: str) -> None:
    raise ContractError(sentence)


class Tally:
    """Counts the checks that were run, and says so under pytest's summary."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}

    def count(self, plugin: str, check: Check) -> None:
        """One more."""
        self._counts.setdefault(plugin, Counter())[check.kind] += 1

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """pytest's hook."""
        for plugin, kinds in self._counts.items():
            told = ", ".join(f"{kind} {number}" for kind, number in kinds.items())
            terminalreporter.write_line(f"zoo.testing: {kinds.total()} checks of {plugin} ({told})")


def _tally(config: Any) -> Tally:
    manager = config.pluginmanager
    if not manager.has_plugin(TALLY):
        manager.register(Tally(), TALLY)
    tally = manager.get_plugin(TALLY)
    assert isinstance(tally, Tally)
    return tally
