"""Multilayer perceptrons for vectors: rows of tables, codes of another model; and a critic and a map of codes."""

from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn

from zoo import api


def layers(inputs: int, outputs: int, width: int, depth: int) -> nn.Sequential:
    """``depth`` hidden layers of ``width``, then a linear one.

    Raises:
        ValueError: if either is less than 1.
    """
    if min(width, depth) < 1:
        raise ValueError(f"'width' and 'depth' are at least 1, not {width} and {depth}")
    sizes = [inputs, *[width] * depth]
    hidden = [step for pair in pairwise(sizes) for step in (nn.Linear(*pair), nn.SiLU())]
    return nn.Sequential(*hidden, nn.Linear(width, outputs))


class Encoder(nn.Module):
    """Vectors to a diagonal Gaussian of codes.

    Args:
        features: F, of a vector.
        latent: K.
        width: of a hidden layer.
        depth: hidden layers.
    """

    def __init__(self, features: int, latent: int, *, width: int = 256, depth: int = 2) -> None:
        super().__init__()
        self.body = layers(features, 2 * latent, width, depth)

    def forward(self, x: Tensor) -> "api.Gaussian":
        """Vectors (B, F) -> codes (B, K)."""
        return api.Gaussian(*self.body(x).chunk(2, 1))


class Decoder(nn.Module):
    """Codes to vectors of any numbers.

    Args:
        features: F, of a vector.
        latent: K.
        width: of a hidden layer.
        depth: hidden layers.
    """

    def __init__(self, features: int, latent: int, *, width: int = 256, depth: int = 2) -> None:
        super().__init__()
        self.body = layers(latent, features, width, depth)

    def forward(self, z: Tensor) -> Tensor:
        """Codes (B, K) -> vectors (B, F)."""
        return self.body(z)


class Generator(nn.Module):
    """Codes and noise to vectors of any numbers.

    Args:
        features: F, of a vector.
        latent: K.
        noise: A, of which there may be none.
        width: of a hidden layer.
        depth: hidden layers.
    """

    def __init__(self, features: int, latent: int, noise: int, *, width: int = 256, depth: int = 2) -> None:
        super().__init__()
        self.body = layers(latent + noise, features, width, depth)

    def forward(self, z: Tensor, noise: Tensor) -> Tensor:
        """Codes (B, K) and noise (B, A) -> vectors (B, F)."""
        return self.body(torch.cat([z, noise], 1))


class Critic(nn.Module):
    """Vectors to a logit each.

    Args:
        features: F, of a vector.
        width: of a hidden layer.
        depth: hidden layers.
    """

    def __init__(self, features: int, *, width: int = 256, depth: int = 2) -> None:
        super().__init__()
        self.body = layers(features, 1, width, depth)

    def forward(self, x: Tensor) -> "api.CriticOutput":
        """Vectors (B, F) -> logits (B,)."""
        return api.CriticOutput(self.body(x)[:, 0])


class CodeCritic(nn.Module):
    """Codes to a logit each, as adversarial autoencoders have it (Makhzani et al. 2015, appendix A).

    Args:
        latent: K, dimensions of a code, or its shape, all of which is seen at once.
        width: of a hidden layer.
        depth: hidden layers.
    """

    def __init__(self, latent: int | tuple[int, ...], *, width: int = 256, depth: int = 2) -> None:
        super().__init__()
        self.body = layers(latent if isinstance(latent, int) else prod(latent), 1, width, depth)

    def forward(self, z: Tensor) -> "api.CriticOutput":
        """Codes (B, K), or of any other shape -> logits (B,)."""
        return api.CriticOutput(self.body(z.flatten(1))[:, 0])


class Mapping(nn.Module):
    """Codes to codes of the same shape: z to w of generators that have a style (Karras et al. 2019, section 2).

    Args:
        latent: K, dimensions of a code, or its shape.
        width: of a hidden layer.
        depth: hidden layers.
    """

    def __init__(self, latent: int | tuple[int, ...], *, width: int = 256, depth: int = 2) -> None:
        super().__init__()
        self.shape = (latent,) if isinstance(latent, int) else latent
        self.body = layers(prod(self.shape), prod(self.shape), width, depth)
        for layer in self.body[::2]:
            nn.init.kaiming_normal_(layer.weight)  # codes that differ as much as those of the prior

    def forward(self, z: Tensor) -> Tensor:
        """Codes -> codes, (B, K) or of any other shape."""
        return self.body(z.flatten(1)).view(-1, *self.shape)
