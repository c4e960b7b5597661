"""Schedules against their closed forms: a number for each step, how a recipe writes it, how a sentence does."""

from __future__ import annotations

import math
from typing import Any

import pytest

from zoo.recipe.schedule import ONE, Piece, Schedule


def one(*numbers: Any, **keys: Any) -> Schedule:
    """A schedule of one piece."""
    return Schedule((Piece(*numbers, **keys),))


several = Schedule(
    (
        Piece(0.0, 1.0, 10),
        Piece(1.0, 1.0, 4, 10),
        Piece(1.0, 0.25, 6, 20, "cosine"),
        Piece(0.5, 0.25, 8, 26, "exponential"),
    )
)


def test_each_piece_takes_over_where_it_begins_and_the_number_stays_between() -> None:
    numbers = [several(step) for step in range(40)]
    assert numbers[:11] == pytest.approx([step / 10 for step in range(11)], abs=1e-15)
    assert numbers[11:21] == [1.0] * 10
    assert numbers[21:26] == pytest.approx(
        [0.25 + 0.75 * math.cos(math.pi * done / 12) ** 2 for done in range(1, 6)], abs=1e-12
    )
    assert numbers[26:34] == pytest.approx([0.5 * 2 ** (-done / 8) for done in range(8)], abs=1e-12)
    assert numbers[34:] == [0.25] * 6
    assert several.extremes == (0.0, 1.0)
    assert Schedule.of(several.plain()) == several


def test_before_its_start_the_number_is_0_and_after_its_end_the_last() -> None:
    ramp = one(1.0, 3.0, steps=4, start=10)
    assert [ramp(step) for step in (0, 9)] == [0.0, 0.0]
    assert [ramp(step) for step in range(10, 16)] == [1.0, 1.5, 2.0, 2.5, 3.0, 3.0]


def test_a_constant_has_no_steps_or_nowhere_to_go() -> None:
    assert [one(2.0, 2.0)(step) for step in (0, 5)] == [2.0, 2.0]
    assert one(1.0, 2.0, steps=0)(5) == 1.0  # its length is not known yet
    assert one(2.0, 2.0, steps=4, shape="exponential")(1) == 2.0
    assert one(0.0, 0.0, steps=4, shape="exponential")(1) == 0.0
    assert [ONE(step) for step in (0, 1, 10**6)] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("done", [0.0, 0.125, 0.25, 0.5, 0.75, 1.0])
def test_shapes(done: float) -> None:
    step = 3 + int(8 * done)
    made = {shape: one(0.5, 8.0, 8, 3, shape)(step) for shape in ("linear", "cosine", "exponential")}
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
    assert {pair: one(*pair, steps=3).always_zero for pair in ends} == ends


def test_extremes_leave_out_what_comes_before_the_start() -> None:
    assert one(3.0, -1.0, 5, 2).extremes == (-1.0, 3.0)
    assert one(1.0, 2.0, 5, 2).extremes == (1.0, 2.0)


@pytest.mark.parametrize(
    ("schedule", "plain", "sentence"),
    [
        (one(2.5, 2.5), 2.5, "2.5"),
        (
            one(2.0, 2.0, start=5),
            {"from": 2.0, "to": 2.0, "start": 5, "shape": "linear"},
            "2 from step 5",
        ),
        (
            one(1.0, 0.1, 10),
            {"from": 1.0, "to": 0.1, "steps": 10, "start": 0, "shape": "linear"},
            "1 to 0.1 over 10 steps",
        ),
        (
            one(1.0, 0.0, 10, 4, "cosine"),
            {"from": 1.0, "to": 0.0, "steps": 10, "start": 4, "shape": "cosine"},
            "1 to 0 over 10 steps from 4, cosine",
        ),
        (
            one(1.0, 1.0, 10),
            {"from": 1.0, "to": 1.0, "steps": 10, "start": 0, "shape": "linear"},
            "1",
        ),
        (
            several,
            [
                {"from": 0.0, "to": 1.0, "steps": 10, "start": 0, "shape": "linear"},
                {"to": 1.0, "steps": 4, "shape": "linear"},
                {"to": 0.25, "steps": 6, "start": 20, "shape": "cosine"},
                {"from": 0.5, "to": 0.25, "steps": 8, "shape": "exponential"},
            ],
            "0 to 1 over 10 steps, then 1 for 4 steps, then to 0.25 over 6 steps from 20, cosine, "
            "then 0.5 to 0.25 over 8 steps, exponential",
        ),
        (
            one(1.0, 0.0),
            {"from": 1.0, "to": 0.0, "start": 0, "shape": "linear"},
            "1 to 0 over the rest of the training",
        ),
    ],
)
def test_how_it_is_written(schedule: Schedule, plain: object, sentence: str) -> None:
    assert (schedule.plain(), str(schedule)) == (plain, sentence)


@pytest.mark.parametrize(
    ("schedule", "switches", "constant"),
    [
        (one(0.0, 0.0, 5, 3), False, False),
        (one(1.0, 1.0), False, True),
        (one(1.0, 1.0, start=1), True, False),
        (one(0.0, 1.0, 5), True, False),
        (one(1.0, 0.0, 5), True, False),
        (one(1.0, 2.0, 5), False, False),
        (one(2.0, 2.0, 5), False, True),
        (several, True, False),
    ],
)
def test_whether_it_is_0_only_sometimes_and_whether_it_ever_changes(
    schedule: Schedule, switches: bool, constant: bool
) -> None:
    assert (schedule.switches, schedule.constant) == (switches, constant)
    numbers = {schedule(step) for step in range(20)}
    assert constant == (len(numbers) == 1 and not schedule.pieces[0].start)
