"""The stopwatch itself, on a clock that the callables move."""

from __future__ import annotations

import gc
import time

import pytest

from .paired import OFF, SPREAD, Paired, by, paired


class Clock:
    """Seconds that pass when work is done, and work that takes them; the machine is slower by a factor at times."""

    def __init__(self, slowness=lambda _: 1.0):
        self.now, self.calls, self.order, self.slowness = 0.0, 0, [], slowness

    def __call__(self):
        return self.now

    def work(self, name, seconds):
        def run():
            self.calls += 1
            self.order.append(name)
            self.now += seconds * self.slowness(self.calls)

        return run


def test_the_ratio_of_two_sides():
    clock = Clock()
    found = paired(clock.work("a", 0.03), clock.work("b", 0.02), taken=by(clock))
    assert found.median == pytest.approx(1.5)
    assert found.quartiles == pytest.approx((1.5, 1.5))
    assert found.extra == pytest.approx(0.01)
    assert (len(found.ratios), found.calls) == (12, 3)


def test_a_machine_that_slows_down_changes_times_and_not_ratios():
    clock = Clock(lambda call: 1 + call / 500)
    found = paired(clock.work("a", 0.003), clock.work("b", 0.002), taken=by(clock))
    assert max(found.b) > 1.5 * min(found.b)
    assert found.median == pytest.approx(1.5, rel=0.01)


def test_both_sides_come_equally_often_in_an_order_that_changes():
    clock = Clock()
    paired(clock.work("a", 0.02), clock.work("b", 0.02), rounds=6, taken=by(clock))
    rounds = [clock.order[i : i + 10] for i in range(4, len(clock.order), 10)]
    assert {tuple(sorted(taken)) for taken in rounds} == {("a",) * 5 + ("b",) * 5}
    assert len({tuple(taken) for taken in rounds}) == 6


def test_a_side_that_takes_long_is_called_once_a_round():
    clock = Clock()
    assert paired(clock.work("a", 2.0), clock.work("b", 0.001), rounds=3, taken=by(clock)).calls == 1


def test_an_aa_pair_is_quiet_or_not():
    def aa(*ratios):
        return Paired(ratios, (1.0,) * len(ratios), 1).quiet

    assert aa(*[1.0] * 11, 1.5)  # one round does not count
    assert aa(*[1 - 0.4 * SPREAD, 1 + 0.4 * SPREAD] * 6)
    assert not aa(*[1 + 2 * OFF] * 12)
    assert not aa(*[1 - SPREAD, 1 + SPREAD] * 6)


def test_garbage_is_not_collected_inside_a_round():
    seen = []
    paired(lambda: seen.append(gc.isenabled()), lambda: None, rounds=2, least=0.0)
    assert not any(seen[2:])
    assert gc.isenabled()


def test_process_time_counts_work_and_not_waiting():
    found = paired(lambda: sum(range(200_000)), lambda: time.sleep(0.01), rounds=3, least=0.01)
    assert found.median > 2


def test_a_side_that_raises_leaves_collection_on():
    calls = iter(range(100))

    def broken():
        if next(calls) == 3:
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        paired(broken, lambda: None, least=0.0)
    assert gc.isenabled()
