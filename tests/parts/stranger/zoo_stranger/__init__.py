"""A stranger's models: what its packages bring, as plain data. Nothing here imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo import api

if TYPE_CHECKING:  # held against the kinds' Protocols by mypy; nothing is imported to run
    from zoo_stranger import balance, introspection, latents, quantised, scores, slopes

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
        slopes.r1,
        scores.wasserstein,
        scores.hinge,
        scores.raise_score,
        latents.mmd,
        introspection.kl_margin,
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
    ("term", "r1"): ("slopes:r1", "the critic's slope at real images held at 0"),
    ("term", "wasserstein"): ("scores:wasserstein", "the critic's score, generated minus real"),
    ("term", "hinge"): ("scores:hinge", "the critic's hinge loss"),
    ("term", "raise_score"): ("scores:raise_score", "minus the critic's score of generated images"),
    ("term", "mmd"): ("latents:mmd", "maximum mean discrepancy of two sets of codes"),
    ("term", "kl_margin"): ("introspection:kl_margin", "how far a KL falls short of a margin"),
    ("term", "entries"): ("quantised:entries", "codebook entries drawn to the codes"),
    ("term", "commitment"): ("quantised:commitment", "codes drawn to their codebook entries"),
    ("term", "minimised"): ("balance:minimised", "a scalar value as it is"),
    ("term", "balanced"): ("balance:balanced", "a scalar value times a weight that is a value"),
}
CONTRACTS = {"mlp": "B latent -> B", "codebook": "B latent -> B latent"}

RECIPES = {
    "wgan-gp": "WGAN with a gradient penalty (Gulrajani et al. 2017)",
    "r1-gan": "GAN with a lazy R1 penalty (Mescheder et al. 2018)",
    "hinge-gan": "hinge GAN (Lim & Ye 2017)",
    "aae": "adversarial autoencoder: a critic of codes (Makhzani et al. 2016)",
    "wae-mmd": "Wasserstein autoencoder, MMD (Tolstikhin et al. 2018)",
    "mmd-vae": "InfoVAE with MMD (Zhao et al. 2019)",
    "beta-vae": "beta-VAE with a warm-up (Higgins et al. 2017)",
    "alice": "BiGAN with a cycle term (Li et al. 2017)",
    "age": "the encoder judges by one term of opposite signs (Ulyanov et al. 2018)",
    "introvae": "the encoder is its own critic (Huang et al. 2018)",
    "vqvae": "a discrete code, straight through (van den Oord et al. 2017)",
    "vqgan": "a discrete code, adaptive adversarial weight, late critic (Esser et al. 2021)",
    "avae-two-critics": "AVAE with a second critic, of codes (ours)",
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
