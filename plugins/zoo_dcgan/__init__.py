"""DCGAN-like convolutional networks (Radford 2016): a small encoder, decoder, generator and critics."""

from __future__ import annotations

from zoo import api


@api.hookimpl
def zoo_components() -> tuple[api.Component, ...]:
    """The five networks of this package."""
    return (
        api.Component(
            kind="encoder",
            name="dcgan",
            target="zoo_dcgan.networks:Encoder",
            summary="strided convolutions to a diagonal Gaussian (Radford 2016)",
            contract="B C H W -> B latent",
        ),
        api.Component(
            kind="decoder",
            name="dcgan",
            target="zoo_dcgan.networks:Decoder",
            summary="a code to an image: dense, then resize or transposed convolutions (Radford, Odena 2016)",
            contract="B latent -> B C H W",
        ),
        api.Component(
            kind="generator",
            name="dcgan",
            target="zoo_dcgan.networks:Generator",
            summary="a code and noise to an image, with the decoder's layers (Radford, Odena 2016)",
            contract="B latent, B noise -> B C H W",
        ),
        api.Component(
            kind="critic",
            name="dcgan",
            target="zoo_dcgan.networks:Critic",
            summary="strided convolutions to one logit, spectral norm by default (Radford 2016, Miyato 2018)",
            contract="B C H W -> B",
            double_backward=True,
        ),
        api.Component(
            kind="critic",
            name="dcgan-joint",
            target="zoo_dcgan.networks:JointCritic",
            summary="one logit for a pair of image and code (BiGAN, Donahue 2016)",
            contract="B C H W, B latent -> B",
            double_backward=True,
        ),
    )
