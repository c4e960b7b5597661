"""VAE (Kingma & Welling 2014): a recipe of shared values and terms; it needs no code of its own."""

from collections.abc import Sequence

from zoo import api


@api.hookimpl
def zoo_recipes() -> Sequence[api.Recipe]:
    """The recipe."""
    return (api.Recipe("vae", "zoo_vae:vae.yaml", "VAE (Kingma & Welling 2014)"),)
