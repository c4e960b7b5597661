"""Terms that rows minimise: likelihoods, divergences and adversarial losses."""

from zoo import api


def _term(name: str, summary: str) -> api.Component:
    return api.Component("term", name, f"zoo_losses.terms:{name}", summary)


@api.hookimpl
def zoo_components() -> tuple[api.Component, ...]:
    """The terms, by the names of METHODS."""
    return (
        _term("reconstruction", "-log p(x|z) of a Gaussian (or Laplace) decoder, nats an image"),
        _term("kl", "KL(q(z|x) || N(0, I)), nats an image"),
        _term("discriminate", "binary cross-entropy of a critic on real and generated images"),
        _term("non_saturating", "the generator's non-saturating loss"),
        _term("reverse_kl", "the generator's KL(p_G || p_data), at the optimal critic"),
        _term("latent_nll", "-log q(z|G(z, z_a)): the generator inverts the encoder"),
    )
