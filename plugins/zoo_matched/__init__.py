"""Autoencoders whose codes, as a set, are made to follow the prior: by a kernel, or by a critic of codes."""

from collections.abc import Sequence

from zoo import api

RECIPES = {
    "wae-mmd": "a deterministic autoencoder that can be sampled, no critic (Tolstikhin et al. 2018)",
    "wae-gan": "an autoencoder, where a critic tells codes from the prior (Tolstikhin et al. 2018)",
    "mmd-vae": "a VAE whose codes keep what they tell of an image: InfoVAE (Zhao et al. 2019)",
    "aae": "codes that follow any prior that can be drawn from: adversarial (Makhzani et al. 2015)",
}


@api.hookimpl
def zoo_components() -> Sequence[api.Component]:
    """The kernel's term; the critic of codes is ``mlp-codes``."""
    return (api.Component("term", "mmd", "zoo_matched.mmd:mmd", "maximum mean discrepancy of two sets of codes"),)


@api.hookimpl
def zoo_recipes() -> Sequence[api.Recipe]:
    """Those with a kernel, and those with a critic."""
    return [
        api.Recipe(name, f"zoo_matched:{name}.yaml", text, family="matched codes") for name, text in RECIPES.items()
    ]
