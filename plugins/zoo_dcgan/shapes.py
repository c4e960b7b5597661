"""The contracts of these networks, with a class and without one; no torch is needed to say them."""

ALONE = ("none", "predicted")
"""Values of the option ``label`` with which a network takes no class."""


def encoder(label: str) -> str:
    """An image, and perhaps its class, to a code."""
    return "B C H W -> B latent" if label in ALONE else "B C H W, B -> B latent"


def decoder(label: str) -> str:
    """A code, and perhaps a class, to an image."""
    return "B latent -> B C H W" if label in ALONE else "B latent, B -> B C H W"


def generator(label: str) -> str:
    """A code, noise, and perhaps a class, to an image."""
    return "B latent, B noise -> B C H W" if label in ALONE else "B latent, B noise, B -> B C H W"


def critic(label: str) -> str:
    """An image, and perhaps its class, to a logit."""
    return "B C H W -> B" if label in ALONE else "B C H W, B -> B"
