"""Trains with sharded weights in each process of ``test_fully_shard.py``, and hands in what came of it.

torchrun --nproc-per-node N -m helpers.ranks_fully_shard DIRECTORY
"""

from __future__ import annotations

import os
import shutil
import sys
import time
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from helpers.engine import pixels, small
from helpers.ranks import BATCH, share
from parts.sharded_parts import PARTS
from torch import Tensor, nn

import zoo
from zoo.draws import Draw
from zoo.engine import layout
from zoo.engine.engine import Engine
from zoo.engine.layout import Piece
from zoo.errors import Interrupted, ZooError
from zoo.machine.processes import ALONE, Processes, joined
from zoo.model.model import Model
from zoo.recipe import write_recipe
from zoo.runs.manifest import sealed
from zoo.runs.run import Run
from zoo.training.loop import train
from zoo.types import Images

STEPS = 3
SHARDED = "train.fully_shard=true"
SETTINGS = (
    "train.optimizer={use: sgd, lr: 2.0e-2, momentum: 0.5}",
    *(f"train.batch={BATCH}", "train.sync_batch_norm=true", "train.ema=0.5", "train.clip=1.0"),
)
"""Adam divides a gradient by its own size: where that is rounding alone, so is the step."""
ADAM = "train.optimizer={use: adam, lr: 1.0e-3, eps: 1.0e-2}"
WHOLE = ("vaegan", "bigan", "avae")
"""Systems as they are; of a VAE and a GAN something else is changed as well."""
PARTED = ("train.accumulate=2", "train.sync_batch_norm=false")


def tiny(name: str, *overrides: str, **given: Any) -> Model:
    """A system whose parameters are nearly all sharded."""
    return small(name, *SETTINGS, *overrides, dtype=torch.float32, **given)


def frozen_and_tied(*overrides: str) -> Model:
    """A VAE one of whose weights is frozen, and two of whose layers share one."""
    model = tiny("vae", *overrides)
    model.decoder.paint[0][0].weight.requires_grad_(False)
    model.encoder.log_sigma.weight = model.encoder.mean.weight
    return model


def backbone(*overrides: str) -> Model:
    """A VAE whose encoder is one of timm's transformers; its weights are large by themselves."""
    slots = {"encoder": {"use": "timm", "model": "test_vit"}, "decoder": {"width": 4}}
    seen = {"perceptual": {"model": "test_resnet", "pretrained": False}}  # by a network that never learns
    phases = [{"encoder + decoder": {"reconstruction": 1.0, "kl": 1.0, **seen}}]
    sizes = ("data.size=16", "latent=5", "evaluate=[]", "train.precision=float32")
    return zoo.build({"extends": "vae", "slots": slots, "phases": phases}, overrides=[*sizes, *SETTINGS, *overrides])


def stepped(model: Model, processes: Processes, steps: int = STEPS) -> Engine:
    """An engine that has taken some steps."""
    engine = Engine(model, processes=processes)
    for _ in range(steps):
        engine.losses = engine.step(lambda turn: share(turn, processes))  # type: ignore[attr-defined]
    return engine


def trained(model: Model, processes: Processes) -> dict[str, Tensor]:
    """Weights, statistics and averages after some steps, and the losses of the last."""
    engine = stepped(model, processes)
    engine.shards.end(engine.average)
    assert engine.average
    averaged = {f"average of {key}": value for key, value in engine.average.averaged.items()}
    return {**model.state_dict(), **averaged, **engine.losses}  # type: ignore[attr-defined]


