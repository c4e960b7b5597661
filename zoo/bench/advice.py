"""What would make a recipe's step quicker: only what was measured, with its figure."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from zoo.bench.clock import OFF
from zoo.bench.parts import DATA, MOVE, Subject
from zoo.bench.report import Against, Bench
from zoo.machine.device import compute_type

DATA_SHARE = {False: 0.03, True: 0.02}
"""On a GPU? -> share of a step that the data should take at most."""

MOVE_SHARE = 0.03
"""Share of a step from which on an optimiser without a fused step is worth a word."""

LAUNCH_BOUND = 0.8
"""Share of a step that launching takes, from which on the GPU waits for the host."""

FAR = 0.2
"""Of the floor: a CPU's step below it may be many small operations, of which a larger batch has fewer an image."""


def candidates(found: Bench, subject: Subject) -> Iterator[str]:
    """Overrides that are worth timing against the recipe."""
    settings, device = subject.recipe.train, subject.engine.device
    if found.precision == "float32" and compute_type("auto", device):
        yield "train.precision=bfloat16"
    if not settings.channels_last and any(isinstance(m, nn.Conv2d) for m in subject.engine.model.modules()):
        yield "train.channels_last=true"
    if settings.activation_checkpointing:
        yield "train.activation_checkpointing=false"
    if settings.accumulate > 1:
        yield "train.accumulate=1"
    if found.gpu and settings.cuda_graph == "off":
        yield "train.cuda_graph=auto"
    if found.gpu and settings.data_on == "host":
        yield "train.data_on=device"
    if found.waits > LAUNCH_BOUND or (not found.gpu and found.of_floor < FAR):
        yield f"train.batch={2 * settings.batch}"


def advise(found: Bench, subject: Subject) -> Iterator[str]:
    """Sentences, each with the figure it rests on."""
    if not found.same.quiet:
        yield (
            f"The same step timed twice comes to a ratio of {found.same}, so this machine is too noisy now "
            "to tell small differences; run it again when less else is running, or with more --steps."
        )
    yield from (_worth(against) for against in found.against if against.ratio and _quicker(found, against))
    yield from _of_data(found, subject)
    yield from _of_launches(found, subject)
    yield from _of_optimisers(found, subject)


def _quicker(found: Bench, against: Against) -> bool:
    """Whether three quarters of its rounds were quicker by more than the noise."""
    noise = max(abs(found.same.median - 1) + found.same.third - found.same.first, OFF)
    return against.ratio is not None and against.ratio.third < 1 - noise


def _worth(against: Against) -> str:
    path = against.override.partition("=")[0]
    costs = {
        "train.batch": "; the learning rate may want another value then",
        "train.accumulate": ", and more memory",
        "train.activation_checkpointing": ", and more memory",
    }
    return f"{against.override} takes {against.ratio} of the time an image{costs.get(path, '')}."


def _of_data(found: Bench, subject: Subject) -> Iterator[str]:
    share, limit = found.share(DATA), DATA_SHARE[found.gpu]
    if share <= limit:
        return
    said = f"Batches take {share:.1%} of a step, where {limit:.0%} is enough for a packed set"
    named = ", ".join(part.label for part in subject.recipe.augment)
    yield f"{said}; that is with augment: {named}." if named else f"{said}."


def _of_launches(found: Bench, subject: Subject) -> Iterator[str]:
    if found.gpu and found.waits > LAUNCH_BOUND:
        yield f"Launching takes the host {found.waits:.0%} of a step: the GPU waits for it."
    if found.gpu and found.eager and subject.recipe.train.cuda_graph != "off":
        yield f"Steps are not replayed as CUDA graphs: {found.eager}."
    tried = [against.override for against in found.against]
    if found.of_floor < 0.5 and not subject.recipe.train.compile and "train.compile=true" not in tried:
        yield (
            f"A step is at {found.of_floor:.0%} of the floor; compiling takes minutes and was not tried: "
            "--try train.compile=true times it."
        )


def _of_optimisers(found: Bench, subject: Subject) -> Iterator[str]:
    share = found.share(MOVE)
    slow = [
        f"{player.name} ({type(player.optimizer).__name__})"
        for player in subject.engine.players.values()
        if player.optimizer and not player.optimizer.defaults.get("fused")
    ]
    if slow and share > MOVE_SHARE:
        verb = "has" if len(slow) == 1 else "have"
        yield f"Optimisers take {share:.1%} of a step: {', '.join(slow)} {verb} no fused step (adam, sgd do)."
