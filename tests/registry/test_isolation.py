"""Other people's code, run so that whatever it does, only it is lost."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch

from zoo.registry.isolation import LONGEST_SENTENCE, Failure, attempt, torch_as_it_was


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
        (Mute(), "trying it failed: Mute: its text cannot be had"),
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


def test_torch_s_defaults_before_torch_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who imports torch first and sets a default is told, too; a default that the user set stays."""
    said: list[str] = []
    monkeypatch.delitem(sys.modules, "torch")
    with torch_as_it_was(said.append):
        pass
    with torch_as_it_was(said.append):
        monkeypatch.setitem(sys.modules, "torch", torch)
        torch.set_default_dtype(torch.float64)
    assert said == ["its import sets torch's default dtype to float64 for the whole process; it is float32 again"]
    assert torch.get_default_dtype() is torch.float32
    torch.set_default_dtype(torch.float64)
    try:
        with torch_as_it_was(said.append):
            pass
        assert torch.get_default_dtype() is torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert len(said) == 1
