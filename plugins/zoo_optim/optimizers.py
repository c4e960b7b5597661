"""Optimisers: functions of a player's parameters."""

from __future__ import annotations

import torch
from torch import nn

from zoo import api


def adam(
    parameters: list[nn.Parameter],
    *,
    lr: float = 2e-4,
    betas: tuple[api.Scheduled, api.Scheduled] = (0.5, 0.999),
    eps: float = 1e-8,
) -> torch.optim.Optimizer:
    """Adam (Kingma & Ba 2015); the default rate and betas are DCGAN's (Radford et al. 2016).

    Args:
        parameters: what it moves.
        lr: learning rate.
        betas: decay of the first and second moments.
        eps: added to the denominator.
    """
    return torch.optim.Adam(parameters, lr=lr, betas=betas, eps=eps, fused=True)


def adamw(
    parameters: list[nn.Parameter],
    *,
    lr: float = 2e-4,
    betas: tuple[api.Scheduled, api.Scheduled] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: api.Scheduled = 0.01,
) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter 2019).

    Args:
        parameters: what it moves.
        lr: learning rate.
        betas: decay of the first and second moments.
        eps: added to the denominator.
        weight_decay: decoupled from the gradient.
    """
    return torch.optim.AdamW(parameters, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, fused=True)


def sgd(
    parameters: list[nn.Parameter],
    *,
    lr: float = 0.01,
    momentum: api.Scheduled = 0.0,
    weight_decay: api.Scheduled = 0.0,
    nesterov: bool = False,
) -> torch.optim.Optimizer:
    """Stochastic gradient descent, with momentum (Sutskever et al. 2013).

    Args:
        parameters: what it moves.
        lr: learning rate.
        momentum: share of the step before.
        weight_decay: added to the gradient.
        nesterov: whether the momentum looks ahead.
    """
    return torch.optim.SGD(
        parameters, lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov, fused=True
    )


def rmsprop(
    parameters: list[nn.Parameter], *, lr: float = 3e-4, alpha: api.Scheduled = 0.9, eps: float = 1e-8
) -> torch.optim.Optimizer:
    """RMSprop (Tieleman & Hinton 2012); the default rate is VAE/GAN's (Larsen et al. 2016).

    Args:
        parameters: what it moves.
        lr: learning rate.
        alpha: decay of the second moment.
        eps: added to the denominator.
    """
    return torch.optim.RMSprop(parameters, lr=lr, alpha=alpha, eps=eps)
