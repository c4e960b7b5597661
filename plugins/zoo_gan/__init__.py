"""GANs (Goodfellow et al. 2014 and after): recipes of shared values, terms and networks; they need no code."""

from collections.abc import Sequence

from zoo import api

RECIPES = {
    "gan": "GAN (Goodfellow et al. 2014)",
    "gan-paper": "the GAN of the AVAE paper's comparison",
    "hinge-gan": "a GAN to begin with: hinge loss, spectral norm (Lim & Ye 2017)",
    "lsgan": "least squares, whose gradients do not vanish (Mao et al. 2017)",
    "wgan-gp": "a critic whose loss is a distance, by a gradient penalty (Gulrajani et al. 2017)",
    "r1-gan": "a critic that is flat at real images, for stable training (Mescheder et al. 2018)",
    "cr-gan": "a critic that heeds no translation (Zhang et al. 2020)",
    "lecam-gan": "few images, not learned by heart: a critic near its averages (Tseng et al. 2021)",
    "diffaugment-gan": "hundreds of images, augmented alike before the critic (Zhao et al. 2020)",
    "projected-gan": "a critic of frozen ImageNet features, which learns fast (Sauer et al. 2021)",
    "sn-gan": "residual networks, spectral norm, five critic steps for each (Miyato et al. 2018)",
    "relativistic-gan": "which of a pair is real: no kind of image is dropped (Jolicoeur-Martineau 2019)",
    "r3gan": "relativistic, flat at real and fake images: a GAN without tricks (Huang et al. 2024)",
    "stylegan2-lite": "styles that say each layer's features, and can be mixed (Karras et al. 2020)",
}


@api.hookimpl
def zoo_recipes() -> Sequence[api.Recipe]:
    """Each by the name of its file."""
    return [api.Recipe(name, f"zoo_gan:{name}.yaml", what, family="adversarial") for name, what in RECIPES.items()]
