"""Models of images given their class: conditional VAEs and GANs, and what their rows ask for."""

from collections.abc import Sequence

from zoo import api

VALUES = {
    "posterior_of_class": "q(z|x, c): the encoder at the images and their classes",
    "reconstruction_of_class": "the decoder at the posterior's sample and the images' classes",
    "decoded_prior_of_class": "the decoder at codes from the prior and classes",
    "generated_of_class": "the generator at codes from the prior and classes",
    "critic_x_of_class": "the critic at real images and their classes",
    "critic_generated_of_class": "the critic at generated images and the classes they are of",
}
RECIPES = {
    "cvae": "a VAE of images given their class (Sohn et al. 2015)",
    "cgan": "a GAN whose networks take the class as an input (Mirza & Osindero 2014)",
    "ac-gan": "a GAN whose critic tells the class too (Odena et al. 2017)",
    "projection-gan": "a GAN whose critic projects its features on the class (Miyato & Koyama 2018)",
}


@api.hookimpl
def zoo_components() -> Sequence[api.Component]:
    """Values with a class, and what a critic that tells the class minimises."""
    return (
        *(api.Component("value", name, f"zoo_conditional.values:{name}", does) for name, does in VALUES.items()),
        api.Component("term", "class_nll", "zoo_conditional.values:class_nll", "-log p(c|x), as the critic tells c"),
    )


@api.hookimpl
def zoo_recipes() -> Sequence[api.Recipe]:
    """The conditional systems."""
    return tuple(
        api.Recipe(name, f"zoo_conditional:{name}.yaml", does, family="conditional") for name, does in RECIPES.items()
    )
