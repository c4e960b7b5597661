"""Every network of timm (https://github.com/huggingface/pytorch-image-models) as an encoder, a critic or a judge."""

from zoo import api


@api.hookimpl
def zoo_components() -> tuple[api.Component, ...]:
    """An encoder, two critics and a term; which network they are is the option ``model``."""
    return (
        api.Component(
            "encoder",
            "timm",
            "zoo_timm.encoder:Encoder",
            "any timm model as a Gaussian encoder, pretrained or not",
            contract="B C H W -> B latent",
        ),
        api.Component(
            "critic",
            "timm",
            "zoo_timm.critic:Critic",
            "any timm model as a critic, its stages as taps",
            contract="B C H W -> B",
            double_backward=True,
        ),
        api.Component(
            "critic",
            "timm-joint",
            "zoo_timm.critic:JointCritic",
            "any timm model as a critic of image and code pairs (BiGAN, ALI)",
            contract="B C H W, B latent -> B",
            double_backward=True,
        ),
        api.Component(
            "term",
            "perceptual",
            "zoo_timm.features:Perceptual",
            "distance of images in the stages of any timm model (LPIPS without learned weights)",
        ),
    )
