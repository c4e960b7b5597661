"""DCGAN-like convolutional networks (Radford 2016): a small encoder, decoder, generator and critics."""

from __future__ import annotations

from zoo import api

NETWORKS = {
    "encoder": "strided convolutions to a diagonal Gaussian (Radford 2016)",
    "decoder": "a code to an image: dense, then resize or transposed convolutions (Radford, Odena 2016)",
    "generator": "a code and noise to an image, with the decoder's layers (Radford, Odena 2016)",
    "critic": "strided convolutions to one logit, spectral norm by default (Radford 2016, Miyato 2018)",
}
LABELS = {
    "encoder": {"input": "Encoder"},
    "decoder": {"input": "Decoder"},
    "generator": {"input": "Generator", "norm": "NormGenerator"},
    "critic": {"input": "Critic", "projection": "ProjectionCritic", "predicted": "ClassifyingCritic"},
}
"""Of each kind, where a class may come in, and the network in ``classes`` that takes it there."""


def _network(kind: str) -> api.Component:
    """A network without a class, and those with one, which its option ``label`` chooses."""
    plain = f"zoo_dcgan.networks:{kind.title()}"
    classed = {label: f"zoo_dcgan.classes:{name}" for label, name in LABELS[kind].items()}
    return api.Component(
        kind=kind,
        name="dcgan",
        target=plain,
        summary=NETWORKS[kind],
        contract=f"zoo_dcgan.shapes:{kind}",
        double_backward=kind == "critic",
        by="label",
        variants={"none": plain, **classed},
    )


@api.hookimpl
def zoo_components() -> tuple[api.Component, ...]:
    """The networks of this package."""
    return (
        *map(_network, NETWORKS),
        api.Component(
            kind="critic",
            name="dcgan-joint",
            target="zoo_dcgan.networks:JointCritic",
            summary="one logit for a pair of image and code (BiGAN, Donahue 2016)",
            contract="B C H W, B latent -> B",
            double_backward=True,
        ),
        api.Component(
            kind="critic",
            name="dcgan-scores",
            target="zoo_dcgan.networks:ScoresCritic",
            summary="a logit each for an image, a code and the pair (BigBiGAN, Donahue 2019)",
            contract="B C H W, B latent -> B",
            double_backward=True,
        ),
    )
