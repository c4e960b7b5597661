"""Schedules against their closed forms: a number for each step, how a recipe writes it, how a sentence does."""

from __future__ import annotations

import math

import pytest

from zoo.recipe.schema import ONE, Schedule


def test_before_its_start_the_number_is_0_and_after_its_end_the_last() -> None:
    ramp = Schedule(1.0, 3.0, steps=4, start=10)
    assert [ramp(step) for step in (0, 9)] == [0.0, 0.0]
    assert [ramp(step) for step in range(10, 16)] == [1.0, 1.5, 2.0, 2.5, 3.0, 3.0]


def test_a_constant_has_no_steps_or_nowhere_to_go() -> None:
    assert [Schedule(2.0, 2.0)(step) for step in (0, 5)] == [2.0, 2.0]
    assert Schedule(1.0, 2.0, steps=0)(0) == 2.0
    assert Schedule(2.0, 2.0, steps=4, shape="exponential")(1) == 2.0
    assert Schedule(0.0, 0.0, steps=4, shape="exponential")(1) == 0.0
    assert [ONE(step) for step in (0, 1, 10**6)] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("done", [0.0, 0.125, 0.25, 0.5, 0.75, 1.0])
def test_shapes(done: float) -> None:
    step = 3 + int(8 * done)
    made = {shape: Schedule(0.5, 8.0, 8, 3, shape)(step) for shape in ("linear", "cosine", "exponential")}
    assert made == pytest.approx(
        {
            "linear": 0.5 + 7.5 * done,
            "cosine": 0.5 + 7.5 * math.sin(math.pi * done / 2) ** 2,
            "exponential": math.exp((1 - done) * math.log(0.5) + done * math.log(8.0)),
        },
        abs=1e-12,
    )


def test_only_a_schedule_that_is_0_at_both_ends_is_always_0() -> None:
    ends = {(0.0, 0.0): True, (0.0, 1.0): False, (1.0, 0.0): False, (1.0, 1.0): False}
    assert {pair: Schedule(*pair, steps=3).always_zero for pair in ends} == ends


def test_extremes_leave_out_what_comes_before_the_start() -> None:
    assert Schedule(3.0, -1.0, 5, 2).extremes == (-1.0, 3.0)
    assert Schedule(1.0, 2.0, 5, 2).extremes == (1.0, 2.0)


@pytest.mark.parametrize(
    ("schedule", "plain", "sentence"),
    [
        (Schedule(2.5, 2.5), 2.5, "2.5"),
        (
            Schedule(2.0, 2.0, start=5),
            {"from": 2.0, "to": 2.0, "steps": 0, "start": 5, "shape": "linear"},
            "2 from step 5",
        ),
        (
            Schedule(1.0, 0.1, 10),
            {"from": 1.0, "to": 0.1, "steps": 10, "start": 0, "shape": "linear"},
            "1 to 0.1 over 10 steps",
        ),
        (
            Schedule(1.0, 0.0, 10, 4, "cosine"),
            {"from": 1.0, "to": 0.0, "steps": 10, "start": 4, "shape": "cosine"},
            "1 to 0 over 10 steps from 4, cosine",
        ),
        (
            Schedule(1.0, 1.0, 10),
            {"from": 1.0, "to": 1.0, "steps": 10, "start": 0, "shape": "linear"},
            "1",
        ),
    ],
)
def test_how_it_is_written(schedule: Schedule, plain: object, sentence: str) -> None:
    assert (schedule.plain(), str(schedule)) == (plain, sentence)


@pytest.mark.parametrize(
    ("schedule", "switches", "constant"),
    [
        (Schedule(0.0, 0.0, 5, 3), False, False),
        (Schedule(1.0, 1.0), False, True),
        (Schedule(1.0, 1.0, start=1), True, False),
        (Schedule(0.0, 1.0, 5), True, False),
        (Schedule(1.0, 0.0, 5), True, False),
        (Schedule(1.0, 2.0, 5), False, False),
        (Schedule(2.0, 2.0, 5), False, True),
        (Schedule(2.0, 1.0), False, True),
    ],
)
def test_whether_it_is_0_only_sometimes_and_whether_it_ever_changes(
    schedule: Schedule, switches: bool, constant: bool
) -> None:
    assert (schedule.switches, schedule.constant) == (switches, constant)
    numbers = {schedule(step) for step in range(20)}
    assert constant == (len(numbers) == 1 and not schedule.start)
