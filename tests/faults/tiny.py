"""Bundled recipes made tiny: nets of width 4, images of 16 pixels, 32 where the networks ask for it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from zoo.recipe import Recipe, load_recipe
from zoo.recipe.schema import Part
from zoo.registry import load_registry

STEPS = 2
SETTINGS = ("evaluate=[]", "watch=[]")
MOVED = "augment=[flip, {crop: {padding: 1}}]"
"""What images go through."""
TRAIN = ("train.batch=4", f"train.steps={STEPS}", "train.log_every=1", "train.ema=0.9")


PUBLISHED = {"kl-f4", "kl-f8", "kl-f16", "vqgan", "llamagen-vq", "fsq", "lfq", "rae", "rvq"}
"""Judged by LPIPS, whose weights come in no package; their ``-mini`` is tried, which differs in sizes and judge."""
BEGUN = {"finetune-decoder", "sharp"}
"""What begins with an autoencoder that is there: ``tests/plugins/test_diffusers.py`` has both."""
CONFIG = "{block_out_channels: [4, 4, 4, 8], layers_per_block: 1, latent_channels: 3, norm_num_groups: 2}"
SMALL = {
    "flow-prior": ["slots.denoiser.of={channels: 4, size: 4, height: 4, width: 4}"],
    "kl-3d": ["data.side=8"],
    "dc-ae-lite": ["slots.encoder.factor=4", *(f"slots.{s}.multipliers=[1, 1, 1]" for s in ("encoder", "decoder"))],
    "vq-vae-2": ["data.size=32", "slots.quantiser.entries=8", "slots.top_quantiser.entries=8"],
    "codec": ["data.length=1024", "slots.quantiser.entries=8"],
    "projected-gan": ["slots.critic.model=test_resnet", "slots.critic.pretrained=false"],
    "kl-f8-mini": [f"slots.{slot}.config={CONFIG}" for slot in ("encoder", "decoder")],
    "ladder-vae": ["slots.mid_from_top.of.features=5"],
    "vampprior": ["slots.pseudo_inputs.count=6"],
    "vqgan-mini": ["slots.quantiser.entries=8"],
    "rvq-mini": ["slots.quantiser.entries=8"],
}
"""What else makes a recipe tiny."""


@cache
def bundled() -> tuple[str, ...]:
    """The names of all bundled recipes that can be tiny."""
    return tuple(sorted({recipe.name for recipe in load_registry().recipes()} - PUBLISHED - BEGUN))


@cache
def settings(name: str) -> tuple[str, ...]:
    """Overrides that make a recipe tiny."""
    recipe = load_recipe(name)
    widths = [f"slots.{slot}.width=4" for slot, part in recipe.slots.items() if "width" in part.options]
    widths += [*flat(recipe), *SMALL.get(name, [])]
    noise = ["noise=3"] if recipe.sizes.noise else []
    noise += ["latent=5"] if isinstance(recipe.latent, int) else []
    sizes = {"channels": 3, "size": 32 if name.endswith("-paper") else 16}
    sets = placed(recipe).items()
    data = [f"{place}.{key}={value}" for place, part in sets for key, value in sizes.items() if key in part.options]
    moved = [MOVED] if recipe.x.kind == "image" else []
    return (*SETTINGS, *moved, *TRAIN, *data, *noise, *widths)


def flat(recipe: Recipe) -> Iterator[str]:
    """Levels as wide as each other and of one block; one level in a network that may have any number."""
    for label, part in recipe.slots.items():
        if "multipliers" in part.options:
            levels = 1 if "patch" in part.options else len(part.options["multipliers"])
            yield f"slots.{label}.multipliers={[1] * levels}"
        if "blocks" in part.options:
            yield f"slots.{label}.blocks=1"


def placed(recipe: Recipe) -> dict[str, Part]:
    """Where a recipe writes its sets of data -> each of them."""
    return {f"data.{key}".rstrip("."): part for key, part in recipe.sets.items()}


def in_turn(recipe: Recipe) -> list[Any]:
    """The rows of a recipe, each in a phase of its own."""
    rows = [row for phase in recipe.phases for row in phase.rows]
    return [{row.label: {term.label: term.plain() for term in row.terms}} for row in rows]


def tiny(name: str, *overrides: str, turns: bool = False) -> Recipe:
    """A bundled recipe, tiny, its rows in turn if asked."""
    source = {"extends": name, **({"phases": in_turn(load_recipe(name))} if turns else {})}
    return load_recipe(source, [*settings(name), *overrides])
