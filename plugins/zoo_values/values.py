"""Values: each function computes one from the slots and values its parameters name.

Shapes: images (B, C, H, W) in [-1, 1], codes (B, K), noise (B, A).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

    from zoo.api import CriticOutput, Draw, Gaussian, Prior


def posterior(encoder: nn.Module, x: Tensor) -> Gaussian:
    """q(z|x), a Gaussian over codes (Kingma & Welling 2014)."""
    return encoder(x)


def z_posterior(posterior: Gaussian, draw: Draw) -> Tensor:
    """z = mu + sigma eps, eps ~ N(0, I) (Kingma & Welling 2014, eq. 4), (B, K)."""
    return posterior.sample(draw)


def posterior_mean(posterior: Gaussian) -> Tensor:
    """mu(x), the code of a deterministic encoder (Donahue et al. 2016), (B, K)."""
    return posterior.mean


def reconstruction(decoder: nn.Module, z_posterior: Tensor) -> Tensor:
    """D(z), z ~ q(z|x), (B, C, H, W)."""
    return decoder(z_posterior)


def z(prior: Prior, batch: int, draw: Draw) -> Tensor:
    """z ~ p(z), (B, K)."""
    return prior.sample(batch, draw)


def mapped(mapping: nn.Module, z: Tensor) -> Tensor:
    """w = F(z), z ~ p(z), a code through the slot ``mapping`` (Karras et al. 2019), (B, K)."""
    return mapping(z)


def noise(batch: int, draw: Draw, sizes: Any) -> Tensor:
    """z_a ~ N(0, I): all of an image that its code does not tell (Plumerault et al. 2020), (B, A)."""
    return draw.normal(batch, sizes.noise)


def generated(generator: nn.Module, z: Tensor, noise: Tensor) -> Tensor:
    """G(z, z_a), z ~ p(z), (B, C, H, W)."""
    return generator(z, noise)


def generated_from_posterior(generator: nn.Module, z_posterior: Tensor, noise: Tensor) -> Tensor:
    """G(z, z_a), z ~ q(z|x): AVAE's reconstruction (Plumerault et al. 2020), (B, C, H, W)."""
    return generator(z_posterior, noise)


def decoded_prior(decoder: nn.Module, z: Tensor) -> Tensor:
    """D(z), z ~ p(z): a VAE's sample, and VAE/GAN's generator, (B, C, H, W)."""
    return decoder(z)


def posterior_generated(encoder: nn.Module, generated: Tensor) -> Gaussian:
    """q(z|G(z, z_a)): the encoder's reading of a generated image."""
    return encoder(generated)


def scaled(scale: nn.Module, x: Tensor) -> Tensor:
    """(x - m) / s: codes x with the mean and deviation that a first stage kept in its slot ``scale``."""
    return scale(x)


def unscaled(scale: Any, decoded_prior: Tensor) -> Tensor:
    """s D(z) + m, z ~ p(z): what ``scaled`` undone makes of a second stage's sample."""
    return scale.undo(decoded_prior)


def first_sample(first_decoder: nn.Module, decoded_prior: Tensor) -> Tensor:
    """D_1(D(z)), z ~ p(z): the sample of a second stage, decoded by the first."""
    return first_decoder(decoded_prior)


def first_reconstruction(first_decoder: nn.Module, reconstruction: Tensor) -> Tensor:
    """D_1(D(z)), z ~ q(z|x): codes x through the second stage, decoded by the first."""
    return first_decoder(reconstruction)


def critic_x(critic: nn.Module, x: Tensor) -> CriticOutput:
    """C(x)."""
    return critic(x)


def critic_generated(critic: nn.Module, generated: Tensor) -> CriticOutput:
    """C(G(z, z_a))."""
    return critic(generated)


def critic_reconstruction(critic: nn.Module, reconstruction: Tensor) -> CriticOutput:
    """C(D(z)), z ~ q(z|x)."""
    return critic(reconstruction)


def critic_generated_from_posterior(critic: nn.Module, generated_from_posterior: Tensor) -> CriticOutput:
    """C(G(z, z_a)), z ~ q(z|x)."""
    return critic(generated_from_posterior)
