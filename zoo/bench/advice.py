"""Advice on how to make a recipe's step quicker: only what was measured, with its figure."""

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
COSTS = {
    "train.batch": "; the learning rate may want another value then",
    "train.accumulate": ", and more memory",
    "train.activation_checkpointing": ", and more memory",
}
"""Path of an override -> what else it brings."""


def candidates(bench: Bench, subject: Subject) -> Iterator[str]:
    """Overrides that are worth timing against the recipe."""
    settings, device = subject.recipe.train, subject.engine.device
    if bench.precision == "float32" and compute_type("auto", device):
        yield "train.precision=bfloat16"
    if not settings.channels_last and any(isinstance(m, nn.Conv2d) for m in subject.engine.model.modules()):
        yield "train.channels_last=true"
    if settings.activation_checkpointing:
        yield "train.activation_checkpointing=false"
    if settings.accumulate > 1:
        yield "train.accumulate=1"
    if bench.gpu and settings.cuda_graph == "off":
        yield "train.cuda_graph=auto"
    if bench.gpu and settings.data_on == "host":
        yield "train.data_on=device"
    if bench.waits > LAUNCH_BOUND or (not bench.gpu and bench.of_floor < FAR):
        yield f"train.batch={2 * settings.batch}"


def advise(bench: Bench, subject: Subject) -> Iterator[str]:
    """Sentences, each with the figure it rests on."""
    if not bench.same.quiet:
        yield (
            f"The same step timed twice comes to a ratio of {bench.same}, so this machine is too noisy now "
            "to tell small differences; run it again when less else is running, or with more --steps."
        )
    for against in bench.against:
        if _quicker(bench, against):
            path = against.override.partition("=")[0]
            yield f"{against.override} takes {against.ratio} of the time an image{COSTS.get(path, '')}."
    yield from _of_step(bench, subject)


def _quicker(bench: Bench, against: Against) -> bool:
    """True where three quarters of its rounds were quicker by more than the noise."""
    noise = max(abs(bench.same.median - 1) + bench.same.third - bench.same.first, OFF)
    return against.ratio is not None and against.ratio.third < 1 - noise


def _of_step(bench: Bench, subject: Subject) -> Iterator[str]:
    share, limit = bench.share(DATA), DATA_SHARE[bench.gpu]
    if share > limit:
        named = ", ".join(part.label for part in subject.recipe.augment)
        augment = f"; that is with augment: {named}" if named else ""
        yield f"Batches take {share:.1%} of a step, where {limit:.0%} is enough for a packed set{augment}."
    if bench.gpu and bench.waits > LAUNCH_BOUND:
        yield f"Launching takes the host {bench.waits:.0%} of a step: the GPU waits for it."
    if bench.gpu and bench.eager and subject.recipe.train.cuda_graph != "off":
        yield f"Steps are not replayed as CUDA graphs: {bench.eager}."
    tried = [against.override for against in bench.against]
    if bench.of_floor < 0.5 and not subject.recipe.train.compile and "train.compile=true" not in tried:
        yield (
            f"A step is at {bench.of_floor:.0%} of the floor; compiling takes minutes and was not tried: "
            "--try train.compile=true times it."
        )
    slow = [
        f"{player.name} ({type(player.optimizer).__name__})"
        for player in subject.engine.players.values()
        if player.optimizer and not player.optimizer.defaults.get("fused")
    ]
    share, verb = bench.share(MOVE), "has" if len(slow) == 1 else "have"
    if slow and share > MOVE_SHARE:
        yield f"Optimisers take {share:.1%} of a step: {', '.join(slow)} {verb} no fused step (adam, sgd do)."
