"""Image autoencoders of diffusers (https://github.com/huggingface/diffusers): encoders, decoders, generators."""

from zoo import api

_READS = "zoo_diffusers.folder:read"


@api.hookimpl
def zoo_components() -> tuple[api.Component, ...]:
    """The halves of an autoencoder, whose family is an option, and the way back into a folder of diffusers'."""
    return (
        api.Component(
            "encoder",
            "diffusers",
            "zoo_diffusers.halves:Encoder",
            "the encoder of any image autoencoder of diffusers",
            contract="zoo_diffusers.families:encoding",
            weights=_READS,
        ),
        api.Component(
            "decoder",
            "diffusers",
            "zoo_diffusers.halves:Decoder",
            "the decoder of any image autoencoder of diffusers",
            contract="zoo_diffusers.families:decoding",
            weights=_READS,
        ),
        api.Component(
            "generator",
            "diffusers",
            "zoo_diffusers.halves:Generator",
            "a decoder of diffusers that takes noise too",
            contract="zoo_diffusers.families:generating",
            weights=_READS,
        ),
        api.Component(
            "exporter",
            "diffusers",
            "zoo_diffusers.export:export",
            "a folder that from_pretrained of diffusers loads",
        ),
    )


@api.hookimpl
def zoo_recipes() -> tuple[api.Recipe, ...]:
    """Autoencoders for latent models, and what is made of one that is there."""
    about = {
        "kl-f4": "KL autoencoder, 4 times smaller, at 256 px (Rombach et al. 2022)",
        "kl-f8": "KL autoencoder, 8 times smaller, at 256 px (Rombach et al. 2022)",
        "kl-f8-mini": "KL autoencoder, 8 times smaller, at 64 px for two cores",
        "finetune-decoder": "an autoencoder's decoder trained further, its codes as they are",
        "sharp": "ours: AVAE's sharp generator on an autoencoder that stays as it is",
        "kl-f16": "KL autoencoder, 16 times smaller, at 256 px (Rombach et al. 2022)",
    }
    return tuple(
        api.Recipe(name, f"zoo_diffusers:{name}.yaml", summary, family="tokenizer") for name, summary in about.items()
    )
