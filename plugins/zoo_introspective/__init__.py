"""Models whose encoder is its own critic: it tells images from its decoder's by what it reads in them."""

from collections.abc import Sequence

from zoo import api

RECIPES = {
    "introvae": "sharp samples of a VAE without a critic (Huang et al. 2018)",
    "soft-introvae": "the same without a margin to choose (Daniel & Tamar 2021)",
    "age": "an encoder and a generator alone, codes on a sphere (Ulyanov et al. 2018)",
}


def _part(kind: str, name: str, target: str, summary: str) -> api.Component:
    return api.Component(kind, name, f"zoo_introspective.{target}", summary)


@api.hookimpl
def zoo_components() -> Sequence[api.Component]:
    """What an encoder tells real images from others by."""
    return (
        _part("term", "kl_margin", "evidence:kl_margin", "how far a KL falls short of a margin (IntroVAE)"),
        _part("term", "rejection", "evidence:rejection", "evidence of images that should have none (Soft-IntroVAE)"),
        _part("term", "batch_divergence", "sphere:batch_divergence", "KL of a batch of codes to N(0, I) (AGE)"),
        _part("value", "code_on_sphere", "sphere:code_on_sphere", "the encoder's code, of the length sqrt K (AGE)"),
        _part("prior", "sphere", "sphere:Sphere", "uniform on the sphere of radius sqrt K"),
    )


@api.hookimpl
def zoo_recipes() -> Sequence[api.Recipe]:
    """The recipes."""
    return [
        api.Recipe(name, f"zoo_introspective:{name}.yaml", text, family="introspective")
        for name, text in RECIPES.items()
    ]
