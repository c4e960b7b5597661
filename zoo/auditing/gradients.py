"""Problems of who learns from which loss."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from zoo.auditing.networks import Network
from zoo.auditing.problem import Problem, listed, times
from zoo.auditing.record import Loss, Optimizer, Record

ALIKE = 0.5
"""A cosine above which two losses want much the same of a network."""


def foreign_gradients(record: Record) -> Iterator[Problem]:
    """A step with what another network's loss left in the gradient."""
    undetached = {(loss, source) for loss, source, _, _ in _undetached(record)}
    for optimizer in record.optimizers.values():
        for network in optimizer.networks:
            for loss, (number, share, cosine) in _foreign(record, optimizer, network).items():
                if (loss, network) in undetached:
                    continue
                opposed = f"; its cosine with the rest is {cosine:+.2f}" if cosine is not None else ""
                yield Problem(
                    "foreign gradient",
                    loss.place,
                    f"{optimizer.name} steps {network.name} with the gradient of {loss.name} as well, which is not "
                    f"its loss",
                    f"in {number} of {len(optimizer.steps)} steps, {share:.0%} of the gradient's size{opposed}",
                    f"{network.name} also learns what {loss.name} asks of the networks before it: a critic is taught "
                    "to be fooled.",
                    f"Zero the gradients of {network.name} after the backward of {loss.name} and before its own "
                    "loss's, freeze it for that loss (requires_grad_(False)), or detach what it is given.",
                )


def _foreign(record: Record, optimizer: Optimizer, network: Network) -> dict[Loss, tuple[int, float, float | None]]:
    found: dict[Loss, list[tuple[float, float | None]]] = defaultdict(list)
    for step in optimizer.steps:
        parts = step.parts.get(network, [])
        whole = sum(part.norm for part in parts) or 1.0
        for part in parts:
            cosines = [c for pair, c in step.cosines.get(network, {}).items() if part.loss in pair]
            lowest = min(cosines, default=None)
            if part.norm / whole > 1e-3 and (part.leftover or _through(record, optimizer, network, part.loss, parts)):
                found[part.loss].append((part.norm / whole, lowest))
    result = {}
    for loss, seen in found.items():
        cosines = [cosine for _, cosine in seen if cosine is not None]
        mean = sum(cosines) / len(cosines) if cosines else None
        left = any(
            part.leftover for step in optimizer.steps for part in step.parts.get(network, []) if part.loss is loss
        )
        if 2 * len(seen) >= min(len(optimizer.steps), 4) and (left or (mean is not None and mean < ALIKE)):
            result[loss] = (len(seen), sum(share for share, _ in seen) / len(seen), mean)
    return result


def _through(record: Record, optimizer: Optimizer, network: Network, loss: Loss, parts: list) -> bool:  # type: ignore[type-arg]
    """Whether a loss reaches a network on its way to one before it, while another loss of the step is kept from that
    one by a detached input: a generator's loss in its critic, beside the critic's own."""
    before = [
        source
        for source, target in record.feeds
        if target is network and loss.gives[source] and source not in optimizer.networks and loss.used[source]
    ]
    others = [part.loss for part in parts if part.loss is not loss]
    return any(other.depends[source] and not other.gives[source] for source in before for other in others)


def stale_gradients(record: Record) -> Iterator[Problem]:
    """A step with gradients of which a step was made already: never zeroed."""
    for optimizer in record.optimizers.values():
        for network in optimizer.networks:
            steps = [step for step in optimizer.steps if any(p.stale for p in step.parts.get(network, []))]
            if len(steps) >= 2 or (steps and len(optimizer.steps) == 2):
                names = list(dict.fromkeys(p.loss.name for s in steps for p in s.parts[network] if p.stale))
                yield Problem(
                    "never zeroed",
                    steps[0].place,
                    f"{optimizer.name} steps {network.name} with gradients that it has stepped with before",
                    f"in {len(steps)} of {len(optimizer.steps)} steps, of {listed(names)}",
                    "Every step repeats all earlier ones: the step grows with time, and points to the past.",
                    f"Call zero_grad() of {network.name} or of {optimizer.name} once before each step's backward.",
                )


def dead_terms(record: Record) -> Iterator[Problem]:
    """A term of a sum that gives no network a gradient."""
    for loss in record.losses.values():
        for term, number in loss.dead.items():
            if 2 * number < loss.calls:
                continue
            inside = {network for network, _ in record.bits(term.bits)}
            names = [network.name for network in record.networks if network in inside]
            why = f"{term.cut.reason} at {term.cut.place}" if term.cut else "it reaches nothing that takes a gradient"
            yield Problem(
                "dead term",
                term.place,
                f"the term '{term.name}' of {loss.name} gives no gradient: {why}",
                f"in {number} of {loss.calls} calls; it is computed with {listed(names) or 'networks'}",
                "It shows in the loss that is printed and moves no weight: training is as if it were not there.",
                "Compute it with its gradient, or take it out of the sum.",
            )


