"""Checks the options of a recipe against a signature: completes them, or says what is wrong with each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from zoo.api import Scheduled
from zoo.errors import did_you_mean
from zoo.registry.option_types import arms, in_words, is_none, shown
from zoo.registry.signature import REQUIRED, Option, Signature

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class OptionProblem:
    """One thing wrong with the options given, at a path in them; it is empty for an option that is missing.

    The message is to be prefixed by whose options they are: ``encoder 'timm' ``.
    """

    path: Path
    message: str


def check_options(signature: Signature, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[OptionProblem]]:
    """Every option with its value as plain JSON-able data, and every problem.

    Types are strict: ``"64"`` is not 64, true is not 1; a whole number is a number, a list is a tuple.
    What has a problem is left out of the data.
    """
    known = {option.name: option for option in signature.options}
    unknown = [name for name in given if name not in known]
    problems = [OptionProblem((name,), f"has no option '{name}'{did_you_mean(str(name), known)}") for name in unknown]
    values: dict[str, Any] = {}
    wrong: list[OptionProblem] = []
    for name, option in known.items():
        if name in given:
            value, faults = _checked(option, given[name])
            wrong += faults
            values |= {} if faults else {name: value}
        elif option.default is REQUIRED:
            problems.append(OptionProblem((), f"needs option '{name}' ({in_words(option.type)})"))
        else:
            values[name] = plain_data(option.default, option.type)
    return values, [*problems, *wrong]


def to_arguments(
    signature: Signature, options: Mapping[str, Any], number: Callable[[Any], float] = float
) -> dict[str, Any]:
    """Checked options as the target wants them: lists become tuples where a tuple is asked for, and what may change
    with the step the ``number`` that it now is.
    """
    types = {option.name: option.type for option in signature.options}
    return {name: _tupled(value, types[name], number) for name, value in options.items()}


def _tupled(value: Any, kind: Any, number: Callable[[Any], float]) -> Any:
    if kind == Scheduled:
        return number(value)
    if isinstance(value, list):
        for arm in arms(kind):
            origin = get_origin(arm) or arm
            if origin in (tuple, list):
                items = [_tupled(item, _inside(arm, index), number) for index, item in enumerate(value)]
                return tuple(items) if origin is tuple else items
    return value


def plain_data(value: Any, kind: Any) -> Any:
    """A default as a recipe writes it: tuples as lists, whole numbers as floats where floats are meant."""
    members = arms(kind)
    if isinstance(value, tuple | list):
        holders = [arm for arm in members if (get_origin(arm) or arm) in (tuple, list)]
        return [plain_data(v, _inside(holders[0], i) if holders else None) for i, v in enumerate(value)]
    if isinstance(value, dict):
        return {key: plain_data(v, None) for key, v in value.items()}
    whole = type(value) is int and not {float, Scheduled}.isdisjoint(members) and int not in members
    return float(value) if whole else value


def _checked(option: Option, given: Any) -> tuple[Any, list[OptionProblem]]:
    from pydantic import ValidationError

    try:
        text = json.dumps(given)
    except (TypeError, ValueError, RecursionError):
        return None, [OptionProblem((option.name,), f"option '{option.name}' is not plain data")]
    adapter = adapter_of(option.type)
    try:
        return adapter.dump_python(adapter.validate_json(text), mode="json"), []
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    if details[0]["type"] == "json_invalid":
        return None, [OptionProblem((option.name,), f"option '{option.name}' cannot be read")]
    problems = [_explain(option, given, detail["loc"]) for detail in details]
    return None, list({problem.path: problem for problem in problems}.values())


@lru_cache(maxsize=256)
def adapter_of(kind: Any) -> TypeAdapter[Any]:
    """Pydantic's check of options of this type."""
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(_strict(kind), config=ConfigDict(strict=True, allow_inf_nan=False))


def _strict(kind: Any) -> Any:
    """The same type; pydantic takes true for 1 in a ``Literal``, strict or not, and this does not."""
    from pydantic import BeforeValidator

    if kind == Scheduled:
        return Union[float, dict[str, Any], list[dict[str, Any]]]  # noqa: UP007 - the loader has read the schedule
    if get_origin(kind) is Literal and not any(isinstance(choice, bool) for choice in get_args(kind)):
        return Annotated[kind, BeforeValidator(_not_boolean)]
    if len(arms(kind)) > 1:
        return Union[tuple(map(_strict, arms(kind)))]  # noqa: UP007 - of a tuple
    arguments = tuple(argument if argument is ... else _strict(argument) for argument in get_args(kind))
    return get_origin(kind)[arguments] if arguments and get_origin(kind) is not Literal else kind


def _not_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("true and false are no numbers")
    return value


def _explain(option: Option, value: Any, path: Path) -> OptionProblem:
    """Says what should be at a path, walking down its type as far as the value goes."""
    kind = option.type
    place: list[str | int] = []
    for step in path:
        holders = [arm for arm in arms(kind) if not is_none(arm)]
        if len(holders) != 1 or not _has(value, step):
            break
        kind, value = _inside(holders[0], step), value[step]
        place.append(step)
    name = option.name + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    message = f"option '{name}' must be {in_words(kind)}, not {shown(value)}{_hint(kind, value)}"
    return OptionProblem((option.name, *place), message)


def _has(value: Any, step: str | int) -> bool:
    if isinstance(value, Mapping):
        return step in value
    return isinstance(value, list | tuple) and isinstance(step, int) and step < len(value)


def _inside(kind: Any, step: str | int) -> Any:
    arguments = get_args(kind)
    if get_origin(kind) is dict:
        return arguments[1]
    if get_origin(kind) is tuple and ... not in arguments and isinstance(step, int):
        return arguments[step] if step < len(arguments) else None
    return arguments[0] if arguments else None


def _hint(kind: Any, value: Any) -> str:
    """For a text: the choice that was perhaps meant, or ``" (text)"`` where it only looks like what was wanted."""
    if not isinstance(value, str):
        texts = isinstance(value, list) and any(tuple[str, ...] == arm for arm in arms(kind))
        return f"; write what is text in quotes: {[*map(str, value)]}" if texts else ""
    literals = [arm for arm in arms(kind) if get_origin(arm) is Literal]
    if not literals and str not in arms(kind):
        whole, comma, rest = value.partition(",")
        decimal = comma and whole.lstrip("-").isdigit() and rest.isdigit()
        return f" (text); write {whole}.{rest}" if decimal else " (text)"
    choices = [choice for literal in literals for choice in get_args(literal) if isinstance(choice, str)]
    return did_you_mean(value, choices, listed=False)
