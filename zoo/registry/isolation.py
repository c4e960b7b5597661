"""Runs other people's code so that whatever it does, only it is lost: it may raise, exit or print."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any, TypeVar

from zoo.errors import text_of

T = TypeVar("T")

LONGEST_SENTENCE = 400


@dataclass(frozen=True)
class Failure:
    """A failure of foreign code: one sentence for a person, a traceback on request, and the error itself."""

    sentence: str
    traceback: str
    error: BaseException


def attempt(doing: str, action: Callable[[], T]) -> T | Failure:
    """``action()``, or why it failed; ``doing`` begins that sentence, as in ``"importing 'zoo_foo'"``.

    What it prints goes to stderr: stdout may be carrying JSON. Only KeyboardInterrupt passes through.
    """
    try:
        with redirect_stdout(sys.stderr):
            return action()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a plugin may call sys.exit, or raise anything
        import traceback  # only when something failed: 3 ms

        return Failure(f"{doing} {_what_happened(error)}", "".join(traceback.format_exception(error)), error)


def _what_happened(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"called sys.exit({'' if error.code is None else repr(error.code)})"
    name, text = type(error).__name__, " ".join(text_of(error).split())
    return "failed: " + (f"{name}: {text}" if text else name)[:LONGEST_SENTENCE]


INITIAL = {"default_dtype": "float32", "default_device": "cpu"}
"""Settings of torch's that whatever is made afterwards depends on, and what they are at first."""


@contextmanager
def torch_as_it_was(say: Callable[[str], None]) -> Iterator[None]:
    """Puts torch's defaults back where what is imported inside changed them, and says so."""
    before = _defaults() or INITIAL
    yield
    for name, now in _defaults().items():
        if now != before[name]:
            torch: Any = sys.modules["torch"]
            was = before[name]
            getattr(torch, f"set_{name}")(getattr(torch, was) if name == "default_dtype" else was)
            say(f"its import sets torch's {name.replace('_', ' ')} to {now} for the whole process; it is {was} again")


def _defaults() -> dict[str, str]:
    """The settings as they are; none before torch is imported."""
    torch: Any = sys.modules.get("torch")
    names = INITIAL if hasattr(torch, "get_default_device") else ()
    return {name: str(getattr(torch, f"get_{name}")()).removeprefix("torch.") for name in names}
