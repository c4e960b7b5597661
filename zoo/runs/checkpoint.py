"""Reads the checkpoints of a run, each verified before it is taken up.

A checkpoint is ``state/step-00000500.safetensors`` and its manifest, ``state/step-00000500.json``, which is written
after it and names its size and SHA-256: without its manifest, no file is a checkpoint. ``zoo.runs.checkpointer`` writes
them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.engine.engine import Engine
from zoo.engine.keys import StateKey
from zoo.errors import Damaged, RunError
from zoo.machine.device import compute_type
from zoo.machine.disk import read_bytes
from zoo.model.tensorfile import check_fit, checked, judged, refuse_larger, tensors_in
from zoo.runs.history import history, own_identities
from zoo.runs.manifest import LARGEST, File, Manifest, identity
from zoo.runs.provenance import software
from zoo.runs.run import Run, steps_of

CHECKED = ("model/", "ema/")
"""Tensors whose shapes are known before a checkpoint is read; an optimiser's are made by its first step."""
MOMENTS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer", "sum")
"""Moments that torch's fused optimisers walk as flat memory, beside the parameter, without a look at its shape."""


def checkpoints(run: Run) -> list[Path]:
    """The tensors of checkpoints, finished or not, newest first."""
    return [tensors_path(run.folder, step) for step in sorted(steps_of(run.folder, "*"), reverse=True)]


def tensors_path(folder: Path, step: int) -> Path:
    """The tensors of a checkpoint."""
    return folder / f"state/step-{step:08d}.safetensors"


def step_of(path: Path) -> int:
    """The step of a checkpoint's tensors."""
    return int(path.stem.removeprefix("step-"))


def computed(engine: Engine) -> dict[str, Any]:
    """Names what the bits of the next step depend on, beside the state."""
    device = engine.model.device
    compute = compute_type(engine.recipe.train.precision, device) or engine.model.dtype
    where = {"device": device.type, "threads": torch.get_num_threads()}
    versions = {name: version for name, version in software().items() if name != "Python"}
    return {**versions, **where, "precision": str(compute).removeprefix("torch.")}


def restore_checkpoint(run: Run, engine: Engine) -> list[str]:
    """Takes up the newest checkpoint that is, byte for byte, what was written for this recipe.

    Gives a sentence for each checkpoint that is not, and one if it was computed in another way than here. If there are
    checkpoints and none can be taken up, or one cannot be looked at, that is a RunError.
    """
    finished = steps_of(run.folder, "json")
    paths = checkpoints(run)
    notes: list[str] = []
    for path in paths:
        try:
            manifest = take_up(run.folder, path, engine)
        except Damaged as error:
            notes.append(f"{path}: cannot be read ({error}); going back to the checkpoint before it")
            continue
        then, now = manifest.computed, computed(engine)
        moved = [f"{name} {then.get(name)} then, {now[name]} now" for name in now if then.get(name) != now[name]]
        if moved:
            notes.append(f"{path}: goes on, but not bit for bit as it would have: {'; '.join(moved)}")
        return notes
    if finished or len(paths) > 1:
        why = "\n".join(notes).replace("; going back to the checkpoint before it", "")
        raise RunError(
            f"{run.folder / 'state'}: has no checkpoint that can be read, and to begin again would lose what was "
            f"trained. Bring one back from a copy, or remove {run.folder / 'state'} to begin at step 0.\n{why}"
        )
    return [f"{path}: was never finished; beginning at step 0" for path in paths]


def take_up(folder: Path, path: Path, engine: Engine) -> Manifest:
    """Takes up one checkpoint; one that is not, byte for byte, what was written for this recipe is Damaged."""
    manifest = read_manifest(folder, path)
    if manifest.recipe not in own_identities(folder, identity(engine.recipe.plain())):
        raise Damaged("it belongs to a run of another recipe")
    known = {name: tensor for name, tensor in engine.state()[0].items() if name.startswith(CHECKED)}
    wanted = engine.shards.like({**known, **_moments(engine)})
    tensors = read_tensors(folder, path, manifest, wanted, engine.recipe.after)
    if engine.average:  # averages that the run took up later begin at the weights
        tensors = {f"ema/{name}": tensors[f"model/{name}"] for name in engine.average.averaged} | tensors
    with judged():
        for key in filter(lambda key: key.kind == "optimizer", map(StateKey.read, tensors)):
            if key.name in engine.players and key.number not in engine.players[key.name].places.values():
                raise ValueError(f"'{key.name}' has no parameter {key.number}")
        engine.restore(tensors, manifest.plain)
    return manifest


