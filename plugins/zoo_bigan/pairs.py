"""Values and terms of models whose critic judges pairs (image, code): BiGAN, ALI and their heirs."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from zoo import api

SCORES = ("s_x", "s_z", "s_xz")
"""What BigBiGAN's critic gives of a pair: for the image, the code, both."""


def critic_pair_x(critic: nn.Module, x: Tensor, z_posterior: Tensor) -> api.CriticOutput:
    """C(x, E(x)): the encoder's pair."""
    return critic(x, z_posterior)


def critic_pair_generated(critic: nn.Module, generated: Tensor, z: Tensor) -> api.CriticOutput:
    """C(G(z), z): the generator's pair."""
    return critic(generated, z)


def pairs(critic_pair_x: api.CriticOutput, critic_pair_generated: api.CriticOutput) -> Tensor:
    """sp(-C(x, E(x))) + sp(C(G(z), z)) (Donahue et al. 2016, eq. 2): the encoder's pairs count as real."""
    return softplus(-critic_pair_x.logit).mean() + softplus(critic_pair_generated.logit).mean()


def pairs_swapped(critic_pair_x: api.CriticOutput, critic_pair_generated: api.CriticOutput) -> Tensor:
    """sp(C(x, E(x))) + sp(-C(G(z), z)): both labels flipped, both terms kept, else E never learns."""
    return softplus(critic_pair_x.logit).mean() + softplus(-critic_pair_generated.logit).mean()


def hinge_scores(critic_pair_x: api.CriticOutput, critic_pair_generated: api.CriticOutput) -> Tensor:
    """sum over s_x, s_z, s_xz of max(0, 1 - s(x, E(x))) + max(0, 1 + s(G(z), z)) (Donahue & Simonyan 2019, eq. 4).

    Args:
        critic_pair_x: with taps ``s_x``, ``s_z`` and ``s_xz``, as of the critic ``dcgan-scores``.
        critic_pair_generated: the same at the generator's pairs.

    Raises:
        ValueError: if the critic has no such taps.
    """
    if missing := [name for name in SCORES if name not in critic_pair_x.taps]:
        raise ValueError(f"the critic has no tap '{missing[0]}'; the critic 'dcgan-scores' has")
    real, fake = ([one.taps[name] for name in SCORES] for one in (critic_pair_x, critic_pair_generated))
    return sum(relu(1 - score).mean() for score in real) + sum(relu(1 + score).mean() for score in fake)
