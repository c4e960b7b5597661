"""Contracts that depend on options; no torch is needed to say them."""

WIDEST = 8
"""A U-Net's widest levels have so many times the width of its first."""


def unet(takes: int, drops: int) -> str:
    """An image, and numbers to drop features by where it drops any, to an image."""
    numbers = f", B drops*{WIDEST}*width" if drops else ""
    return f"{_image(takes)}{numbers} -> B C H W"


def translator(takes: int) -> str:
    """An image to an image."""
    return f"{_image(takes)} -> B C H W"


def contents(takes: int, width: int, halvings: int) -> str:
    """An image to its content."""
    return f"{_image(takes)} -> {_content(width, halvings)}"


def style(takes: int) -> str:
    """An image to its style."""
    return f"{_image(takes)} -> B latent"


def blocks(width: int, halvings: int) -> str:
    """A content to a content."""
    return f"{_content(width, halvings)} -> {_content(width, halvings)}"


def content_decoder(width: int, halvings: int) -> str:
    """A content to an image."""
    return f"{_content(width, halvings)} -> B C H W"


def styled(width: int, halvings: int) -> str:
    """A content and a style to an image."""
    return f"{_content(width, halvings)}, B latent -> B C H W"


def _image(takes: int) -> str:
    """What is taken: an image of the recipe's channels where no other number is said."""
    return "B takes H W" if takes else "B C H W"


def _content(width: int, halvings: int) -> str:
    return f"B {width << halvings} H/{1 << halvings} W/{1 << halvings}"