def compared(processes: Processes) -> dict[str, tuple[dict[str, Tensor], dict[str, Tensor]]]:
    """What sharded models come to, and what it should be: one process's, or that of processes with whole models."""
    r1 = [{"critic": {"discriminate": 1.0, "r1": 2.0}, "generator": {"non_saturating": 1.0}}]
    dense = [{"encoder + decoder": {"reconstruction": 1.0, "kl": 1.0, "dense_part": 1.0}}]
    makers: dict[str, Callable[..., Model]] = {
        **{name: partial(tiny, name) for name in WHOLE},
        "r1": lambda *o: tiny("gan", *o, phases=r1, plugins=[PARTS]),
        "frozen and tied": frozen_and_tied,
        "a part of a slot": lambda *o: tiny("vae", *o, phases=dense, plugins=[PARTS]),
        "timm": backbone,
    }
    if processes.count > 2:
        makers = {"avae": makers["avae"]}
    found = {}
    for name, make in makers.items():
        shared = trained(make(SHARDED), processes)
        if processes.first:
            found[name] = shared, trained(make(SHARDED), ALONE)  # alone it means nothing
    if processes.count > 2:
        return found
    options = {"in parts": PARTED, "again": ("train.activation_checkpointing=true",)}
    for name, chosen in {**options, "bfloat16": ("train.precision=bfloat16",)}.items():
        found[name] = trained(tiny("avae", *chosen, SHARDED), processes), trained(tiny("avae", *chosen), processes)
    return found


# -- what a process holds -----------------------------------------------------------------------------------


def held(processes: Processes, *overrides: str) -> dict[str, int]:
    """Bytes of a process's parameters, moments and averages."""
    engine = stepped(tiny("avae", ADAM, *overrides), processes, 1)
    moments = [t for player in engine.players.values() for t in player.state().values()]
    assert engine.average
    parts = {"parameters": list(engine.model.parameters()), "moments": moments}
    parts |= {"averages": list(engine.average.averaged.values())}
    return {name: sum(t.numel() * t.element_size() for t in tensors) for name, tensors in parts.items()}


