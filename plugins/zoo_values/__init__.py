"""What most models share: values, priors, moments of codes, and perceptrons for vectors."""

from zoo import api

PERCEPTRONS = (
    ("encoder", "mlp", "Encoder", "a vector to a diagonal Gaussian", "B features -> B latent"),
    ("decoder", "mlp", "Decoder", "a code to a vector", "B latent -> B features"),
    ("generator", "mlp", "Generator", "a code and noise to a vector", "B latent, B noise -> B features"),
    ("critic", "mlp", "Critic", "a vector to one logit", "B features -> B"),
    ("critic", "mlp-codes", "CodeCritic", "a code to one logit", "B latent -> B"),
    ("module", "mlp", "Mapping", "a code to a code", "B latent -> B latent"),
)
OTHERS = (
    ("prior", "normal", "priors:Normal", "standard normal N(0, I)"),
    ("prior", "mixture", "mixture:Mixture", "a Gaussian mixture that 'after' fits (Ghosh 2020)"),
    ("prior", "learned-mixture", "learned:LearnedMixture", "a Gaussian mixture that learns"),
    ("prior", "flow", "learned:Flow", "affine coupling layers that learn (RealNVP)"),
    ("value", "vamp_prior", "learned:vamp_prior", "the posteriors of pseudo-inputs, as a prior"),
    (
        "module",
        "pseudo-inputs",
        "learned:PseudoInputs",
        "images that learn, of whose codes VampPrior is made",
        "-> count C H W",
    ),
    (
        "module",
        "moments",
        "moments:Moments",
        "scales codes by the mean and deviation that 'after' fits",
        "B latent -> B latent",
    ),
)


def _value(name: str, summary: str) -> api.Component:
    return api.Component("value", name, f"zoo_values.values:{name}", summary)


@api.hookimpl
def zoo_components() -> tuple[api.Component, ...]:
    """Values by the names that terms ask for, and the prior."""
    return (
        *(api.Component(kind, name, f"zoo_values.{target}", *told) for kind, name, target, *told in OTHERS),
        *(
            api.Component(
                kind, name, f"zoo_values.perceptrons:{target}", f"{does}, by hidden layers", contract, kind == "critic"
            )
            for kind, name, target, does, contract in PERCEPTRONS
        ),
        _value("posterior", "q(z|x): the encoder at the images"),
        _value("z_posterior", "a reparameterised sample of the posterior"),
        _value("posterior_mean", "the posterior's mean: a deterministic code"),
        _value("reconstruction", "the decoder at the posterior's sample"),
        _value("z", "codes from the prior"),
        _value("noise", "auxiliary noise z_a of the generator"),
        _value("generated", "the generator at codes from the prior"),
        _value("generated_from_posterior", "the generator at the posterior's sample"),
        _value("mapped", "a code from the prior through a mapping: a style"),
        _value("decoded_prior", "the decoder at codes from the prior"),
        _value("posterior_generated", "the encoder at generated images"),
        _value("scaled", "x by the moments of codes"),
        _value("unscaled", "the decoder at codes from the prior, scaled back"),
        _value("first_sample", "the first stage's decoder at the second's sample"),
        _value("first_reconstruction", "the first stage's decoder at the second's reconstruction"),
        _value("critic_x", "the critic at real images"),
        _value("critic_generated", "the critic at generated images"),
        _value("critic_reconstruction", "the critic at reconstructions"),
        _value("critic_generated_from_posterior", "the critic at images generated from the posterior"),
    )
