"""Values and terms of models whose critic judges pairs (image, code): BiGAN and ALI."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import softplus

from zoo import api


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