def alive(processes: Processes, *overrides: str) -> tuple[int, int]:
    """Bytes of whole weights that a forward gathers, and of those that are there when it is over."""
    engine = Engine(tiny("avae", *overrides, SHARDED), processes=processes)
    made: list[tuple[int, weakref.ref[Tensor]]] = []
    own = Piece.gathered

    def noting(piece: Piece, tensor: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        whole = own(piece, tensor, dtype)
        storage = whole.untyped_storage()
        made.append((storage.nbytes(), weakref.ref(storage)))
        return whole

    Piece.gathered = noting  # type: ignore[method-assign]
    try:
        plan = engine.plan_now(0)
        rows = {"rows": BATCH // processes.count, "shard": processes.shard, "device": engine.device}
        draws = partial(Draw, **rows, dtype=torch.float32)
        with engine.shards.computing():
            known = plan.forward({"x": share(0, processes)}, engine.step_index, draws)
    finally:
        Piece.gathered = own  # type: ignore[method-assign]
    assert known
    until = time.monotonic() + 5
    while (left := sum(size for size, there in made if there() is not None)) and time.monotonic() < until:
        time.sleep(0.01)  # a thread of gloo's lets go of the last one a moment after it is handed over
    return sum(size for size, _ in made), left


# -- what goes wrong ------------------------------------------------------------------------------------------


def said(work: Callable[[], object]) -> str:
    """What a process says of what went wrong."""
    try:
        work()
    except ZooError as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


def spoilt_weight(processes: Processes, recipe: Model) -> None:
    """One process's piece of a weight is not finite: nobody else can see it."""
    engine = stepped(recipe, processes, 1)
    if not processes.first:
        with torch.no_grad():
            next(p for p in engine.players["critic"].parameters.values() if isinstance(p, Piece))[0] = torch.nan
    engine.check()


def spoilt_gradient(processes: Processes, recipe: Model) -> None:
    """One process's piece of a gradient is not finite."""
    own = Piece.made

    def spoiling(whole: nn.Parameter) -> Piece:
        piece = own(whole)
        if piece.form.shape == spoilt and not processes.first:
            piece.requires_grad_(True).register_hook(lambda gradient: gradient * torch.nan)
        return piece

    spoilt = recipe.decoder.paint[0][0].weight.shape
    Piece.made = spoiling  # type: ignore[method-assign]
    try:
        train(recipe, pixels(), processes=processes)
    finally:
        Piece.made = own  # type: ignore[method-assign]


def walking(processes: Processes, _: Model) -> None:
    """A term that walks over the parameters of a network."""
    rows = [{"encoder + decoder": {"reconstruction": 1.0, "weight_decay": 1.0}}]
    stepped(tiny("vae", SHARDED, phases=rows, plugins=[PARTS]), processes, 1)


def another_optimizer(processes: Processes, recipe: Model) -> None:
    """An optimiser that looks at a matrix as a matrix."""
    engine = Engine(recipe, processes=processes)
    player = next(iter(engine.players.values()))
    player.optimizer = torch.optim.Adafactor(player.parameters.values())
    engine.shards.check(engine.players)


def one_by_one(processes: Processes, recipe: Model) -> None:
    """A stranger's optimiser that says it moves every number by itself."""

    class Mine(torch.optim.SGD):
        elementwise = True

    engine = Engine(recipe, processes=processes)
    player = next(iter(engine.players.values()))
    player.optimizer = Mine(player.parameters.values())
    engine.shards.check(engine.players)


def over(processes: Processes, recipe: Model) -> None:
    """A step after the training's end."""
    engine = stepped(recipe, processes, 1)
    engine.shards.end(engine.average)
    engine.step(lambda turn: share(turn, processes))


FAULTS = (spoilt_weight, spoilt_gradient, walking, another_optimizer, one_by_one, over)


# -- a run that is stopped ------------------------------------------------------------------------------------


def built(folder: Path, processes: Processes, *overrides: str, steps: int = 4, stop_at: int = 0) -> dict[str, Tensor]:
    """Trains in a run, or goes on with it; gives the weights."""
    asked = iter(range(1, 100))
    options = ("train.log_every=1", "train.save_every=2", "evaluate=[mse]", "train.keep_best=mse", *overrides)
    model = tiny("avae", ADAM, *options)
    run = Run(folder) if processes.first else None
    images = Images(pixels(), pixels())
    try:
        if run:
            with run:
                run.write("recipe.yaml", sealed(write_recipe(model.recipe)))
                train(model, images, steps=steps, run=run, stop=lambda: next(asked) == stop_at, processes=processes)
        else:
            train(model, images, steps=steps, stop=lambda: next(asked) == stop_at, processes=processes)
    except Interrupted:
        return {}
    return model.state_dict()


def resumed(folder: Path, processes: Processes) -> dict[str, dict[str, Tensor]]:
    """A training in one go; one that was stopped; and one that goes on in one process with whole weights."""
    found = {"straight": built(folder / "straight", processes, SHARDED)}
    built(folder / "stopped", processes, SHARDED, stop_at=2)
    if processes.first:
        shutil.copytree(folder / "stopped", folder / "alone")
    found["stopped"] = built(folder / "stopped", processes, SHARDED)
    if processes.first:
        found["alone"] = built(folder / "alone", ALONE)
    return found


def shown(processes: Processes) -> tuple[list[Tensor], bool]:
    """What the model shows while it is whole in a training, and when that is over; and whether it is what it was."""
    model = tiny("avae", SHARDED, "train.sync_batch_norm=false")  # which replaces modules
    before = [*model.parameters(), *map(type, model.modules())]
    engine = stepped(model, processes, 1)
    with engine.shards.whole():
        on_the_way = model.sample(2, seed=0)
    engine.shards.end(engine.average)
    after = [*model.parameters(), *map(type, model.modules())]
    return [on_the_way, model.sample(2, seed=0)], all(one is other for one, other in zip(before, after, strict=True))


def main() -> None:
    """Everything, in as few processes as it takes."""
    layout.LEAST = 16
    folder = Path(sys.argv[1])
    with joined("cpu") as (processes, _):
        found: dict[str, Any] = {"compared": compared(processes)}
        if processes.count == 2:
            found["held"] = {"shared": held(processes, SHARDED), "whole": held(processes)}
            found["alive"] = [alive(processes), alive(processes, "train.precision=bfloat16")]
            found["said"] = {f.__name__: said(partial(f, processes, tiny("avae", SHARDED))) for f in FAULTS}
            found["resumed"] = resumed(folder, processes)
            found["shown"] = shown(processes)
        everybody = processes.gathered(found)
    if processes.first:
        torch.save(everybody, folder / "found.pt")


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # whatever a library's threads hold when the interpreter ends
