"""Values of translation: from images y to images x of pairs, and between the domains of x and of y without pairs.

Shapes: images (B, C, H, W) in [-1, 1]. Slots: the critic of domain x is ``x_critic``, and what makes images of it
``x_generator``. A slot has the sizes of ``x``; a critic of pairs is told how many channels it sees,
``critic: {use: patch, of: {channels: 6}}``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

    from zoo.api import CriticOutput, Draw


def dropped(generator: Any, batch: int, draw: Draw) -> Tensor:
    """0 or 2, for each feature that a ``unet`` loses by chance: its noise (Isola et al. 2017, section 3.2), (B, N)."""
    u = draw.uniform(batch, generator.numbers)
    return 2 * (u >= 0.5).to(u.dtype)


def translated(generator: nn.Module, y: Tensor, dropped: Tensor) -> Tensor:
    """G(y, u), an image of the kind of x (Isola et al. 2017, section 3.1)."""
    return generator(y, dropped)


def critic_pair_y(critic: nn.Module, x: Tensor, y: Tensor) -> CriticOutput:
    """C(x, y), the channels of a pair one after the other."""
    return critic(torch.cat([x, y], 1))


def critic_pair_translated(critic: nn.Module, translated: Tensor, y: Tensor) -> CriticOutput:
    """C(G(y), y)."""
    return critic(torch.cat([translated, y], 1))


def y_of_x(y_generator: nn.Module, x: Tensor) -> Tensor:
    """G(x), of the domain of y (Zhu et al. 2017, section 3)."""
    return y_generator(x)


def x_of_y(x_generator: nn.Module, y: Tensor) -> Tensor:
    """F(y), of the domain of x."""
    return x_generator(y)


def x_again(x_generator: nn.Module, y_of_x: Tensor) -> Tensor:
    """F(G(x)), which is to be x (Zhu et al. 2017, eq. 2)."""
    return x_generator(y_of_x)


def y_again(y_generator: nn.Module, x_of_y: Tensor) -> Tensor:
    """G(F(y)), which is to be y."""
    return y_generator(x_of_y)


def x_kept(x_generator: nn.Module, x: Tensor) -> Tensor:
    """F(x), which is to be x (Taigman et al. 2017; Zhu et al. 2017, section 5.2)."""
    return x_generator(x)


def y_kept(y_generator: nn.Module, y: Tensor) -> Tensor:
    """G(y), which is to be y."""
    return y_generator(y)


def x_judged(x_critic: nn.Module, x: Tensor) -> CriticOutput:
    """C_x(x)."""
    return x_critic(x)


def y_judged(y_critic: nn.Module, y: Tensor) -> CriticOutput:
    """C_y(y)."""
    return y_critic(y)


def x_of_y_judged(x_critic: nn.Module, x_of_y: Tensor) -> CriticOutput:
    """C_x(F(y))."""
    return x_critic(x_of_y)


def y_of_x_judged(y_critic: nn.Module, y_of_x: Tensor) -> CriticOutput:
    """C_y(G(x))."""
    return y_critic(y_of_x)
