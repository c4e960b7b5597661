"""Values of models that sample step by step: what is noised, what is guessed of it, and samples, which are loops.

x is data, of any shape; eps is noise, N(0, I) of that shape; time is a number from 0 to 1 for each item. A loop takes
as many steps as its options say, and is computed where a sample is asked for, in no training step.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn

from zoo import api

Field = Callable[[Tensor, Tensor], Tensor]
"""(x_t, time (B,)) -> a guess of x_t's shape."""


# -- flow matching: x_t = (1 - t) eps + t x, from noise at 0 to data at 1 -----------------------------------------


def x_noise(x: Tensor, draw: api.Draw) -> Tensor:
    """eps ~ N(0, I), of the shape of x."""
    return draw.normal(*x.shape)


def flow_time(batch: int, draw: api.Draw, *, shape: Literal["uniform", "logit-normal"] = "uniform") -> Tensor:
    """t from 0 to 1, (B,).

    Args:
        batch: B.
        draw: numbers for each item.
        shape: uniform (Lipman et al. 2023), or the sigmoid of a normal number, which is more often in the middle (Esser
            et al. 2024, section 3.1).
    """
    return draw.uniform(batch) if shape == "uniform" else draw.normal(batch).sigmoid()


def flow_x(x: Tensor, x_noise: Tensor, flow_time: Tensor) -> Tensor:
    """x_t = (1 - t) eps + t x (Liu et al. 2023, eq. 1), of the shape of x."""
    return torch.lerp(x_noise, x, along(flow_time, x))


def flow_velocity(denoiser: nn.Module, flow_x: Tensor, flow_time: Tensor) -> Tensor:
    """v(x_t, t): the guess of x - eps by the slot ``denoiser``, of the shape of x."""
    return denoiser(flow_x, flow_time)


def flow_matching(flow_velocity: Tensor, x: Tensor, x_noise: Tensor) -> Tensor:
    """|v - (x - eps)|^2, summed over all but the batch (Lipman et al. 2023, eq. 14; Liu et al. 2023, eq. 1)."""
    return (flow_velocity - (x - x_noise)).square().sum() / len(x)


def flow_sample(
    denoiser: nn.Module,
    batch: int,
    draw: api.Draw,
    sizes: Any,
    *,
    steps: int = 50,
    method: Literal["euler", "heun"] = "euler",
    of: Literal["x", "code"] = "x",
) -> Tensor:
    """dx/dt = v(x, t) from noise at t = 0 to a sample at t = 1 (Lipman et al. 2023, eq. 1), of that shape.

    Args:
        denoiser: v.
        batch: B.
        draw: noise to begin with.
        sizes: of the recipe.
        steps: of equal length.
        method: Euler's, or Heun's, which asks twice a step and errs less.
        of: what a sample is one of, an item of the data or a code.
    """
    return integrated(denoiser, draw.normal(batch, *shape_of(sizes, of)), steps, method)


# -- of a class, with guidance --------------------------------------------------------------------------------------


def dropped_label(label: Tensor, draw: api.Draw, *, share: float = 0.1) -> Tensor:
    """The class, or -1, none, for a share of the items (Ho & Salimans 2021, algorithm 1), (B,).

    Args:
        label: (B,).
        draw: a number for each item.
        share: of the items whose class is dropped.

    Raises:
        ValueError: a share that is none.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share is from 0 to 1, and not {share:g}")
    return torch.where(draw.uniform(len(label)) < share, -1, label)


def flow_velocity_class(denoiser: nn.Module, flow_x: Tensor, flow_time: Tensor, dropped_label: Tensor) -> Tensor:
    """v(x_t, t, c), the class c dropped at times, of the shape of x."""
    return denoiser(flow_x, flow_time, dropped_label)


def flow_sample_class(
    denoiser: nn.Module,
    batch: int,
    label: Tensor,
    draw: api.Draw,
    sizes: Any,
    *,
    steps: int = 50,
    method: Literal["euler", "heun"] = "euler",
    guidance: float = 2.0,
) -> Tensor:
    """As ``flow_sample``, along v(x, t) + w (v(x, t, c) - v(x, t)) (Ho & Salimans 2021, eq. 6, whose w is w - 1 here).

    Args:
        denoiser: v.
        batch: B.
        label: c, (B,).
        draw: noise to begin with.
        sizes: of the recipe.
        steps: of equal length.
        method: Euler's, or Heun's, which asks twice a step and errs less.
        guidance: w; 1 is the class as it is, 0 no class, and more than 1 makes samples that are more like their class
            and less like each other.
    """
    both = torch.cat([label, torch.full_like(label, -1)])

    def guided(x: Tensor, time: Tensor) -> Tensor:
        of_class, of_none = denoiser(torch.cat([x, x]), torch.cat([time, time]), both).chunk(2)
        return of_none + guidance * (of_class - of_none)

    return integrated(guided, draw.normal(batch, *shape_of(sizes)), steps, method)


# -- diffusion: x_t = sqrt(a_t) x + sqrt(1 - a_t) eps, a_t by the slot 'schedule' ------------------------------------


def diffusion_time(schedule: Any, batch: int, draw: api.Draw) -> Tensor:
    """t / T, t one of the schedule's steps 1 ... T, all as likely (Ho et al. 2020, algorithm 1), (B,)."""
    return ((draw.uniform(batch) * schedule.steps).floor().clamp(max=schedule.steps - 1) + 1) / schedule.steps


