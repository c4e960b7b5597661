"""BiGAN (Donahue et al. 2016) and ALI (Dumoulin et al. 2016): a critic of pairs of an image and a code."""

from collections.abc import Sequence

from zoo import api


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
    )


@api.hookimpl
def zoo_recipes() -> Sequence[api.Recipe]:
    """The default, its sibling, and the published comparison's."""
    return (
        api.Recipe("bigan", "zoo_bigan:bigan.yaml", "BiGAN (Donahue et al. 2016)", family="bidirectional"),
        api.Recipe(
            "ali", "zoo_bigan:ali.yaml", "ALI (Dumoulin et al. 2016): BiGAN with a sampled code", family="bidirectional"
        ),
        api.Recipe(
            "bigan-paper",
            "zoo_bigan:bigan-paper.yaml",
            "the BiGAN of the AVAE paper's comparison",
            family="bidirectional",
        ),
    )
