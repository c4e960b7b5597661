"""zoo: generative models built from parts that anyone can swap.

    import zoo

    model = zoo.build("avae.yaml")      # the wired model, an nn.Module whose slots are attributes
    zoo.train(model)                    # as its recipe says
    images = model.sample(16)           # (16, C, H, W) in [-1, 1]

    model = zoo.load("runs/avae")       # a trained one

Importing zoo imports neither torch nor any plugin.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from zoo.model.model import Model
    from zoo.recipe import Source
    from zoo.training.loop import train

__all__ = ["build", "load", "train"]
__version__ = "0.1.0"


def build(
    recipe: Source,
    *,
    overrides: Sequence[str] = (),
    device: str | torch.device = "cpu",
    plugins: Sequence[str | Path] = (),
) -> Model:
    """The model of a recipe: every slot filled, initialised from the recipe's seed, shapes checked.

    Args:
        recipe: a YAML file, a run's directory, the name of a bundled recipe, or a mapping with a recipe's content.
        overrides: ``"slots.encoder.width=32"`` and the like.
        device: where the networks live; ``"auto"`` takes a GPU if there is one.
        plugins: Python files with plugins of your own.

    Raises:
        zoo.errors.RecipeError: with every problem of the recipe, each with its place.
        zoo.errors.RequestError: if there is no such recipe or device, or it asks for more memory than there is.
    """
    from zoo.check.assembly import assemble
    from zoo.check.probe import probe_model
    from zoo.machine.device import choose_device
    from zoo.recipe import load_recipe, registry_for

    resolved = load_recipe(recipe, overrides, registry_for(recipe, tuple(map(Path, plugins))))
    model = assemble(resolved, choose_device(str(device)))
    probe_model(model)
    return model


def load(
    run: str | Path,
    *,
    overrides: Sequence[str] = (),
    weights: str = "",
    device: str | torch.device = "cpu",
    plugins: Sequence[str | Path] = (),
) -> Model:
    """The model of a run, with its trained weights.

    Warns where a part is installed in another version than the run was built with.

    Args:
        run: the run's directory, such as ``runs/avae``.
        overrides: ``"evaluate.fid=fid"`` and the like; the run's own recipe stays as it is.
        weights: ``"raw"``, ``"ema"``, ``"best"`` (those that scored best, where ``train.keep_best`` kept them), or
            empty for the averaged ones where there are any.
        device: where the networks live.
        plugins: Python files with plugins of your own.

    Nothing of a run is executed: it is text and numbers, each file of which is verified before it is used.

    Raises:
        zoo.errors.ZooError: if it is no run, its weights are missing, damaged or do not fit, or it asks for more
            memory than there is.
    """
    import warnings

    from zoo.check.assembly import assemble
    from zoo.machine.device import choose_device
    from zoo.runs.provenance import other_versions, own_recipe, resolved
    from zoo.runs.weights import load_weights

    folder = Path(run)
    own_recipe(folder)
    recipe, _ = resolved(folder, overrides, tuple(map(Path, plugins)))
    for sentence in other_versions(folder, recipe):
        warnings.warn(sentence, stacklevel=2)
    model = assemble(recipe, choose_device(str(device)), restored=True)
    load_weights(model, folder, weights)
    return model


def __getattr__(name: str) -> Any:
    if name == "train":
        from zoo.training.loop import train

        return train
    raise AttributeError(f"module 'zoo' has no attribute {name!r}")
