"""Other people's code, run so that whatever it does, only it is lost; and an end to what never ends."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Any

import pytest
from conftest import python

from zoo.errors import RequestError
from zoo.registry import isolation
from zoo.registry.isolation import LONGEST_SENTENCE, Failure, attempt, on_behalf_of, time_allowed


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


def test_within_its_time_a_failure_is_told_as_ever() -> None:
    with on_behalf_of("plugin 'x'", "leave it out"):
        assert failure(raising(ValueError("no luck"))).sentence == "trying it failed: ValueError: no luck"


def test_whoever_swallows_the_interruption_is_interrupted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_PLUGIN_TIMEOUT", "0.05")
    monkeypatch.setattr(isolation, "AGAIN", 0.02)
    caught: list[BaseException] = []

    def stubborn() -> None:
        while len(caught) < isolation.TRIES:
            try:
                time.sleep(5)
            except BaseException as error:  # noqa: BLE001 - as a plugin may do
                caught.append(error)

    with on_behalf_of("plugin 'x'", "leave it out"):
        assert attempt("trying it", stubborn) is None
    said = "took more than 0.05 s and was stopped; ZOO_PLUGIN_TIMEOUT=SECONDS allows it more"
    assert [str(error) for error in caught] == [said] * isolation.TRIES
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_module_that_is_not_there_is_not_being_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_PLUGIN_TIMEOUT", "0.02")
    for name in ("nowhere_at_all", "json"):
        monkeypatch.setattr(isolation, "ONCE", (name,))
        with on_behalf_of("plugin 'x'", "leave it out"):
            assert failure(lambda: time.sleep(5)).sentence.startswith(
                "trying it took more than 0.02 s and was stopped;"
            )


ENDLESS = """
import time
from zoo.registry import isolation
isolation.AGAIN = 0.02

def stubborn():
    while True:
        try:
            time.sleep(5)
        except BaseException:
            print("no")

with isolation.on_behalf_of("plugin 'x' of zoo-x", "leave it out"):
    isolation.attempt("trying it", stubborn)
"""


def test_one_that_cannot_be_stopped_ends_the_process_with_the_cure() -> None:
    done = python("-c", ENDLESS, env={"ZOO_PLUGIN_TIMEOUT": "0.1"})
    *swallowed, told = done.err.splitlines()
    assert (done.code, done.out, swallowed) == (1, "", ["no"] * isolation.TRIES)
    assert told == "zoo: error: plugin 'x' of zoo-x took more than 0.1 s and cannot be stopped; leave it out"


def test_its_last_words_are_not_interrupted(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("ZOO_PLUGIN_TIMEOUT", "0.05")
    monkeypatch.setattr(isolation, "AGAIN", 0.02)
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", lambda code: (time.sleep(0.05), ended.append(code)))

    def stubborn() -> None:
        while not ended:
            with contextlib.suppress(BaseException):
                time.sleep(5)

    with on_behalf_of("plugin 'x' of zoo-x", "leave it out"):
        attempt("trying it", stubborn)
    assert ended == [1]
    assert capfd.readouterr().err == (
        "zoo: error: plugin 'x' of zoo-x took more than 0.05 s and cannot be stopped; leave it out\n"
    )


def test_an_alarm_that_python_did_not_set_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal, "getsignal", lambda _: None)
    monkeypatch.setenv("ZOO_PLUGIN_TIMEOUT", "0.01")
    with on_behalf_of("plugin 'x'", "leave it out"):
        assert attempt("trying it", lambda: time.sleep(0.05) or signal.getitimer(signal.ITIMER_REAL)) == (0.0, 0.0)


def test_without_interval_timers_there_is_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(signal, "setitimer")
    with on_behalf_of("plugin 'x'", "leave it out"):
        assert attempt("trying it", lambda: 3) == 3


@pytest.mark.parametrize("spent", [0.0, 0.06])
def test_an_alarm_from_before_goes_off_as_if_nothing_had_been(spent: float) -> None:
    rung: list[float] = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(time.monotonic()))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.04, 7.0)
        with on_behalf_of("plugin 'x'", "leave it out"):
            attempt("trying it", lambda: time.sleep(spent))
        time.sleep(0.06)
        assert len(rung) == 1
        assert signal.getitimer(signal.ITIMER_REAL)[1] == 7.0
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(("text", "seconds"), [(None, 30.0), ("2", 2.0), ("0.5", 0.5), ("1e-3", 1e-3)])
def test_the_time_allowed(monkeypatch: pytest.MonkeyPatch, text: str | None, seconds: float) -> None:
    if text is None:
        monkeypatch.delenv("ZOO_PLUGIN_TIMEOUT", raising=False)
    else:
        monkeypatch.setenv("ZOO_PLUGIN_TIMEOUT", text)
    assert time_allowed() == seconds


def test_the_time_allowed_is_a_number_of_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_PLUGIN_TIMEOUT", "a while")
    with pytest.raises(RequestError) as caught, on_behalf_of("plugin 'x'", "leave it out"):
        attempt("trying it", lambda: 3)
    assert str(caught.value) == ("ZOO_PLUGIN_TIMEOUT is 'a while'; it must be a number of seconds above 0, such as 30")
