"""Networks that GANs were published with: residual ones, of a class or of none."""

from zoo import api

VALUES = {
    "style": "the slot mapping at codes from the prior",
    "styles": "a style, for each layer of the generator",
    "mixed_styles": "one style for the first layers, another for the rest",
    "styled": "the generator at styles and noise",
    "style_slopes": "how far images change with their styles, in a random direction",
}


def _network(kind: str, name: str, target: str, summary: str, contract: str = "") -> api.Component:
    return api.Component(kind, name, f"zoo_gan_networks.{target}", summary, contract, double_backward=kind == "critic")


@api.hookimpl
def zoo_components() -> tuple[api.Component, ...]:
    """Generators and critics."""
    return (
        _network("generator", "resnet", "resnet:Generator", "residual blocks (SN-GAN, Miyato et al. 2018)"),
        _network("critic", "resnet", "resnet:Critic", "residual blocks, spectral norm (SN-GAN, Miyato et al. 2018)"),
        _network(
            "generator",
            "resnet-class",
            "resnet:ClassGenerator",
            "residual blocks whose norms are of a class (Miyato & Koyama 2018)",
            "B latent, B -> B C H W",
        ),
        _network(
            "critic",
            "resnet-projection",
            "resnet:ProjectionCritic",
            "residual blocks, a class by projection (Miyato & Koyama 2018)",
            "B C H W, B -> B",
        ),
        *(api.Component("value", name, f"zoo_gan_networks.styles:{name}", summary) for name, summary in VALUES.items()),
        _network("module", "stylegan2-mapping", "stylegan2:Mapping", "codes to styles", "B latent -> B latent"),
        _network(
            "generator",
            "stylegan2",
            "stylegan2:Synthesis",
            "modulated convolutions, of styles and noise (Karras et al. 2020)",
            "B L latent, B 3 H W -> B C H W",
        ),
        _network("critic", "stylegan2", "stylegan2:Critic", "residual blocks, the batch's deviation (Karras 2020)"),
        _network("generator", "r3gan", "r3gan:Generator", "grouped residual blocks, no normalisation (R3GAN 2024)"),
        _network("critic", "r3gan", "r3gan:Critic", "grouped residual blocks, no normalisation (R3GAN 2024)"),
    )
