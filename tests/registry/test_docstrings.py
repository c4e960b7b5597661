"""Docstrings in Google's style, apart: the text, and what is said of each parameter."""

from __future__ import annotations

from zoo.registry.signature import split


def test_text_and_parameters() -> None:
    text = """One line.

    More of it.

    Args:
        width: channels
            of the first stage.
        **options (dict): others.
        *more: of them

    Returns:
        codes.
    """
    assert split(text) == (
        "One line.\n\nMore of it.\n\nReturns:\n    codes.",
        {"width": "channels of the first stage.", "options": "others.", "more": "of them"},
    )


def test_what_comes_before_the_first_parameter_is_nobodys() -> None:
    assert split("Text.\n\nArgs:\n    none of these\n    x: says.\n") == ("Text.", {"x": "says."})
    assert split("") == split("Args:\n") == ("", {})
    assert split("Options:\n  a: b\nArguments:\n  c: d\n") == ("", {"a": "b", "c": "d"})
