"""Values and a term of models that are given a class, ``label`` (B,).

Shapes: images (B, C, H, W) in [-1, 1], codes (B, K), noise (B, A). Recipes give these values the names that terms ask
for, ``generated: generated_of_class``; ``with: {label: texture}`` makes another label the class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn.functional import cross_entropy

if TYPE_CHECKING:
    from torch import Tensor, nn

    from zoo.api import CriticOutput, Gaussian


def posterior_of_class(encoder: nn.Module, x: Tensor, label: Tensor) -> Gaussian:
    """q(z|x, c), a Gaussian over codes (Sohn et al. 2015, section 4)."""
    return encoder(x, label)


def reconstruction_of_class(decoder: nn.Module, z_posterior: Tensor, label: Tensor) -> Tensor:
    """D(z, c), z ~ q(z|x, c), (B, C, H, W)."""
    return decoder(z_posterior, label)


def decoded_prior_of_class(decoder: nn.Module, z: Tensor, label: Tensor) -> Tensor:
    """D(z, c), z ~ p(z), (B, C, H, W)."""
    return decoder(z, label)


def generated_of_class(generator: nn.Module, z: Tensor, noise: Tensor, label: Tensor) -> Tensor:
    """G(z, z_a, c), z ~ p(z) (Mirza & Osindero 2014, eq. 2), (B, C, H, W)."""
    return generator(z, noise, label)


def critic_x_of_class(critic: nn.Module, x: Tensor, label: Tensor) -> CriticOutput:
    """C(x, c), c the image's own."""
    return critic(x, label)


def critic_generated_of_class(critic: nn.Module, generated: Tensor, label: Tensor) -> CriticOutput:
    """C(G(z, z_a, c), c), c what it was to be."""
    return critic(generated, label)


def class_nll(critic_x: CriticOutput, label: Tensor) -> Tensor:
    """-log p(c|x), of the logits in the critic's tap ``class`` (Odena et al. 2017, eq. 3), in nats, a scalar.

    Args:
        critic_x: the critic at images.
        label: their classes, or those that they were generated of.

    Raises:
        ValueError: if the critic tells no class.
    """
    if "class" not in critic_x.taps:
        raise ValueError(
            "the critic has no tap 'class'; give it one that tells the class: {use: dcgan, label: predicted}"
        )
    return cross_entropy(critic_x.taps["class"], label)
