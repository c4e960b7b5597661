"""The values that most models share, and the standard normal prior."""

from zoo import api


def _value(name: str, summary: str) -> api.Component:
    return api.Component("value", name, f"zoo_values.values:{name}", summary)


@api.hookimpl
def zoo_components() -> tuple[api.Component, ...]:
    """Values by the names that terms ask for, and the prior."""
    return (
        api.Component("prior", "normal", "zoo_values.priors:Normal", "standard normal N(0, I)"),
        _value("posterior", "q(z|x): the encoder at the images"),
        _value("z_posterior", "a reparameterised sample of the posterior"),
        _value("posterior_mean", "the posterior's mean: a deterministic code"),
        _value("reconstruction", "the decoder at the posterior's sample"),
        _value("z", "codes from the prior"),
        _value("noise", "auxiliary noise z_a of the generator"),
        _value("generated", "the generator at codes from the prior"),
        _value("generated_from_posterior", "the generator at the posterior's sample"),
        _value("decoded_prior", "the decoder at codes from the prior"),
        _value("posterior_generated", "the encoder at generated images"),
        _value("critic_x", "the critic at real images"),
        _value("critic_generated", "the critic at generated images"),
        _value("critic_reconstruction", "the critic at reconstructions"),
        _value("critic_generated_from_posterior", "the critic at images generated from the posterior"),
    )
