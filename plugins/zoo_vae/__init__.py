"""VAEs (Kingma & Welling 2014) and what followed: recipes of shared values and terms, without code of their own."""

from collections.abc import Sequence

from zoo import api

RECIPES = {
    "vae": "VAE (Kingma & Welling 2014)",
    "vae-paper": "the VAE of the AVAE paper's comparison",
    "beta-vae": "factors of variation, at the price of blur (Higgins 2017)",
    "capacity-vae": "factors of variation within so many nats (Burgess 2018)",
    "dip-vae": "uncorrelated codes (DIP-VAE II, Kumar 2018)",
    "factor-vae": "factors of variation by independent codes, which a critic judges (Kim 2018)",
    "beta-tcvae": "factors of variation by independent codes (Chen 2018)",
    "mixture-vae": "a prior of ten Gaussians that learn (as VaDE, Jiang 2017)",
    "vampprior": "a prior of posteriors at images that learn (Tomczak 2018)",
    "flow-vae": "a prior bent to where the codes are (Chen 2017)",
    "iwae": "a tighter bound, of several codes an image (Burda 2016, Tucker 2019)",
    "ladder-vae": "three levels of codes, the coarse above the fine (Sonderby 2016)",
    "rae-gmm": "no noise, and a mixture fitted on the codes afterwards (Ghosh 2020)",
    "sigma-vae": "a VAE without a weight to search for (Rybkin 2021)",
}


@api.hookimpl
def zoo_recipes() -> Sequence[api.Recipe]:
    """The default, the published comparison's, and those of other bounds, priors and penalties."""
    return tuple(api.Recipe(name, f"zoo_vae:{name}.yaml", text, family="variational") for name, text in RECIPES.items())
