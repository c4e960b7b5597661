"""Plain text: what durations look like everywhere."""

from __future__ import annotations

import pytest

from zoo.columns import duration, printable, table


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (41.2, "41 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (130, "2 min 10 s"),
        (1100, "18 min"),
        (3599, "1 h 00 min"),
        (11100, "3 h 05 min"),
        (12000, "3 h 20 min"),
        (3_700_000, "1,027 h 47 min"),
    ],
)
def test_durations_are_no_finer_than_matters(seconds, text):
    assert duration(seconds) == text


def test_what_a_terminal_would_obey_is_written_out():
    assert printable("a\x1b[2J\n\u202eb\udc80 \xe9") == "a\\x1b[2J\n\\u202eb\\udc80 \xe9"
    assert printable("a\nb", lines=False) == "a\\nb"
    assert table([["n"], ["a\x1b[2J"]]).splitlines() == ["n", "--------", "a\\x1b[2J"]
    bold = "\x1b[1mx\x1b[0m"
    assert table([["n"], [bold]], styled=True).splitlines() == ["n", "-", bold]
