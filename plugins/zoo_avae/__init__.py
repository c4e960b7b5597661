"""AVAE, the Adversarial Variational Auto-Encoder (Plumerault et al., ICPR 2020): recipes, and the paper's networks."""

from collections.abc import Sequence

from zoo import api


def _network(kind: str, target: str, summary: str, contract: str, name: str = "avae-paper") -> api.Component:
    return api.Component(kind, name, f"zoo_avae.networks:{target}", summary, contract, double_backward=kind == "critic")


@api.hookimpl
def zoo_components() -> Sequence[api.Component]:
    """The networks of the paper, which its comparison gives to every model."""
    return (
        _network("encoder", "Encoder", "the AVAE paper's encoder, one sigma for every image", "B C H W -> B latent"),
        _network("decoder", "Decoder", "the AVAE paper's decoder", "B latent -> B C H W"),
        _network("generator", "Generator", "the AVAE paper's generator", "B latent, B noise -> B C H W"),
        _network("critic", "Critic", "the AVAE paper's critic, with batch norm", "B C H W -> B"),
        _network(
            "critic",
            "JointCritic",
            "the AVAE paper's critic with a z-trunk, for pairs",
            "B C H W, B latent -> B",
            name="avae-paper-joint",
        ),
        api.Component(
            "term",
            "coarse_reconstruction",
            "zoo_avae.terms:coarse_reconstruction",
            "squared error of cell means of images generated from their own codes (avae-plus)",
        ),
    )


@api.hookimpl
def zoo_recipes() -> Sequence[api.Recipe]:
    """The default, the review's telling of it, ours, and the published one."""
    return (
        api.Recipe(
            "avae",
            "zoo_avae:avae.yaml",
            "AVAE (Plumerault et al. 2020): a VAE's codes, a GAN's texture",
            family="hybrid",
        ),
        api.Recipe(
            "avae-joint",
            "zoo_avae:avae-joint.yaml",
            "AVAE whose generator's loss shapes the encoder too",
            family="hybrid",
        ),
        api.Recipe(
            "avae-plus",
            "zoo_avae:avae-plus.yaml",
            "ours: AVAE whose generator is trained to reconstruct too",
            family="hybrid",
        ),
        api.Recipe(
            "avae-two-critics",
            "zoo_avae:avae-two-critics.yaml",
            "ours: AVAE whose codes are held to the prior by a critic",
            family="hybrid",
        ),
        api.Recipe(
            "avae-paper", "zoo_avae:avae-paper.yaml", "AVAE as published, every quirk an option", family="hybrid"
        ),
        api.Recipe("paper-table", "zoo_avae:paper-table.yaml", "the AVAE paper's table, as published", table=True),
        api.Recipe("shelf", "zoo_avae:shelf.yaml", "every system that learns images of no class", table=True),
    )
