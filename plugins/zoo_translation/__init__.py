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
        "zoo_translation.shapes:translator",
    ),
    (
        "module",
        "contents",
        "contents:Contents",
        "an image to its content (UNIT, MUNIT)",
        "zoo_translation.shapes:contents",
    ),
    ("module", "content-blocks", "residual:Blocks", "residual blocks of contents", "zoo_translation.shapes:blocks"),
    (
        "module",
        "content-decoder",
        "contents:ContentDecoder",
        "a content to an image (UNIT)",
        "zoo_translation.shapes:content_decoder",
    ),
    ("module", "style", "contents:Styles", "an image to its style (MUNIT)", "zoo_translation.shapes:style"),
    (
        "module",
        "styled-decoder",
        "contents:StyledDecoder",
        "a content and a style to an image (MUNIT)",
        "zoo_translation.shapes:styled",
    ),
)
VALUES = {
    "values": {
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
    },
    "shared": {
        "x_code_mean": "the mean of x's code, in a space of both domains (UNIT)",
        "y_code_mean": "the mean of y's code, in that space",
        "y_of_x_code_mean": "the mean of the code of what x became",
        "x_of_y_code_mean": "the mean of the code of what y became",
        "x_code": "that of x, and noise",
        "y_code": "that of y, and noise",
        "y_of_x_code": "that of what x became, and noise",
        "x_of_y_code": "that of what y became, and noise",
        "x_decoded": "x from its code",
        "y_decoded": "y from its code",
        "y_of_x_decoded": "the code of x as an image of the domain of y",
        "x_of_y_decoded": "the code of y as an image of the domain of x",
        "x_decoded_again": "x from the code of what it became",
        "y_decoded_again": "y from the code of what it became",
    },
    "styles": {
        "x_content": "what an image x has of both domains (MUNIT)",
        "y_content": "what an image y has of both domains",
        "x_style": "what it has of its own domain",
        "y_style": "what it has of its own domain",
        "x_painted": "x from its content and style",
        "y_painted": "y from its content and style",
        "y_of_x_painted": "the content of x in a drawn style of y",
        "x_of_y_painted": "the content of y in a drawn style of x",
        "x_content_again": "the content of what x became",
        "y_content_again": "the content of what y became",
        "x_style_again": "the style of what y became",
        "y_style_again": "the style of what x became",
        "x_painted_again": "x from the content of what it became, in its own style",
    },
}
RECIPES = {
    "pix2pix": "images of pairs: a conditional GAN and L1 (Isola et al. 2017)",
    "cyclegan": "two domains without pairs: there and back again (Zhu et al. 2017)",
    "unit": "two domains without pairs, whose codes are of one space (Liu et al. 2017)",
    "munit": "two domains without pairs: one content in many styles (Huang et al. 2018)",
}


@api.hookimpl
def zoo_components() -> Sequence[api.Component]:
    """Networks and values."""
    return (
        *(
            api.Component(kind, name, f"zoo_translation.{target}", does, contract)
            for kind, name, target, does, contract in NETWORKS
        ),
        *(
            api.Component("value", name, f"zoo_translation.{module}:{name}", does)
            for module, values in VALUES.items()
            for name, does in values.items()
        ),
        api.Component("value", "pooled", "zoo_translation.pool:Pool", "images, some of them of batches before"),
    )


@api.hookimpl
def zoo_recipes() -> Sequence[api.Recipe]:
    """The systems."""
    return tuple(
        api.Recipe(name, f"zoo_translation:{name}.yaml", does, family="translation") for name, does in RECIPES.items()
    )