def _moments(engine: Engine) -> dict[str, Tensor]:
    """Names the moments that an optimiser may keep, each with its parameter, whose type and shape it must have."""
    return {
        f"optimizer/{name}/{place}/{moment}": parameter
        for name, player in engine.players.items()
        for place, (_, parameter) in player.placed.items()
        for moment in MOMENTS
    }


def read_manifest(folder: Path, path: Path) -> Manifest:
    """Reads a checkpoint's manifest; one missing, not what was written, or another checkpoint's is Damaged."""
    name = f"state/{path.stem}.json"
    try:
        content = read_bytes(folder, name, LARGEST)
    except FileNotFoundError:
        raise Damaged(f"it has no manifest {path.stem}.json: it was never finished, or that was removed") from None
    try:
        manifest = Manifest.read(content.decode())
    except ValueError as error:
        raise Damaged(f"its manifest {path.stem}.json: {error}") from None
    if manifest.step != step_of(path) or list(manifest.files) != [path.name]:
        raise Damaged(f"its manifest {path.stem}.json is that of step {manifest.step}")
    return manifest


def read_tensors(
    folder: Path, path: Path, manifest: Manifest, wanted: Mapping[str, Tensor], fitted: Iterable[str] = ()
) -> dict[str, Tensor]:
    """Reads the tensors of a checkpoint; Damaged if the file is not what its manifest says, or does not fit.

    ``wanted`` are the tensors of ``CHECKED`` that must be in it, and no others; and ones that may be in it: all of them
    in these types and shapes. A run with a history may have averages now and not then, or the other way round, and
    the slots that are ``fitted`` at its end may be others: they stay as they are ``wanted``.
    """
    file, extended = manifest.files[path.name], bool(history(folder))
    anew = tuple(f"{kind}{slot}." for kind in CHECKED for slot in fitted) if extended else ()
    own = {name: tensor for name, tensor in wanted.items() if name.startswith(anew)}
    with judged():
        refuse_larger(path, file.bytes)
    try:
        return own | _read(folder, f"state/{path.name}", file, wanted, extended, anew)
    except FileNotFoundError:
        raise Damaged("its tensors are gone") from None


@judged()
def _read(
    folder: Path, name: str, file: File, wanted: Mapping[str, Tensor], extended: bool, left_out: tuple[str, ...]
) -> dict[str, Tensor]:
    with checked(folder, name, file.bytes, file.sha256) as tensors:
        names = {name for name in tensors.keys() if not name.startswith(left_out)}  # noqa: SIM118
        wanted = {name: tensor for name, tensor in wanted.items() if not name.startswith(left_out)}
        if extended and not (_averaged(names) and _averaged(wanted)):
            wanted = {name: tensor for name, tensor in wanted.items() if name not in _averaged(wanted)}
            names -= _averaged(names)
        must = {name: tensor for name, tensor in wanted.items() if name in names or name.startswith(CHECKED)}
        check_fit(tensors, {name for name in names if name in must or name.startswith(CHECKED)}, must)
        return {name: tensor for name, tensor in tensors_in(tensors).items() if name in names}


def _averaged(names: Iterable[str]) -> set[str]:
    return {name for name in names if name.startswith("ema/")}


# -- the best ----------------------------------------------------------------------------------------------


def best_checkpoint(folder: Path, label: str) -> Manifest | None:
    """Reads the manifest of the checkpoint with the best score of a label; the empty label has no best."""
    best: Manifest | None = None
    for step in sorted(steps_of(folder, "json")) if label else ():
        try:
            manifest = read_manifest(folder, tensors_path(folder, step))
        except Damaged:  # it is told of when it is to be taken up
            continue
        if manifest.score and manifest.score.label == label and manifest.score.beats(best.score if best else None):
            best = manifest
    return best
