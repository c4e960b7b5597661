"""GAN (Goodfellow et al. 2014): a recipe of shared values and terms; it needs no code of its own."""

from collections.abc import Sequence

from zoo import api


@api.hookimpl
def zoo_recipes() -> Sequence[api.Recipe]:
    """The recipe."""
    return (api.Recipe("gan", "zoo_gan:gan.yaml", "GAN (Goodfellow et al. 2014)"),)
