"""Errors are sentences. The command line prints them; none is ever shown as a traceback.

Which is what, with the command line's exit code::

    ZooError                the work failed                              exit 1
    |- RunError             a run directory cannot be read or written    exit 1
    |  |- Damaged           its bytes are not those that were written    exit 1
    |  `- Busy              another process is at work in it             exit 1
    |- TrainingError        training itself failed                       exit 1
    |- Interrupted          asked to stop; what was done is saved        exit 130
    `- RequestError         the request is wrong                         exit 2
       `- RecipeError       a recipe is wrong: every problem, placed     exit 2
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

MOST_CHOICES = 300
"""Names that a mistyped one is compared with: some microseconds each."""


MOST_TEXT = 4_000
"""Characters of an exception's text that are shown."""


class ZooError(Exception):
    """The work failed. The message is one or more sentences for a person."""

    exit_code = 1


class RunError(ZooError):
    """A run directory cannot be read, written or continued."""


class Damaged(RunError):
    """Bytes of a run were read and are not what was written, or are gone.

    What the system refused to read is never damage: to judge it so would lose what is good.
    """


class Busy(RunError):
    """Another process is at work in a run directory."""


class TrainingError(ZooError):
    """Training cannot go on."""


class Interrupted(ZooError):
    """Training was asked to stop; what was done is saved."""

    exit_code = 130


class RequestError(ZooError):
    """The request is wrong; nothing was started."""

    exit_code = 2


@dataclass(frozen=True, order=True)
class Position:
    """A place in a text; lines and columns count from 1, and line 0 means the whole file."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong at one place."""

    position: Position
    message: str

    def __str__(self) -> str:
        shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in self.message)
        return f"{self.position}: error: {shown}"


class RecipeError(RequestError):
    """Every problem of a recipe (or a catalogue), sorted by place."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))


def text_of(error: BaseException) -> str:
    """What an exception says of itself; a stranger's may fail at that, or have no end."""
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001 - whatever a plugin's code may raise
        return "its text cannot be had"
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]} ... ({len(text):,} characters)"


def reason(error: BaseException) -> str:
    """An exception in a line: the first of its own text, else its type."""
    said = next((line.strip() for line in text_of(error).splitlines() if line.strip()), "")
    said = said if len(said) <= 300 else f"{said[:297]}..."
    if isinstance(error, SystemExit):
        return f"sys.exit({said}) was called"
    return f"{type(error).__name__}({said})" if isinstance(error, KeyError) or not said else said


def said_of(error: BaseException) -> str:
    """All of an exception's text, with its type where that was not written for people."""
    return text_of(error) if isinstance(error, ValueError | OSError | ImportError) else happened(error)


def happened(error: BaseException) -> str:
    """An exception in a line, with its type: ``ValueError: no such angle``."""
    said, kind = reason(error), type(error).__name__
    return said if isinstance(error, SystemExit) or said.startswith(f"{kind}(") else f"{kind}: {said}"


def closest(name: str, choices: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The choice that ``name`` is most probably a slip of, whatever its case; None if none is alike by the cutoff."""
    names = sorted(set(choices))[:MOST_CHOICES]
    spelt = {choice.lower(): choice for choice in names} | {choice: choice for choice in names}
    near = (difflib.get_close_matches(written, spelt, n=1, cutoff=cutoff) for written in (name, name.lower()))
    close = next(filter(None, near), None)
    return spelt[close[0]] if close else None


MOST_LISTED = 100
"""Choices that a sentence names."""


def did_you_mean(name: str, choices: Iterable[str], *, listed: bool = True) -> str:
    """``"; did you mean 'model'?"`` when something is close, else the choices (if ``listed``), else nothing."""
    names = sorted({*choices} - {name})
    close = closest(name, names)
    if close is not None:
        return f"; did you mean '{close}'?"
    more = f" and {len(names) - MOST_LISTED} more: zoo list" if len(names) > MOST_LISTED else ""
    return f"; choices: {', '.join(names[:MOST_LISTED])}{more}" if names and listed else ""


def a(noun: str) -> str:
    """The noun with its article: ``an encoder``."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


IN_PYTHON = {
    r"--set (\S+=\S+)": r"overrides=['\1']",
    r"--(device|weights|steps|seed) ([\w:.-]*\w)": r"\1='\2'",
    r"--plugin (\S+\.py)": r"plugins=['\1']",
    r"--given \w+=... or given=": "given=",
    r"give them, --given (\w+)=...": r"give {'\1': ...}",
    r"another --out": "another directory",
    r"--extend": "extend=True",
}
"""What sentences say of the command line -> what a caller in Python writes."""


def speak_python(error: ZooError) -> None:
    """Has an error name arguments as they are called in Python."""
    if isinstance(error, RecipeError):
        places = [p.position.file.removeprefix("--set ") for p in error.problems]
        told = zip(error.problems, places, strict=True)
        error.problems = tuple(
            p if at == p.position.file else replace(p, position=Position(f"overrides: {at}")) for p, at in told
        )
        error.args = ("\n".join(map(str, error.problems)),)
    for words, python in IN_PYTHON.items():
        error.args = tuple(re.sub(words, python, str(said)) for said in error.args)
