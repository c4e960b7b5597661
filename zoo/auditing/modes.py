"""Problems of how networks are called: wrappers, modes, statistics, averages, arguments, numbers."""

from __future__ import annotations

from collections.abc import Iterator

from zoo.auditing.problem import Problem, listed, times
from zoo.auditing.record import Record


def swapped_arguments(record: Record) -> Iterator[Problem]:
    """Binary cross-entropy whose first argument is the data and whose second is what learns."""
    for place, number in record.swapped.items():
        yield Problem(
            "swapped arguments",
            place,
            "binary cross-entropy is given the data as its input and the prediction as its target",
            f"{times(number)}: the target takes a gradient and the input does not",
            "Its gradient is the log-odds of the data, whatever the prediction: it drives every output to 0 or 1.",
            "Swap them: binary_cross_entropy(prediction, target).",
        )


def around_wrappers(record: Record) -> Iterator[Problem]:
    """A wrapped network that is called past its wrapper, with a gradient."""
    for (wrapper, network), (place, number) in record.around.items():
        losses = [loss.name for loss in record.losses.values() if loss.gives[network]]
        if not losses:
            continue
        compiled = wrapper == "OptimizedModule"
        yield Problem(
            "around the wrapper",
            place,
            f"{network.name} is called past its {wrapper}, and {listed(losses)} learns from that call",
            f"{times(number, 'call')}",
            "It runs uncompiled: slower, with the same result."
            if compiled
            else "Its gradients are averaged over no processes: each trains a network of its own on its share of the "
            "batch, and only the first one's is saved.",
            "Call the wrapper itself; put what a method does (encode, decode, a loss) into forward.",
        )


def ranks_diverge(record: Record) -> Iterator[Problem]:
    """Networks that have other weights on other ranks."""
    for name, ranks in record.diverged.items():
        network = next((each for each in record.networks if each.name == name), None)
        losses = [loss for loss in record.losses.values() if network and loss.gives[network]]
        if network is None or not losses:
            continue
        yield Problem(
            "ranks diverge",
            losses[0].place,
            f"{name} has other weights on other ranks",
            f"{len(set(ranks))} different ones on {len(ranks)} ranks after "
            f"{max((len(o.steps) for o in record.optimizers.values()), default=0)} steps",
            "Every rank trains its own network on its share of the batch; only the first one's is saved.",
            "Wrap it in DistributedDataParallel and call it through the wrapper; start all ranks from the same "
            "weights.",
        )


def statistics_moved(record: Record) -> Iterator[Problem]:
    """Statistics that a pass moves of which no loss is made."""
    for network, passes in record.statistics.items():
        idle = sum(passes.idle.values())
        if idle >= 2 and idle >= 0.05 * passes.all:
            place, number = passes.idle.most_common(1)[0]
            yield Problem(
                "statistics moved",
                place,
                f"{network.name} is in training mode in a pass under no_grad that no loss is made of, and the pass "
                f"moves {passes.what}",
                f"{number} such passes, of {passes.all} in training mode",
                "What is only looked at changes the network: its evaluation depends on how often it was looked at, and "
                "on what.",
                f"Call {network.name}.eval() before such a pass and .train() after it.",
            )


def frozen_in_train_mode(record: Record) -> Iterator[Problem]:
    """A network that is never trained, left in training mode."""
    held = {network for optimizer in record.optimizers.values() for network in optimizer.networks}
    for network, (modal, place, number) in record.frozen_modes.items():
        received = any(loss.gives[network] for loss in record.losses.values())
        most = number >= 2 and 2 * number > record.calls[network]["train"] + record.calls[network]["eval"]
        if received or network in held or network in record.moved_by_hand or not record.optimizers or not most:
            continue
        yield Problem(
            "frozen in training mode",
            place,
            f"{network.name} is frozen and in training mode, where its {modal} is not what it is in evaluation",
            f"{times(number, 'call')}",
            "Dropout makes its output random, batch norm makes it depend on the rest of the batch and forgets the "
            "statistics it was trained with.",
            f"Call {network.name}.eval() after it is built, and after every .train() of a module that holds it.",
        )


def averages_nothing(record: Record) -> Iterator[Problem]:
    """An average of weights that is the weights themselves, or never changes."""
    for average in record.averages:
        name, network = average.name, average.network.name
        if average.shares_memory:
            what, number = (
                f"{name} shares its memory with {network}: it is no average, it is the weights",
                "every tensor",
            )
        elif average.looks >= 3 and average.unchanged == average.looks:
            what, number = f"{name} never changes while {network} does", f"in {average.looks} steps"
        elif average.looks >= 3 and average.copied == average.looks:
            what, number = (
                f"{name} is a copy of {network} after every step: its decay is 0",
                f"in {average.looks} steps",
            )
        else:
            continue
        yield Problem(
            "averages nothing",
            average.place,
            what,
            number,
            "What is evaluated and saved as an average is the last step's weights, or the first one's.",
            "Start it as a deep copy; after every step, mean.lerp_(weight, 1 - decay), in float32, the decay below 1.",
        )


def not_finite(record: Record) -> Iterator[Problem]:
    """Losses that are not a number, and the network where that begins."""
    for loss in record.losses.values():
        if loss.not_finite:
            call, where = loss.not_finite[0]
            yield Problem(
                "not finite",
                loss.place,
                f"{loss.name} is not finite: {where}",
                f"from its call {call} on, in {len(loss.not_finite)} of {loss.calls}",
                "One such step makes every weight it reaches not a number, for good.",
                "Bound what feeds the logarithm, the root, the exponential or the division there; lower the rate; clip "
                "the gradient.",
            )


def changed_between(record: Record) -> Iterator[Problem]:
    """Weights that are changed between a forward pass and the backward of a loss made of it."""
    for loss in record.losses.values():
        if loss.refused:
            changed = [n.name for o in record.optimizers.values() for n in o.networks if o.steps and loss.passes[n]]
            yield Problem(
                "changed in between",
                loss.place,
                f"between the forward pass of {loss.name} and its backward, something it needs was changed in place "
                f"({listed(changed) or 'a tensor'} was stepped or written)",
                loss.refused.splitlines()[0][:160],
                "Torch refuses, as the gradient would be that of no loss.",
                "Go backward before the step, or compute the forward pass again after it.",
            )
        for network, (place, number) in loss.frozen_past.items():
            yield Problem(
                "changed in between",
                place,
                f"the weights of {network.name} are changed through .data between the forward pass of {loss.name} and "
                "its backward",
                f"in {number} of {loss.calls} calls",
                "Torch does not notice: the gradient mixes old activations with new weights and is that of no loss.",
                "Change weights after the step, under no_grad and not through .data.",
            )
