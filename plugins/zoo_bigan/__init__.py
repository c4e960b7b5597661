"""BiGAN (Donahue et al. 2016) and its kin: models that learn both ways, from codes to images and back."""

from collections.abc import Sequence

from zoo import api

RECIPES = {
    "bigan": "BiGAN (Donahue et al. 2016)",
    "ali": "ALI (Dumoulin et al. 2016): BiGAN with a sampled code",
    "alice": "ALI with faithful reconstructions (Li et al. 2017)",
    "veegan": "a GAN that drops no modes: its codes can be read back (Srivastava et al. 2017)",
    "bigbigan": "BiGAN that judges image and code alone too (Donahue & Simonyan 2019)",
    "alae": "a GAN's autoencoder, compared in codes alone (Pidhorskyi et al. 2020)",
    "bigan-paper": "the BiGAN of the AVAE paper's comparison",
}


@api.hookimpl
def zoo_components() -> Sequence[api.Component]:
    """The critic at each pair, and the terms on pairs."""
    return (
        api.Component("value", "critic_pair_x", "zoo_bigan.pairs:critic_pair_x", "the joint critic at (x, E(x))"),
        api.Component(
            "value",
            "critic_pair_generated",
            "zoo_bigan.pairs:critic_pair_generated",
            "the joint critic at (G(z), z)",
        ),
        api.Component("term", "pairs", "zoo_bigan.pairs:pairs", "cross-entropy of a joint critic on pairs"),
        api.Component(
            "term",
            "pairs_swapped",
            "zoo_bigan.pairs:pairs_swapped",
            "the same with both labels flipped, for E and G",
        ),
        api.Component(
            "term", "hinge_scores", "zoo_bigan.pairs:hinge_scores", "hinge of image, code and pair (BigBiGAN)"
        ),
    )


@api.hookimpl
def zoo_recipes() -> Sequence[api.Recipe]:
    """The default, its kin, and the published comparison's."""
    return [api.Recipe(name, f"zoo_bigan:{name}.yaml", text, family="bidirectional") for name, text in RECIPES.items()]
