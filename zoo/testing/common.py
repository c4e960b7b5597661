"""Checks of every component, whatever its kind, and what several kinds' checks share. No torch here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from zoo.api import SIZES
from zoo.recipe.sections import TAKES
from zoo.recipe.yaml.read import read, write
from zoo.registry import REQUIRED, check_options, to_arguments
from zoo.registry.option_types import shown, type_text
from zoo.registry.signature import CALLED
from zoo.testing.core import Body, Case, ContractError, require
from zoo.testing.traces import changed, put_back, taken

GIVEN = {"data": (), "optimizer": ("parameters",), **TAKES}
"""What targets of some kinds may ask for; networks and priors, the sizes; values, terms and metrics, any name."""


def signature(case: Case) -> None:
    """The target is read without importing it, and asks for nothing that its kind is not given."""
    found, kind = case.entry.signature, case.entry.kind
    if kind in CALLED:
        _require_given(case, found.sizes, (*SIZES, "weight") if kind == "term" else SIZES)
    if kind in GIVEN or kind not in CALLED:
        _require_given(case, found.needs, GIVEN.get(kind, SIZES))


def _require_given(case: Case, asked: Sequence[str], given: Sequence[str]) -> None:
    unknown = " and ".join(repr(name) for name in asked if name not in given)
    choices = ", ".join(map(repr, given)) or "nothing"
    cure = "If it is an option, put it after a '*' and give it a type"
    require(not unknown, f"{case} asks for {unknown}, which nobody gives it ({choices} may be asked for). {cure}")


def options_documented(case: Case) -> None:
    """Every option is described under 'Args:' of the docstring, for 'zoo show'."""
    silent = [option.name for option in case.entry.signature.options if not option.doc]
    require(
        not silent,
        f"{case} does not say what option {' and '.join(map(repr, silent))} is: "
        f"write '{(silent or ['width'])[0]}: what it is' under 'Args:' of its docstring",
    )


def options_round_trip(case: Case) -> None:
    """Every default, written as a recipe and read again, is accepted and gives the target the same argument."""
    options = case.entry.signature.options
    written = read(write(case.options), "options").plain() if case.options else {}
    again, problems = check_options(case.entry.signature, written)
    require(
        not problems,
        f"{case} refuses its own options, written out in full: {'; '.join(p.message for p in problems)}. "
        "Give the option a default of its own type, or the type of its default",
    )
    arguments = to_arguments(case.entry.signature, again)
    for option in options:
        if option.default is REQUIRED or option.name in case.given:
            continue
        require(
            arguments[option.name] == option.default and _alike(arguments[option.name], option.default),
            f"{case}: option '{option.name}' ({type_text(option.type)}) is {option.default!r} in Python and "
            f"{arguments[option.name]!r} when a recipe says {shown(again[option.name])}; choose a plainer default",
        )


def _alike(a: Any, b: Any) -> bool:
    """Whether two equal values are of one type; a whole number counts as a float."""
    return type(a) is type(b) or {type(a), type(b)} == {int, float}


COMMON: tuple[Body, ...] = (options_documented, options_round_trip)


@contextmanager
def untouched(case: Case, doing: str) -> Iterator[None]:
    """Refuses what changes the process as a whole inside.

    Raises:
        ContractError: naming what was changed.
    """
    before = taken()
    yield
    refuse_changes(case, doing, changed(before))


def refuse_changes(case: Case, doing: str, found: list[str]) -> None:
    """Raises where something of the whole process was changed.

    Raises:
        ContractError: naming it.
    """
    cure = "put it back, or do without"
    if any("random numbers" in name for name in found):
        cure = "draw from a parameter 'draw' (values, terms, priors, augmentations) or a generator of its own"
    require(not found, f"{case} changes {' and '.join(found)} of the whole process when {doing}; {cure}")


def settled(look: Callable[[], Any]) -> Callable[[], Any]:
    """``look`` after it was done once, and all it changed put back: what it imports on first use is not its own."""
    with put_back():
        look()
    return look


def refused(case: Case, make: Callable[[], Any], what: str) -> Any:
    """What ``make`` gives; a ValueError or OSError of the part's own is told with a cure.

    Raises:
        ContractError: with the part's own sentence.
    """
    try:
        return make()
    except (ValueError, OSError) as error:
        cure = f"options={{'{case.key}': [{{...}}]}}"
        raise ContractError(f"{case} cannot be {what}: {error}. Give contract_tests() an example, {cure}") from error
