"""GAN (Goodfellow et al. 2014): recipes of shared values and terms; they need no code of their own."""

from collections.abc import Sequence

from zoo import api


@api.hookimpl
def zoo_recipes() -> Sequence[api.Recipe]:
    """The default, and the published comparison's."""
    return (
        api.Recipe("gan", "zoo_gan:gan.yaml", "GAN (Goodfellow et al. 2014)", family="adversarial"),
        api.Recipe(
            "gan-paper", "zoo_gan:gan-paper.yaml", "the GAN of the AVAE paper's comparison", family="adversarial"
        ),
    )
