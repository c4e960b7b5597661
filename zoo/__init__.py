"""zoo: generative models built from parts that anyone can swap.

    import zoo

    model = zoo.build("avae.yaml")      # the wired model, an nn.Module whose slots are attributes
    zoo.train(model)                    # as its recipe says
    images = model.sample(16)           # (16, C, H, W) in [-1, 1]

    model = zoo.load("runs/avae")       # a trained one

    with zoo.audit() as found:          # any training loop of PyTorch's: who really learns from what
        train()

Importing zoo imports neither torch nor any plugin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    import torch

    from zoo.auditing import audit
    from zoo.engine.losses import TrainableModel
    from zoo.recipe import Overrides, Source
    from zoo.scoring.score import score
    from zoo.training.in_python import evaluate, save, train

__all__ = [
    "audit",
    "build",
    "evaluate",
    "load",
    "save",
    "score",
    "train",
]  # not list, which is Python's in a star import
__version__ = "0.1.0"

P = ParamSpec("P")
T = TypeVar("T")


def _python(function: Callable[P, T]) -> Callable[P, T]:
    """A function whose errors speak of arguments, not of options of the command line."""

    @wraps(function)
    def called(*arguments: P.args, **named: P.kwargs) -> T:
        try:
            return function(*arguments, **named)
        except Exception as error:
            from zoo.errors import ZooError, speak_python

            if isinstance(error, ZooError):
                speak_python(error)
            raise

    return called


@_python
def build(
    recipe: Source, *, overrides: Overrides = (), device: str | torch.device = "cpu", plugins: Sequence[str | Path] = ()
) -> TrainableModel:
    """The model of a recipe: every slot filled, initialised from the recipe's seed, shapes checked.

    Args:
        recipe: a YAML file, a run's directory, the name of a bundled recipe, or a mapping with a recipe's content.
        overrides: ``{"slots.encoder.width": 32}``, or ``["slots.encoder.width=32"]``.
        device: where the networks live; ``"auto"`` takes a GPU if there is one.
        plugins: Python files with plugins of your own.

    Raises:
        zoo.errors.RecipeError: with every problem of the recipe, each with its place.
        zoo.errors.RequestError: if there is no such recipe or device, or it asks for more memory than there is.
    """
    from zoo.check.assembly import assemble
    from zoo.check.probe import probe_model
    from zoo.machine.device import choose_device
    from zoo.runs.provenance import resolved

    files = tuple(map(Path, [plugins] if isinstance(plugins, str | Path) else plugins))
    model = assemble(resolved(recipe, overrides, files)[0], choose_device(str(device)))
    probe_model(model)
    model.plugins = files
    return model


@_python
def load(
    run: str | Path,
    *,
    overrides: Overrides = (),
    weights: str = "",
    device: str | torch.device = "cpu",
    plugins: Sequence[str | Path] = (),
) -> TrainableModel:
    """The model of a run, with its trained weights.

    Warns where a part is installed in another version than the run was built with.

    Args:
        run: the run's directory, such as ``runs/avae``, or ``hf://ORG/NAME`` (``@REVISION``), which is fetched.
        overrides: ``{"evaluate.fid": "fid"}`` and the like; the run's own recipe stays as it is.
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
    from zoo.recipe.weights import HUB
    from zoo.runs.hub import fetched
    from zoo.runs.provenance import other_versions, own_recipe, resolved
    from zoo.runs.weights import load_weights

    folder = fetched(str(run)) if str(run).startswith(HUB) else Path(run)
    files = tuple(map(Path, [plugins] if isinstance(plugins, str | Path) else plugins))
    own_recipe(folder)
    recipe, _ = resolved(folder, overrides, files)
    for sentence in other_versions(folder, recipe):
        warnings.warn(sentence, stacklevel=3)
    model = assemble(recipe, choose_device(str(device)), restored=True)
    model.weights = load_weights(model, folder, weights)
    model.loaded_from, model.plugins = folder.resolve(), files
    return model


@_python
def list(kind: str = "") -> Sequence[Mapping[str, str]]:
    """What is installed: of each part or recipe its ``kind``, ``name``, ``id``, ``package`` and ``summary``.

    Args:
        kind: such as ``"encoder"``, ``"term"``, ``"recipe"``; all of them when empty.
    """
    from zoo.registry import load_registry

    return load_registry().listed(kind)


def __getattr__(name: str) -> Any:
    if name in ("evaluate", "save", "train"):
        from zoo.training import in_python

        return _python(getattr(in_python, name))
    if name == "score":
        from zoo.scoring.score import score

        return _python(score)
    if name == "audit":
        from zoo.auditing import audit

        return audit
    raise AttributeError(f"module 'zoo' has no attribute {name!r}")
