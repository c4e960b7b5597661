"""Quantised codes: quantisers as slots, their terms, metrics of their use, and networks whose codes are maps."""

from __future__ import annotations

from collections.abc import Sequence

from zoo import api

QUANTISERS = {
    "vq": ("codebooks:VQ", "the nearest of N entries, means of codes or learned by gradient (VQ-VAE, VQGAN)"),
    "residual-vq": ("codebooks:ResidualVQ", "several codebooks, each of what those before left (RVQ)"),
    "simvq": ("codebooks:SimVQ", "a random codebook through a linear map that learns (SimVQ)"),
    "fsq": ("fixed:FSQ", "each channel rounded to one of a few levels (FSQ)"),
    "lfq": ("fixed:LFQ", "each channel's sign (LFQ, BSQ)"),
}
VALUES = {
    "codes": "the encoder's codes as the quantiser looks them up",
    "quantised": "these codes through the quantiser",
    "quantised_in_part": "these codes, in training through some of its codebooks alone",
    "code": "quantised codes, with the encoder's gradient",
    "codes_told": "codes with what a coarser map says of them (VQ-VAE-2)",
    "code_and_told": "quantised codes beside what a coarser map says (VQ-VAE-2)",
    "random_codes": "codes of random entries",
}
TERMS = {
    "commitment": "codes drawn to their entries",
    "codebook": "entries drawn to their codes, in the quantiser's row",
    "code_entropy": "sure codes that are all in use (LFQ, BSQ)",
}
RECIPES = {
    "vqvae": "images as few whole numbers, without a critic: VQ-VAE (van den Oord et al. 2017)",
    "vqgan": "VQGAN f16: a codebook, LPIPS and a critic of patches (Esser et al. 2021)",
    "vqgan-mini": "VQGAN at 64 px for two cores",
    "llamagen-vq": "LlamaGen's VQ-16: entries of length 1 (Sun et al. 2024)",
    "fsq": "VQGAN with finite scalar quantisation (Mentzer et al. 2023)",
    "fsq-mini": "FSQ at 64 px for two cores",
    "rvq": "8 x 8 codes, each the sum of four entries: RQ-VAE (Lee et al. 2022)",
    "rvq-mini": "residual VQ at 64 px for two cores",
    "vq-vae-2": "a coarse map of entries, and a finer one that knows it (Razavi et al. 2019)",
    "dc-ae-lite": "maps 32 times smaller than images, by shortcuts from space to channels (Chen et al. 2024)",
    "lfq": "VQGAN with lookup-free quantisation (Yu et al. 2023)",
}


@api.hookimpl
def zoo_components() -> Sequence[api.Component]:
    """Quantisers, networks, values, terms and metrics."""
    taken, maps = "B latent -> B latent, B Q latent, B Q ...", "B C H W -> B depth H/factor W/factor"
    return (
        *(
            api.Component("module", name, f"zoo_quantise.{target}", summary, taken)
            for name, (target, summary) in QUANTISERS.items()
        ),
        api.Component(
            "encoder", "residual", "zoo_quantise.networks:Encoder", "residual blocks to a map of codes", maps
        ),
        api.Component(
            "decoder", "residual", "zoo_quantise.networks:Decoder", "residual blocks from a map", "B latent -> B C H W"
        ),
        api.Component("encoder", "deep", "zoo_quantise.deep:Encoder", "residual blocks to a far smaller map", maps),
        api.Component(
            "decoder", "deep", "zoo_quantise.deep:Decoder", "residual blocks from such a map", "B latent -> B C H W"
        ),
        *(api.Component("value", name, f"zoo_quantise.values:{name}", summary) for name, summary in VALUES.items()),
        *(api.Component("term", name, f"zoo_quantise.values:{name}", summary) for name, summary in TERMS.items()),
        api.Component("metric", "codebook-usage", "zoo_quantise.metrics:Usage", "share of a codebook's entries in use"),
        api.Component(
            "metric", "perplexity", "zoo_quantise.metrics:Perplexity", "entries in use, as if all were alike"
        ),
    )


@api.hookimpl
def zoo_recipes() -> Sequence[api.Recipe]:
    """Tokenizers at their published sizes, and small ones."""
    return [api.Recipe(name, f"zoo_quantise:{name}.yaml", text, family="tokenizer") for name, text in RECIPES.items()]
