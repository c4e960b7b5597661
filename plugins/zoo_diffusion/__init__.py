"""Models that sample step by step: diffusion, flow matching, priors of codes and decoders of that kind."""

from __future__ import annotations

from collections.abc import Sequence

from zoo import api

NETWORKS = (
    ("module", "unet", "UNet", "a U-Net that is told the time", "B C H W, B -> B C H W"),
    ("module", "unet-class", "ClassUNet", "a U-Net that is told the time and a class", "B C H W, B, B -> B C H W"),
    ("decoder", "unet", "CodeUNet", "a U-Net that is told the time and a code", "B C H W, B, B latent -> B C H W"),
    ("module", "mlp-time", "Perceptron", "hidden layers that are told the time", "B features, B -> B features"),
)
VALUES = {
    "x_noise": "noise of the shape of x",
    "flow_time": "times from 0, noise, to 1, data",
    "flow_x": "x on its way from noise, in a line",
    "flow_velocity": "the guess of data minus noise",
    "flow_sample": "a sample, by steps from noise",
    "dropped_label": "the class, for some items none",
    "flow_velocity_class": "the guess of data minus noise, of a class",
    "flow_sample_class": "a sample of a class, by steps from noise, with guidance",
    "diffusion_time": "steps of the schedule",
    "diffused_x": "x with the noise of a step",
    "guessed_noise": "the guess of that noise",
    "ddim_sample": "a sample, by steps down the schedule (DDIM, DDPM)",
    "flow_velocity_code": "the decoder's guess of data minus noise",
    "flow_decoded": "an image of a code, by steps from noise",
}
TERMS = {
    "flow_matching": "how far the velocity is from data minus noise",
    "denoising": "how far the guess is from the noise",
}
RECIPES = {
    "flow-matching": "Flow matching: a network tells where noise flows to become images (Lipman et al. 2023)",
    "flow-matching-class": "Flow matching of classes, with guidance (Lipman et al. 2023, Ho & Salimans 2021)",
    "ddpm": "Diffusion: a network guesses the noise in images (Ho et al. 2020)",
    "flow-prior": "Flow matching of a finished run's codes, decoded by it (Rombach et al. 2022)",
    "diffusion-decoder": "An autoencoder whose decoder paints step by step (Preechakul et al. 2022)",
}


@api.hookimpl
def zoo_components() -> Sequence[api.Component]:
    """Networks, the schedule, values and terms."""
    here = "zoo_diffusion"
    return (
        *(api.Component(kind, name, f"{here}.networks:{of}", text, shape) for kind, name, of, text, shape in NETWORKS),
        api.Component(
            "module", "noise-schedule", f"{here}.schedules:Schedule", "how much noise each step has", "B -> B"
        ),
        *(api.Component("value", name, f"{here}.values:{name}", text) for name, text in VALUES.items()),
        *(api.Component("term", name, f"{here}.values:{name}", text) for name, text in TERMS.items()),
    )


@api.hookimpl
def zoo_recipes() -> Sequence[api.Recipe]:
    """Systems that sample step by step."""
    first = api.Recipe(
        "kl-lite",
        "zoo_diffusion:kl-lite.yaml",
        "KL autoencoder of few layers: flow-prior's first stage",
        family="tokenizer",
    )
    named = RECIPES.items()
    return [first, *(api.Recipe(n, f"zoo_diffusion:{n}.yaml", text, family="iterative") for n, text in named)]
