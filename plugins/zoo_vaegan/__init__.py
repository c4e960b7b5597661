"""VAE/GAN (Larsen et al. 2016): terms that compare in the critic's features and judge both fakes."""

from collections.abc import Sequence

from zoo import api


@api.hookimpl
def zoo_components() -> Sequence[api.Component]:
    """The terms that VAE/GAN adds."""
    return (
        api.Component(
            "term", "feature_match", "zoo_vaegan.terms:feature_match", "-log p(r(x)|z) in a critic's features"
        ),
        api.Component(
            "term",
            "discriminate_both",
            "zoo_vaegan.terms:discriminate_both",
            "cross-entropy on real images and both fakes",
        ),
        api.Component(
            "term",
            "non_saturating_both",
            "zoo_vaegan.terms:non_saturating_both",
            "non-saturating loss of both fakes",
        ),
        api.Component("term", "reverse_kl_both", "zoo_vaegan.terms:reverse_kl_both", "raw logits of both fakes"),
    )


@api.hookimpl
def zoo_recipes() -> Sequence[api.Recipe]:
    """The default, and the published comparison's."""
    return (
        api.Recipe("vaegan", "zoo_vaegan:vaegan.yaml", "VAE/GAN (Larsen et al. 2016)", family="hybrid"),
        api.Recipe(
            "vaegan-paper",
            "zoo_vaegan:vaegan-paper.yaml",
            "the VAE/GAN of the AVAE paper's comparison",
            family="hybrid",
        ),
    )
