"""Image-to-image translation: of pairs, and between two domains without them; its networks, and what rows ask for."""

from collections.abc import Sequence

from zoo import api

NETWORKS = (
    (
        "generator",
        "unet",
        "unet:UNet",
        "a U-Net from image to image, dropout by the factors it is handed",
        "zoo_translation.shapes:unet",
    ),
    (
        "generator",
        "translator",
        "residual:Translator",
        "residual blocks from image to image (CycleGAN)",
        "B takes H W -> B C H W",
    ),
)
VALUES = {
    "dropped": "factors by which a U-Net drops features",
    "translated": "the generator at the image y",
    "critic_pair_y": "the critic at (x, y)",
    "critic_pair_translated": "the critic at (G(y), y)",
    "y_of_x": "images x, translated to the domain of y",
    "x_of_y": "images y, translated to the domain of x",
    "x_again": "images x, there and back",
    "y_again": "images y, there and back",
    "x_kept": "images x through the generator to their own domain",
    "y_kept": "images y through the generator to their own domain",
    "x_judged": "the critic of domain x at its images",
    "y_judged": "the critic of domain y at its images",
    "x_of_y_judged": "the critic of domain x at translated images",
    "y_of_x_judged": "the critic of domain y at translated images",
}
RECIPES = {
    "pix2pix": "images of pairs: a conditional GAN and L1 (Isola et al. 2017)",
    "cyclegan": "two domains without pairs: there and back again (Zhu et al. 2017)",
}


@api.hookimpl
def zoo_components() -> Sequence[api.Component]:
    """Networks and values."""
    return (
        *(
            api.Component(kind, name, f"zoo_translation.{target}", does, contract)
            for kind, name, target, does, contract in NETWORKS
        ),
        *(api.Component("value", name, f"zoo_translation.values:{name}", does) for name, does in VALUES.items()),
        api.Component("value", "pooled", "zoo_translation.pool:Pool", "images, some of them of batches before"),
    )


@api.hookimpl
def zoo_recipes() -> Sequence[api.Recipe]:
    """The systems."""
    return tuple(
        api.Recipe(name, f"zoo_translation:{name}.yaml", does, family="translation") for name, does in RECIPES.items()
    )
