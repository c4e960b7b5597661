"""A stranger's models: what its packages bring, as plain data. Nothing here imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo import api

if TYPE_CHECKING:  # held against the kinds' Protocols by mypy; nothing is imported to run
    from zoo_stranger import balance, latents, quantised, scores, slopes

    critics: list[type[api.Critic]] = [latents.MLP]
    priors: list[type[api.Prior]] = [quantised.Codebook]
    values: list[api.Value] = [
        slopes.interpolates,
        quantised.quantised,
        quantised.straight_through,
        balance.likelihood,
        balance.fooling,
        balance.balance,
    ]
    terms: list[api.Term] = [
        slopes.gradient_penalty,
        scores.wasserstein,
        scores.hinge,
        scores.raise_score,
        quantised.entries,
        quantised.commitment,
        balance.minimised,
        balance.balanced,
    ]

PARTS = {
    ("critic", "mlp"): ("latents:MLP", "a critic of codes: two hidden layers (Makhzani et al. 2016)"),
    ("prior", "codebook"): ("quantised:Codebook", "uniform over the entries of a learned codebook"),
    ("value", "interpolates"): ("slopes:interpolates", "points between real and generated images"),
    ("value", "quantised"): ("quantised:quantised", "codes replaced by their nearest entries"),
    ("value", "straight_through"): ("quantised:straight_through", "quantised codes with the gradient of the codes"),
    ("value", "likelihood"): ("balance:likelihood", "the reconstruction's distance, as a value"),
    ("value", "fooling"): ("balance:fooling", "minus the critic's score of reconstructions, as a value"),
    ("value", "balance"): ("balance:balance", "ratio of two gradient norms at a layer"),
    ("term", "gradient_penalty"): ("slopes:gradient_penalty", "the critic's slope held at 1"),
    ("term", "wasserstein"): ("scores:wasserstein", "the critic's score, generated minus real"),
    ("term", "hinge"): ("scores:hinge", "the critic's hinge loss"),
    ("term", "raise_score"): ("scores:raise_score", "minus the critic's score of generated images"),
    ("term", "entries"): ("quantised:entries", "codebook entries drawn to the codes"),
    ("term", "commitment"): ("quantised:commitment", "codes drawn to their codebook entries"),
    ("term", "minimised"): ("balance:minimised", "a scalar value as it is"),
    ("term", "balanced"): ("balance:balanced", "a scalar value times a weight that is a value"),
}
CONTRACTS = {"mlp": "B latent -> B", "codebook": "B latent -> B latent"}

RECIPES = {
    "parted-vqvae": "a vector of discrete parts, straight through (van den Oord et al. 2017)",
    "parted-vqgan": "the same, adaptive adversarial weight, late critic (Esser et al. 2021)",
    "code-wgan": "an autoencoder whose codes follow the prior by a Wasserstein critic of codes",
}


@api.hookimpl
def zoo_components() -> tuple[api.Component, ...]:
    """Networks, values and terms."""
    return tuple(
        api.Component(
            kind,
            name,
            f"zoo_stranger.{target}",
            summary,
            contract=CONTRACTS.get(name, ""),
            double_backward=kind == "critic",
        )
        for (kind, name), (target, summary) in PARTS.items()
    )


@api.hookimpl
def zoo_recipes() -> tuple[api.Recipe, ...]:
    """The recipes."""
    return tuple(api.Recipe(name, f"zoo_stranger:recipes/{name}.yaml", text) for name, text in RECIPES.items())
