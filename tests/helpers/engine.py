"""Builders that the tests of the engine share; their models know the toy parts of ``engine_toys``.

Nets of width 4, images (4, 3, 16, 16), K = 5, A = 3, everything in float64 unless said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import zoo
from zoo.check.assembly import made
from zoo.data.batches import Batches
from zoo.engine.engine import Engine
from zoo.model.model import Model
from zoo.recipe import Recipe, load_recipe
from zoo.recipe.data_fields import DataField

TOYS = Path(__file__).parents[1] / "parts" / "engine_toys.py"
SLOTS = {
    "vae": ("encoder", "decoder"),
    "gan": ("generator", "critic"),
    "vaegan": ("encoder", "decoder", "critic"),
    "bigan": ("encoder", "generator", "critic"),
    "avae": ("encoder", "decoder", "generator", "critic"),
}
"""The slots with parameters of each bundled recipe."""

UNTUNED = (
    "train.optimizer={use: adam, lr: 2.0e-4, betas: [0.5, 0.999], rate: 1.0}",
    "train.ema=0.0",
    "train.precision=float32",
)
"""Bundled recipes are tuned now and then; what tests rely on is said here."""

_recipes: dict[str, Recipe] = {}

BATCH, CHANNELS, SIZE, LATENT, NOISE = 4, 3, 16, 5, 3


# -- models ------------------------------------------------------------------------------------------------


def small(
    name: str,
    *overrides: str,
    phases: Sequence[Any] = (),
    dtype: torch.dtype = torch.float64,
    plugins: Sequence[Path] = (),
) -> Model:
    """A bundled recipe with tiny networks, and other phases where they are given.

    A recipe is read and probed once, which takes longer than some steps.
    """
    widths = [f"slots.{slot}.width=4" for slot in SLOTS[name]]
    noise = [f"noise={NOISE}", "slots.encoder.norm=batch"] if name == "avae" else []
    sizes = [f"data.size={SIZE}", f"latent={LATENT}", f"train.batch={BATCH}", "evaluate=[]", *noise]
    overrides = (*UNTUNED, *overrides)
    source: dict[str, Any] = {"extends": name, **({"phases": list(phases)} if phases else {})}
    files, key = (TOYS, *plugins), repr((name, overrides, phases, plugins))
    if key not in _recipes:
        _recipes[key] = zoo.build(source, overrides=[*sizes, *widths, *overrides], plugins=files).recipe
    model = made(_recipes[key], "cpu")
    model.plugins = files
    return model.to(dtype)


def in_turn(name: str) -> list[dict[str, Any]]:
    """The rows of a bundled recipe, each in a phase of its own."""
    rows = [row for phase in load_recipe(name).phases for row in phase.rows]
    return [{row.label: {term.label: term.plain() for term in row.terms}} for row in rows]


def images(turn: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """A batch for each turn, in [-1, 1]."""
    generator = torch.Generator().manual_seed(1000 + turn)
    return torch.rand(BATCH, CHANNELS, SIZE, SIZE, generator=generator, dtype=torch.float64).to(dtype) * 2 - 1


def pixels(n: int = 24) -> Tensor:
    """A training set, uint8 (N, C, H, W)."""
    return torch.randint(256, (n, CHANNELS, SIZE, SIZE), generator=torch.Generator().manual_seed(7)).to(torch.uint8)


def played(model: Model, steps: int = 1) -> Engine:
    """An engine that has taken some steps."""
    engine = Engine(model)
    for _ in range(steps):
        engine.step(lambda turn: images(turn, model.dtype))
    return engine


# -- looking at a model ------------------------------------------------------------------------------------


def snapshot(module: nn.Module) -> dict[str, Tensor]:
    """A copy of every parameter and buffer."""
    return {key: tensor.detach().clone() for key, tensor in module.state_dict().items()}


def differing(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> list[str]:
    """The tensors that are not bit for bit the same."""
    assert a.keys() == b.keys()
    return [key for key in a if not torch.equal(a[key], b[key])]


def slots_of(keys: Sequence[str]) -> set[str]:
    """The slots that some tensors belong to."""
    return {key.split(".", 1)[0] for key in keys}


def assert_close(a: Mapping[str, Tensor], b: Mapping[str, Tensor], tolerance: float = 1e-9) -> None:
    """Every tensor within ``tolerance`` of its namesake."""
    assert a.keys() == b.keys()
    far = {key: float((a[key] - b[key]).abs().max()) for key in a if a[key].numel()}
    assert max(far.values()) <= tolerance, max(far.items(), key=lambda item: item[1])


@contextmanager
def counted(model: Model, *slots: str) -> Iterator[dict[str, int]]:
    """How often each slot is called inside."""
    calls = dict.fromkeys(slots, 0)

    def count(slot: str) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            calls[slot] += 1

        return hook

    handles = [getattr(model, slot).register_forward_hook(count(slot)) for slot in slots]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def in_batches(pixels: Tensor, batch: int, seed: int = 0, **more: Any) -> Batches:
    """Images uint8 (N, C, H, W), the only field of their data, in batches."""
    x = DataField("x", "image", tuple(pixels.shape[1:]), 0, (), None, "", "x")
    return Batches({"x": pixels}, {"x": x}, batch, seed, **more)
