"""AVAE, the Adversarial Variational Auto-Encoder (Plumerault et al., ICPR 2020): a recipe of shared parts."""

from collections.abc import Sequence

from zoo import api


@api.hookimpl
def zoo_recipes() -> Sequence[api.Recipe]:
    """The recipe."""
    return (api.Recipe("avae", "zoo_avae:avae.yaml", "AVAE (Plumerault et al. 2020): a VAE's codes, a GAN's texture"),)
