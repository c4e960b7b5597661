"""VAE (Kingma & Welling 2014): recipes of shared values and terms; they need no code of their own."""

from collections.abc import Sequence

from zoo import api


@api.hookimpl
def zoo_recipes() -> Sequence[api.Recipe]:
    """The default, and the published comparison's."""
    return (
        api.Recipe("vae", "zoo_vae:vae.yaml", "VAE (Kingma & Welling 2014)", family="variational"),
        api.Recipe(
            "vae-paper", "zoo_vae:vae-paper.yaml", "the VAE of the AVAE paper's comparison", family="variational"
        ),
    )
