"""Every network of timm (https://github.com/huggingface/pytorch-image-models) as an encoder, a critic or a judge."""

from zoo import api

PARTS = {
    ("encoder", "timm"): ("encoder:Encoder", "any timm model as a Gaussian encoder, pretrained or not"),
    ("encoder", "timm-maps"): ("maps:MapEncoder", "the last feature map of any timm model, frozen or not (RAE)"),
    ("decoder", "vit"): ("maps:VitDecoder", "a ViT from a map of codes (RAE)"),
    ("critic", "timm"): ("critic:Critic", "any timm model as a critic, its stages as taps"),
    ("critic", "timm-joint"): (
        "critic:JointCritic",
        "any timm model as a critic of image and code pairs (BiGAN, ALI)",
    ),
    ("critic", "timm-frozen"): (
        "frozen:Frozen",
        "heads on the frozen stages of any timm model (Projected GAN, DINO)",
    ),
    ("value", "noised_codes"): ("maps:noised_codes", "codes, with noise on them in training"),
    ("term", "perceptual"): (
        "features:Perceptual",
        "distance of images in the stages of any timm model (LPIPS without learned weights)",
    ),
}
CONTRACTS = {
    "timm-maps": "B C H W -> B depth H/factor W/factor",
    "timm-frozen": "B C H W -> B K M N",
    "timm-joint": "B C H W, B latent -> B",
}


@api.hookimpl
def zoo_components() -> tuple[api.Component, ...]:
    """Encoders, critics and a term; which network they are is the option ``model``. And a decoder of maps."""
    return tuple(
        api.Component(
            kind,
            name,
            f"zoo_timm.{target}",
            summary,
            contract=CONTRACTS.get(name, ""),
            double_backward=kind == "critic",
        )
        for (kind, name), (target, summary) in PARTS.items()
    )


@api.hookimpl
def zoo_recipes() -> tuple[api.Recipe, ...]:
    """Autoencoders on a timm model's features."""
    return (
        api.Recipe(
            "rae", "zoo_timm:rae.yaml", "a decoder of frozen DINO features (Zheng et al. 2025)", family="tokenizer"
        ),
    )
