"""Images that cannot be used: what they are called, and what becomes of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

NAMED = 10
"""How many bad images a sentence names."""


class Bad(NamedTuple):
    """A file, entry or directory that gave no image, by its name in its source, and why."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{printable(self.name)} ({self.reason})"


PARTNER = "its partner "
"""How the reason begins of an image that is good itself."""


def by_fault(bad: Sequence[Bad]) -> list[Bad]:
    """Those that are at fault, and then their partners."""
    return sorted(bad, key=lambda one: one.reason.startswith(PARTNER))


def printable(name: str) -> str:
    """A name as it can be shown: it may hold newlines, or bytes that no terminal prints."""
    return name if name.isprintable() else ascii(name)[1:-1]


def judge(
    source: str, bad: Sequence[Bad], good: int, where: str, on_error: str, listed: Path | None = None
) -> tuple[str, ...]:
    """Notes on the bad images, or the sentence that ends the matter.

    Args:
        source: name of the data set.
        bad: what gave no image.
        good: how many images there are besides.
        where: what the images are, and where: ``files in DIRECTORY``.
        on_error: ``error`` or ``skip``.
        listed: the file that names every bad image.

    Raises:
        ValueError: where there is no good image, or there are bad ones and ``on_error`` is ``error``.
    """
    total = good + len(bad)
    if not bad:
        if not total:
            raise ValueError(f"{source}: there are no {where}.")
        return ()
    if good == 0:
        raise ValueError(f"{source}: none of the {total:,} {where} can be used, first {bad[0]}.")
    if on_error == "error":
        raise ValueError(
            f"{source}: {len(bad):,} of {total:,} {where} cannot be used, first {bad[0]}; "
            "repair or remove them, or set on_error to skip."
        )
    more = f" and {len(bad) - NAMED:,} more" if len(bad) > NAMED else ""
    more += f", listed in {listed}" if more and listed else ""
    return (f"{source}: skipped {len(bad):,} of {total:,} {where}: {', '.join(map(str, bad[:NAMED]))}{more}.",)
