"""Contracts that depend on options; no torch is needed to say them."""

WIDEST = 8
"""A U-Net's widest levels have so many times the width of its first."""


def unet(drops: int) -> str:
    """An image, and numbers to drop features by where it drops any, to an image."""
    numbers = f", B drops*{WIDEST}*width" if drops else ""
    return f"B takes H W{numbers} -> B C H W"
