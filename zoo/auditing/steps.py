"""Problems of optimisers, schedulers and counters: what steps, how often, and what moves."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from zoo.auditing.places import compared
from zoo.auditing.problem import Problem, listed, times
from zoo.auditing.record import Record


def stepped_twice(record: Record) -> Iterator[Problem]:
    """A second step with the same gradient."""
    for optimizer in record.optimizers.values():
        again = [step for step in optimizer.steps[1:] if not step.fresh and not step.empty and any(step.parts.values())]
        if again:
            yield Problem(
                "stepped twice",
                again[-1].place,
                f"{optimizer.name} steps again with a gradient that it has already stepped with",
                f"{times(len(again))} in {len(optimizer.steps)} steps",
                "The rate is about twice the one that is written, and the moments are counted twice.",
                "Step once for each backward.",
            )


def never_stepped(record: Record) -> Iterator[Problem]:
    """An optimiser whose networks get gradients, and which never steps."""
    active = [optimizer for optimizer in record.optimizers.values() if len(optimizer.steps) >= 2]
    for name, place, networks in record.idle_optimizers:
        losses = {
            loss.name: loss.gives[network]
            for network in networks
            for loss in record.losses.values()
            if loss.gives[network] > loss.zero[network]
        }
        if losses and active and not any(network in o.networks for o in active for network in networks):
            yield Problem(
                "never stepped",
                place,
                f"{name} never steps, though {listed([n.name for n in networks])} gets the gradient of "
                f"{listed(list(losses))}",
                f"{times(sum(losses.values()), 'gradient')}, 0 steps, while {active[0].name} stepped "
                f"{times(len(active[0].steps))}",
                "Its networks stay as they were initialised.",
                f"Call {name}.step() after the backward of its own loss.",
            )


def scheduled_twice(record: Record) -> Iterator[Problem]:
    """A scheduler that steps several times between two steps of its optimiser."""
    for scheduler in record.schedulers.values():
        between = scheduler.between[1:]
        twice = [number for number in between if number >= 2 and number != record.ranks]
        if len(between) >= 2 and 2 * len(twice) > len(between):
            yield Problem(
                "scheduled twice",
                scheduler.place,
                f"the scheduler {scheduler.name} steps {twice[0]} times for each step of its optimiser",
                f"in {len(twice)} of {len(between)} steps",
                f"The schedule is over after 1/{twice[0]} of the training, or falls {twice[0]} times as fast.",
                "Step a scheduler once for each step (or epoch) that it counts.",
            )


def counted_per_optimizer(record: Record) -> Iterator[Problem]:
    """A step counter that grows with every optimiser's step."""
    often = [len(optimizer.steps) for optimizer in record.optimizers.values() if len(optimizer.steps) >= 3]
    if len(often) < 2 or max(often) - min(often) > 1:
        return
    if record.batches > 0.75 * sum(often):
        return
    for key, values in record.counters.items():
        (first, low), (last, high) = values[0], values[-1]
        name = key.rsplit(":", 1)[1]
        each = all(b - a == d - c for (c, a), (d, b) in itertools.pairwise(values))
        if each and last - first >= 4 and high - low == last - first and compared(key.rsplit(":", 2)[0], name):
            yield Problem(
                "counted per optimiser",
                record.counter_places[key],
                f"{name} counts the steps of all {len(often)} optimisers together, and the script compares it",
                f"it grew by {high - low} in {record.batches} batches",
                f"What starts or ends at a step does so after 1/{len(often)} of the batches that are meant.",
                "Count once for each batch, outside the optimisers.",
            )


def never_move(record: Record) -> Iterator[Problem]:
    """Weights that have a gradient, are stepped, and stay bit for bit what they were."""
    for optimizer in record.optimizers.values():
        if len(optimizer.steps) < 3:
            continue
        rates = [step.rate for step in optimizer.steps]
        for network, (still, all_) in optimizer.moved.items():
            if all_ and still / all_ > 0.5:
                zero = not any(rates)
                why = "its rate is 0" if zero else f"its rate is {max(rates):g} and its weights are {optimizer.dtype}"
                yield Problem(
                    "never moves",
                    optimizer.place,
                    f"{still / all_:.0%} of the weights of {network.name} never move, though {optimizer.name} steps "
                    f"them with a gradient: {why}",
                    f"{still:,} of {all_:,} sampled weights, in {len(optimizer.steps)} steps",
                    "They do not learn."
                    if zero
                    else "A step smaller than half the distance to the next number is rounded away, every time: only "
                    "small weights learn.",
                    "Give it a rate."
                    if zero
                    else "Keep the weights in float32 and compute in the lower precision under autocast, or raise the "
                    "rate.",
                )