def diffused_x(schedule: Any, x: Tensor, x_noise: Tensor, diffusion_time: Tensor) -> Tensor:
    """x_t = sqrt(a_t) x + sqrt(1 - a_t) eps (Ho et al. 2020, eq. 4), of the shape of x."""
    left = along(schedule(diffusion_time), x)
    return left.sqrt() * x + (1 - left).sqrt() * x_noise


def guessed_noise(denoiser: nn.Module, diffused_x: Tensor, diffusion_time: Tensor) -> Tensor:
    """eps_hat(x_t, t), by the slot ``denoiser``, of the shape of x."""
    return denoiser(diffused_x, diffusion_time)


def denoising(guessed_noise: Tensor, x_noise: Tensor) -> Tensor:
    """|eps - eps_hat|^2, summed over all but the batch (Ho et al. 2020, eq. 14)."""
    return (guessed_noise - x_noise).square().sum() / len(x_noise)


def ddim_sample(
    denoiser: nn.Module,
    schedule: Any,
    batch: int,
    draw: api.Draw,
    sizes: Any,
    *,
    steps: int = 50,
    eta: float = 0.0,
    clip: float = 1.0,
) -> Tensor:
    """x_T ~ N(0, I), then down through ``steps`` of the schedule's (Song et al. 2021, eq. 12 and 16), of x's shape:

        x_hat = (x_t - sqrt(1 - a_t) eps_hat) / sqrt(a_t)
        x_s = sqrt(a_s) x_hat + sqrt(1 - a_s - sigma^2) eps_hat + sigma eps

    Args:
        denoiser: eps_hat.
        schedule: a.
        batch: B.
        draw: noise.
        sizes: of the recipe.
        steps: how many, spread evenly over the schedule.
        eta: sigma as a share of DDPM's: 0 draws nothing after the first (DDIM); 1, with as many steps as the schedule
            has, is the ancestral sampling of DDPM, of its smaller variance.
        clip: the largest number of x_hat, as images in [-1, 1] have it; 0 for any.

    Raises:
        ValueError: more steps than the schedule has, or none.
    """
    if not 1 <= steps <= schedule.steps:
        raise ValueError(f"steps {steps}: choose 1 to {schedule.steps}, which the schedule has")
    x = draw.normal(batch, *shape_of(sizes))
    stops = [round(schedule.steps * n / steps) / schedule.steps for n in range(steps, -1, -1)]
    for now, then in pairwise(stops):
        time = x.new_full((batch,), now)
        left, next_left = (along(schedule(torch.full_like(time, t)), x) for t in (now, then))
        guess = denoiser(x, time)
        clean = (x - (1 - left).sqrt() * guess) / left.sqrt()
        if clip:
            clean = clean.clamp(-clip, clip)
            guess = (x - left.sqrt() * clean) / (1 - left).sqrt()
        sigma = eta * ((1 - next_left) / (1 - left) * (1 - left / next_left)).sqrt()
        x = next_left.sqrt() * clean + (1 - next_left - sigma.square()).clamp_min(0).sqrt() * guess
        if eta:
            x = x + sigma * draw.normal(batch, *shape_of(sizes))
    return x


# -- a decoder that paints step by step -------------------------------------------------------------------------------


def flow_velocity_code(decoder: nn.Module, flow_x: Tensor, flow_time: Tensor, z_posterior: Tensor) -> Tensor:
    """v(x_t, t, z), z ~ q(z|x): the decoder's guess of x - eps, of the shape of x."""
    return decoder(flow_x, flow_time, z_posterior)


def flow_decoded(
    decoder: nn.Module,
    z: Tensor,
    draw: api.Draw,
    sizes: Any,
    *,
    steps: int = 50,
    method: Literal["euler", "heun"] = "euler",
) -> Tensor:
    """dx/dt = v(x, t, z) from noise to an image of the code z (Preechakul et al. 2022, section 3), of the shape of x.

    Args:
        decoder: v.
        z: codes.
        draw: noise to begin with.
        sizes: of the recipe.
        steps: of equal length.
        method: Euler's, or Heun's, which asks twice a step and errs less.
    """
    noise = draw.normal(z.shape[0], *shape_of(sizes))
    return integrated(lambda x, time: decoder(x, time, z), noise, steps, method)


# -- what they share --------------------------------------------------------------------------------------------------


def integrated(field: Field, x: Tensor, steps: int, method: str) -> Tensor:
    """x at time 1 of dx/dt = field(x, t), x at time 0 given.

    Raises:
        ValueError: no step.
    """
    if steps < 1:
        raise ValueError(f"steps {steps} is none: choose 1 or more")
    for n in range(steps):
        now, then = (x.new_full((x.shape[0],), m / steps) for m in (n, n + 1))
        slope = field(x, now)
        if method == "heun" and n + 1 < steps:
            slope = (slope + field(x + slope / steps, then)) / 2
        x = x + slope / steps
    return x


def along(numbers: Tensor, like: Tensor) -> Tensor:
    """A number for each item, (B,) -> (B, 1, ...), to go with items (B, ...)."""
    return numbers.view(-1, *[1] * (like.ndim - 1))


def shape_of(sizes: Any, of: str = "x") -> tuple[int, ...]:
    """The shape of an item of the data, which is the first of their fields, or of a code."""
    return sizes.code if of == "code" else next(iter(sizes.fields.values())).shape
