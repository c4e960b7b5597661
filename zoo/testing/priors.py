"""Checks of priors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoo.draws import Draw
from zoo.recipe.schema import Sizes
from zoo.testing.arrays import CPU, devices, equal, finite, sides, tensors, total
from zoo.testing.building import BATCHES, Network
from zoo.testing.common import untouched
from zoo.testing.core import Body, Case, require
from zoo.testing.networks import refuse_left_behind
from zoo.testing.saving import STATE


class Prior(Network):
    """A prior that is built anew for every look at it."""

    def look(self, module: Any) -> Tensor:
        """Three codes."""
        return self.sample(module, 3)

    def sample(
        self, module: Any, batch: int, key: int = 0, device: torch.device = CPU, dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """Codes of a stream of random numbers."""
        return module.sample(batch, Draw("prior", key, device=device, dtype=dtype))  # type: ignore[no-any-return]


def shapes(prior: Prior) -> None:
    """``sample(batch, draw)`` gives finite (batch, latent), for two latents and two batch sizes."""
    for sizes in prior.settings:
        for batch in BATCHES:
            given = prior.sample(prior.build(sizes), batch)
            promised = f"where {batch} x {sizes.latent} is promised"
            fits = isinstance(given, Tensor) and tuple(given.shape) == (batch, sizes.latent)
            what = sides(given.shape) if isinstance(given, Tensor) else type(given).__name__
            require(fits, f"{prior} gives {what} for {batch} codes of {sizes.latent}, {promised}")
            require(finite(given), f"{prior} gives codes that are not finite")


def log_prob(prior: Prior) -> None:
    """Where there is a ``log_prob(z)``, it gives finite (batch,) and a gradient to the codes."""
    sizes: Sizes = prior.settings[0]
    built: Any = prior.fresh()
    if not hasattr(built, "log_prob"):
        return
    codes = prior.sample(built, 3).detach().requires_grad_()
    given = built.log_prob(codes)
    what = f"log_prob() of {prior} gives {sides(given.shape)} for 3 codes of {sizes.latent}"
    require(given.shape == (3,) and finite(given), f"{what}; one finite number for each is promised")
    require(given.requires_grad, f"log_prob() of {prior} passes no gradient on to the codes; is there a detach()?")


def determinism(prior: Prior) -> None:
    """Equal random numbers give equal codes, others others, and two priors built under one seed are equal."""
    first, second = prior.fresh(3), prior.fresh(3)
    same = equal(prior.sample(first, 5), prior.sample(second, 5))
    require(same, f"{prior} gives other codes for the same 'draw'; take every random number from it")
    require(
        not equal(prior.sample(first, 5), prior.sample(first, 5, key=1)),
        f"{prior} gives the same codes whatever 'draw' says; take its random numbers from it",
    )


def dtype(prior: Prior) -> None:
    """Codes are of the type that ``draw`` and the prior have: float32, float64."""
    for kind in (torch.float32, torch.float64):
        given = prior.sample(prior.fresh().to(kind), 3, dtype=kind)
        require(given.dtype is kind, f"{prior} gives {given.dtype} where 'draw' gives {kind}; keep its type")


def device_move(prior: Prior) -> None:
    """Codes are where the prior is: on meta, and on a GPU if there is one."""
    refuse_left_behind(prior, prior.fresh())
    for device in devices():
        try:
            given = prior.sample(prior.fresh().to(device), 3, device=device)
        except NotImplementedError:
            if device.type == "meta":
                continue  # it looks at numbers: zoo then checks recipes on the CPU
            raise
        away = {str(t.device) for t in tensors(given) if t.device.type != device.type}
        require(not away, f"{prior} gives codes on {' and '.join(away)} when it is on {device}; use register_buffer()")


def gradients(prior: Prior) -> None:
    """Autograd connects its codes with every parameter that can learn."""
    built = prior.fresh()
    learners = {name: p for name, p in built.named_parameters() if p.requires_grad}
    if not learners:
        return
    objective = total(prior.sample(built, 4))
    found: Any = [None] * len(learners)
    if objective.requires_grad:
        found = torch.autograd.grad(objective, list(learners.values()), allow_unused=True)
    missed = [name for name, gradient in zip(learners, found, strict=True) if gradient is None]
    require(not missed, f"{prior} has parameters that its codes do not depend on: {', '.join(missed)}; freeze them")


def no_global_side_effect(prior: Prior) -> None:
    """Neither making it nor sampling changes what belongs to the whole process."""
    with untouched(prior.case, "it is made"):
        built = prior.fresh()
    with untouched(prior.case, "it samples"):
        prior.look(built)


BATTERY: tuple[Body, ...] = (
    shapes,
    log_prob,
    determinism,
    dtype,
    device_move,
    gradients,
    *STATE,
    no_global_side_effect,
)


def battery(_: Case) -> tuple[Body, ...]:
    """The checks of a prior."""
    return BATTERY
