"""Options of a recipe against the signature of a target: complete, or sentences that teach."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from zoo.errors import did_you_mean
from zoo.registry.option_types import arms, in_words, is_none, shown
from zoo.registry.signature import REQUIRED, Option, Signature

if TYPE_CHECKING:
    from pydantic import BaseModel

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class OptionProblem:
    """One thing wrong with the options given.

    Args:
        path: where inside the options; empty for one that is missing.
        message: to be prefixed by whose options they are: ``encoder 'timm' ``.
    """

    path: Path
    message: str


def check_options(signature: Signature, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[OptionProblem]]:
    """Every option with its value as plain JSON-able data, and every problem.

    Types are strict: ``"64"`` is not 64, true is not 1; a whole number is a number, a list is a tuple.
    What has a problem is left out of the data.
    """
    known = {option.name: option for option in signature.options}
    problems = [
        OptionProblem((name,), f"has no option '{name}'{did_you_mean(str(name), known)}")
        for name in given
        if name not in known
    ]
    problems += [
        OptionProblem((), f"needs option '{option.name}' ({in_words(option.type)})")
        for option in signature.options
        if option.default is REQUIRED and option.name not in given
    ]
    values: dict[str, Any] = {}
    asked = [known[name] for name in given if name in known]
    if asked:
        values, wrong = _validate(asked, given)
        problems += wrong
    complete = {
        o.name: values[o.name] if o.name in values else plain_data(o.default, o.type)
        for o in signature.options
        if o.name in values or (o.name not in given and o.default is not REQUIRED)
    }
    return complete, problems


def to_arguments(signature: Signature, options: Mapping[str, Any]) -> dict[str, Any]:
    """Checked options as the target wants them: lists become tuples where a tuple is asked for."""
    types = {option.name: option.type for option in signature.options}
    return {name: _tupled(value, types[name]) for name, value in options.items()}


def _tupled(value: Any, kind: Any) -> Any:
    if isinstance(value, list):
        for arm in arms(kind):
            origin = get_origin(arm) or arm
            if origin in (tuple, list):
                items = [_tupled(item, _inside(arm, index)) for index, item in enumerate(value)]
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
    return float(value) if type(value) is int and float in members and int not in members else value


def _validate(asked: Sequence[Option], given: Mapping[str, Any]) -> tuple[dict[str, Any], list[OptionProblem]]:
    from pydantic import ValidationError

    model = _model(tuple((option.name, option.type) for option in asked))
    wanted = {option.name: given[option.name] for option in asked}
    try:
        text = json.dumps(wanted)
    except (TypeError, ValueError, RecursionError):
        return _one_by_one(asked, wanted, "is not plain data")
    try:
        return model.model_validate_json(text).model_dump(mode="json", by_alias=True), []
    except ValidationError as error:
        found = [tuple(detail["loc"]) for detail in error.errors(include_url=False, include_input=False)]
    if any(not path for path in found):
        return _one_by_one(asked, wanted, "cannot be read")
    problems = {problem.path: problem for path in found if (problem := _explain(asked, wanted, path))}
    wrong = {path[0] for path in problems}
    good = [option for option in asked if option.name not in wrong]
    return (_validate(good, given)[0] if good else {}), list(problems.values())


@lru_cache(maxsize=256)  # milliseconds each, and every player's optimiser asks for the same
def _model(options: tuple[tuple[str, Any], ...]) -> type[BaseModel]:
    from pydantic import ConfigDict, Field, create_model

    # Aliases, because pydantic reserves some field names ("copy", "model_...") that are fine options.
    fields: dict[str, Any] = {f"o{i}": (_strict(kind), Field(alias=name)) for i, (name, kind) in enumerate(options)}
    config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    return create_model("Options", __config__=config, **fields)


def _strict(kind: Any) -> Any:
    """The same type; pydantic takes true for 1 in a ``Literal``, strict or not, and this does not."""
    from pydantic import BeforeValidator

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


def _one_by_one(
    asked: Sequence[Option], wanted: Mapping[str, Any], fault: str
) -> tuple[dict[str, Any], list[OptionProblem]]:
    """Find which option it was that spoilt them all."""
    values: dict[str, Any] = {}
    problems: list[OptionProblem] = []
    for option in asked:
        if len(asked) == 1:
            return {}, [OptionProblem((option.name,), f"option '{option.name}' {fault}")]
        value, wrong = _validate([option], wanted)
        values |= value
        problems += wrong
    return values, problems


def _explain(asked: Sequence[Option], wanted: Mapping[str, Any], path: Path) -> OptionProblem:
    """What should be at a path, walking down its type as far as the value goes."""
    option = next(option for option in asked if option.name == path[0])
    kind, value = option.type, wanted[option.name]
    place: list[str | int] = [option.name]
    for step in path[1:]:
        holders = [arm for arm in arms(kind) if not is_none(arm)]
        if len(holders) != 1 or not _has(value, step):
            break
        kind, value = _inside(holders[0], step), value[step]
        place.append(step)
    name = option.name + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place[1:])
    message = f"option '{name}' must be {in_words(kind)}, not {shown(value)}{_nature(kind, value)}"
    return OptionProblem(tuple(place), message + _closest(kind, value))


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


def _nature(kind: Any, value: Any) -> str:
    """``" (text)"`` where a text looks like what was wanted."""
    textual = str in arms(kind) or any(get_origin(arm) is Literal for arm in arms(kind))
    return " (text)" if isinstance(value, str) and not textual else ""


def _closest(kind: Any, value: Any) -> str:
    choices = [c for arm in arms(kind) if get_origin(arm) is Literal for c in get_args(arm) if isinstance(c, str)]
    hint = did_you_mean(value, choices) if isinstance(value, str) else ""
    return hint if "did you mean" in hint else ""
