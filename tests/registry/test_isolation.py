"""Other people's code, run so that whatever it does, only it is lost."""

from __future__ import annotations

from typing import Any

import pytest

from zoo.registry.isolation import LONGEST_SENTENCE, Failure, attempt


def failure(action: Any) -> Failure:
    found = attempt("trying it", action)
    assert isinstance(found, Failure)
    return found


def raising(error: BaseException) -> Any:
    def action() -> None:
        raise error

    return action


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("no luck"), "trying it failed: ValueError: no luck"),
        (ValueError(" two\n  lines\t"), "trying it failed: ValueError: two lines"),
        (ValueError(), "trying it failed: ValueError"),
        (Mute(), "trying it failed: Mute: (its message cannot be printed)"),
        (SystemExit(3), "trying it called sys.exit(3)"),
        (SystemExit("bye"), "trying it called sys.exit('bye')"),
        (SystemExit(), "trying it called sys.exit()"),
        (GeneratorExit(), "trying it failed: GeneratorExit"),
    ],
)
def test_a_failure_is_a_sentence_a_traceback_and_the_error(error: BaseException, said: str) -> None:
    found = failure(raising(error))
    assert (found.sentence, found.error) == (said, error)
    assert found.traceback.startswith("Traceback (most recent call last):\n")
    assert "in action" in found.traceback


def test_a_sentence_has_an_end() -> None:
    said = failure(raising(ValueError("x" * 1000))).sentence
    assert said == "trying it failed: " + ("ValueError: " + "x" * 1000)[:LONGEST_SENTENCE]


def test_what_works_gives_what_it_gives_and_prints_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    assert attempt("trying it", lambda: print("loud") or 3) == 3  # type: ignore[func-returns-value]
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "loud\n")


def test_ctrl_c_is_nobodys_failure() -> None:
    with pytest.raises(KeyboardInterrupt):
        attempt("trying it", raising(KeyboardInterrupt()))