def unheld_networks(record: Record) -> Iterator[Problem]:
    """A network that gets gradients and is in no optimiser."""
    for network, names in record.unheld.items():
        if network in record.moved_by_hand or not record.optimizers:
            continue
        losses = [loss for loss in record.losses.values() if loss.gives[network] > loss.zero[network]]
        if not losses:
            continue
        whole = len(names) == len(network.parameters)
        who = network.name if whole else listed(names)
        place = record.called_at.get(network, losses[0].place)
        number = sum(loss.gives[network] for loss in losses)
        if whole and network.modules and not any(module.training for module in network.modules):
            yield Problem(
                "unused gradient",
                place,
                f"{who} gets a gradient of {listed([loss.name for loss in losses])} that nothing uses: no optimiser "
                f"holds it",
                f"{times(number)}, never zeroed",
                "It changes no result; it costs the memory of its weights and the time of their gradients.",
                f"Freeze it: {network.name}.requires_grad_(False).",
            )
        else:
            yield Problem(
                "no optimiser",
                place,
                f"{who} gets a gradient of {listed([loss.name for loss in losses])}, and no optimiser holds it",
                f"{times(number)}; its weights did not move",
                "It stays as it was initialised, and what is trained around it adapts to random features.",
                f"Give its parameters to an optimiser, or freeze it: {network.name}.requires_grad_(False).",
            )


def never_receive(record: Record) -> Iterator[Problem]:
    """A network, or a part of one, that an optimiser holds and no loss reaches."""
    for network, names in record.gradless.items():
        holders = [o for o in record.optimizers.values() if network in o.networks and len(o.steps) >= 2]
        if not holders:
            continue
        whole = len(names) == len(network.parameters)
        depends = [loss.name for loss in record.losses.values() if loss.depends[network] and loss.kind == "backward"]
        cut = bool(depends) and whole
        why = f"; {listed(depends)} depends on it, but its gradient is cut off" if cut else ""
        yield Problem(
            "never receives",
            record.called_at.get(network, holders[0].place),
            f"{holders[0].name} holds {network.name if whole else listed(names)}, which no loss gives a gradient{why}",
            f"{len(names)} of {len(network.parameters)} tensors, in {len(holders[0].steps)} steps",
            "It stays as it was initialised (weight decay apart).",
            "Look for a detach(), a no_grad() or a sampling between it and the loss."
            if cut
            else "Use it: forward does not, or cuts off what it gives; or take it out of the network.",
        )


def unused_gradients(record: Record) -> Iterator[Problem]:
    """A gradient that is zeroed before any step, or lies there while its optimiser steps elsewhere."""
    for optimizer in record.optimizers.values():
        for network in optimizer.networks:
            zeroed = [step for step in optimizer.steps if network in step.zeroed]
            if 2 * len(zeroed) > len(optimizer.steps):
                names = [loss.name for loss in record.losses.values() if loss.gives[network]]
                yield Problem(
                    "unused gradient",
                    zeroed[0].place,
                    f"the gradient that {listed(names)} gives {network.name} is zeroed before {optimizer.name} steps",
                    f"in {len(zeroed)} of {len(optimizer.steps)} steps",
                    f"{network.name} learns nothing (momentum and weight decay apart).",
                    "Call zero_grad() before backward(), or after step(), not between them.",
                )


def undetached_fakes(record: Record) -> Iterator[Problem]:
    """A critic's loss that goes on into the network whose output it judges."""
    for loss, source, critic, stepped in _undetached(record):
        yield Problem(
            "undetached fakes",
            loss.place,
            f"{loss.name} trains {critic.name} and goes on into {source.name}, whose output it judges",
            f"{source.name} gets its gradient in {loss.gives[source]} of {loss.calls} calls, "
            f"{'and is stepped with it' if stepped else 'and it is thrown away'}",
            f"{source.name} is taught to be told apart from what is real."
            if stepped
            else f"It costs a backward pass through {source.name}; one forgotten zero_grad() more, and it learns the "
            "opposite of what it should.",
            f"Give {critic.name} the output of {source.name} detached: fake.detach().",
        )


def _undetached(record: Record) -> Iterator[tuple[Loss, Network, Network, bool]]:
    """Losses that train a critic and reach a network before it, which another loss trains through that critic; and
    whether that network is stepped with them."""
    losses = [loss for loss in record.losses.values() if loss.kind == "backward"]
    for loss in losses:
        for source, critic in record.feeds:
            reaches = loss.used[critic] and loss.gives[source] > loss.zero[source]
            if not reaches or (critic, source) in record.feeds:
                continue
            against = [o for o in losses if o is not loss and o.used[source] and o.passes[critic]]
            if not against or critic not in record.judges or not _critic(record, critic, against):
                continue
            foreign = any(_is_foreign(record, loss, source, o) for o in record.optimizers.values())
            if foreign or not loss.used[source] or _opposed(record, loss, source, against):
                yield loss, source, critic, bool(foreign or loss.used[source])


def _opposed(record: Record, loss: Loss, network: Network, against: list[Loss]) -> bool:
    """Whether a loss pulls a network, in its steps, against others."""
    seen = [
        cosine
        for optimizer in record.optimizers.values()
        for step in optimizer.steps
        for pair, cosine in step.cosines.get(network, {}).items()
        if loss in pair and any(other in pair for other in against)
    ]
    return bool(seen) and sum(seen) / len(seen) < 0


def _critic(record: Record, critic: Network, against: list[Loss]) -> bool:
    """Whether a network is not itself taught by the losses that reach others through it."""
    return all(not loss.used[critic] or any(_is_foreign(record, loss, critic, o) for o in record.optimizers.values())
               for loss in against)  # fmt: skip


def _is_foreign(record: Record, loss: Loss, network: Network, optimizer: Optimizer) -> bool:
    return network in optimizer.networks and loss in _foreign(record, optimizer, network)
