"""DCGAN-like networks that take a class, or tell it: what their option ``label`` chooses.

Shapes: B batch, C channels, H and W = size, K latent, A noise, F features; labels are whole numbers (B,).
"""

from __future__ import annotations

from math import prod
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding
from torch.nn.utils.parametrizations import spectral_norm

from zoo import api
from zoo_dcgan import networks
from zoo_dcgan.blocks import Size, dense, run_stages, stages_of


class Encoder(networks.Encoder):
    """An image and its class to a diagonal Gaussian over codes (Sohn et al. 2015).

    The class is as many further channels of the image as there are classes, one of them 1 and all others 0.

    Args:
        channels: C.
        size: as for the encoder without a class.
        latent: K.
        classes: how many there are.
        label: where the class comes in: ``input``.
        width: channels of the first stage; at least 1.
        norm: normalisation after every convolution but the first.
        sigma: ``head`` gives every image its own log sigma; ``global`` is one free vector, 0 at first.

    Raises:
        ValueError: a size or width that these networks cannot have.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        latent: int,
        classes: int,
        *,
        label: Literal["input"] = "input",
        width: int = 64,
        norm: Literal["batch", "group", "none"] = "batch",
        sigma: Literal["head", "global"] = "head",
    ) -> None:
        super().__init__(channels + classes, size, latent, width=width, norm=norm, sigma=sigma)
        self.label, self.classes = label, classes

    def forward(self, x: Tensor, label: Tensor) -> api.Gaussian:
        """Images (B, C, H, W) in [-1, 1] and classes (B,) -> Gaussian with mean and log sigma (B, K)."""
        return super().forward(beside(x, label, self.classes))


class Decoder(networks.Decoder):
    """A code and a class, concatenated, to an image (Sohn et al. 2015).

    Args:
        channels: C.
        size: as for the decoder without a class.
        latent: K.
        classes: how many there are.
        label: where the class comes in: ``input``.
        width: channels of the widest-side stage; at least 1.
        norm: normalisation after the dense layer and every convolution but the last.
        upsample: ``resize`` is nearest neighbour and a 3x3 convolution, ``transpose`` a 4x4 transposed one.

    Raises:
        ValueError: a size or width that these networks cannot have.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        latent: int,
        classes: int,
        *,
        label: Literal["input"] = "input",
        width: int = 64,
        norm: Literal["batch", "group", "none"] = "batch",
        upsample: Literal["resize", "transpose"] = "resize",
    ) -> None:
        super().__init__(channels, size, latent + classes, width=width, norm=norm, upsample=upsample)
        self.label, self.classes = label, classes

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        """Codes (B, K) and classes (B,) -> images (B, C, H, W) in [-1, 1]."""
        return super().forward(beside(z, label, self.classes))


class Generator(networks.Generator):
    """A code, noise and a class, concatenated, to an image (Mirza & Osindero 2014).

    Args:
        channels: C.
        size: as for the generator without a class.
        latent: K.
        noise: A, may be 0.
        classes: how many there are.
        label: where the class comes in: ``input``.
        width: channels of the widest-side stage; at least 1.
        norm: normalisation after the dense layer and every convolution but the last.
        upsample: ``resize`` is nearest neighbour and a 3x3 convolution, ``transpose`` a 4x4 transposed one.

    Raises:
        ValueError: a size or width that these networks cannot have.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        latent: int,
        noise: int,
        classes: int,
        *,
        label: Literal["input"] = "input",
        width: int = 64,
        norm: Literal["batch", "group", "none"] = "batch",
        upsample: Literal["resize", "transpose"] = "resize",
    ) -> None:
        super().__init__(channels, size, latent + classes, noise, width=width, norm=norm, upsample=upsample)
        self.label, self.classes = label, classes

    def forward(self, z: Tensor, noise: Tensor, label: Tensor) -> Tensor:
        """Codes (B, K), noise (B, A) and classes (B,) -> images (B, C, H, W) in [-1, 1]."""
        return super().forward(beside(z, label, self.classes), noise)


class NormGenerator(networks.Generator):
    """A code and noise to an image, each batch norm with a scale and a shift of each class (Dumoulin et al. 2017).

    So are generators of projection critics (Miyato & Koyama 2018, section 4).

    Args:
        channels: C.
        size: as for the generator without a class.
        latent: K.
        noise: A, may be 0.
        classes: how many there are.
        label: where the class comes in: at each ``norm``.
        width: channels of the widest-side stage; at least 1.
        upsample: ``resize`` is nearest neighbour and a 3x3 convolution, ``transpose`` a 4x4 transposed one.

    Raises:
        ValueError: a size or width that these networks cannot have.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        latent: int,
        noise: int,
        classes: int,
        *,
        label: Literal["norm"] = "norm",
        width: int = 64,
        upsample: Literal["resize", "transpose"] = "resize",
    ) -> None:
        super().__init__(channels, size, latent, noise, width=width, upsample=upsample)
        self.label = label
        _by_class(self.paint, classes)

    def forward(self, z: Tensor, noise: Tensor, label: Tensor) -> Tensor:
        """Codes (B, K), noise (B, A) and classes (B,) -> images (B, C, H, W) in [-1, 1]."""
        return _run(self.paint, torch.cat([z, noise], dim=1), label)


class Critic(networks.Critic):
    """An image and a class to a logit, real = positive (Mirza & Osindero 2014).

    The class is as many further channels of the image as there are classes, one of them 1. Taps as without a class.

    Args:
        channels: C.
        size: as for the critic without a class.
        classes: how many there are.
        label: where the class comes in: ``input``.
        width: channels of the first stage; at least 1.
        norm: ``spectral`` on every layer, ``batch`` after every convolution but the first, or ``none``.

    Raises:
        ValueError: a size or width that these networks cannot have.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        classes: int,
        *,
        label: Literal["input"] = "input",
        width: int = 64,
        norm: Literal["spectral", "batch", "none"] = "spectral",
    ) -> None:
        super().__init__(channels + classes, size, width=width, norm=norm)
        self.label, self.classes = label, classes

    def forward(self, x: Tensor, label: Tensor) -> api.CriticOutput:
        """Images (B, C, H, W) in [-1, 1] and classes (B,) -> logit (B,), unbounded, and the taps."""
        return super().forward(beside(x, label, self.classes))


class ProjectionCritic(networks.Critic):
    """An image and a class to a logit: phi(h) of the image alone, and the inner product of psi(h) and the class.

    psi(h) is the sum of the last stage over its places (Miyato & Koyama 2018, eq. 5). Taps as without a class.

    Args:
        channels: C.
        size: as for the critic without a class.
        classes: how many there are.
        label: where the class comes in: by ``projection``.
        width: channels of the first stage; at least 1.
        norm: ``spectral`` on every layer, ``batch`` after every convolution but the first, or ``none``.

    Raises:
        ValueError: a size or width that these networks cannot have.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        classes: int,
        *,
        label: Literal["projection"] = "projection",
        width: int = 64,
        norm: Literal["spectral", "batch", "none"] = "spectral",
    ) -> None:
        super().__init__(channels, size, width=width, norm=norm)
        self.label = label
        vectors = nn.Embedding(classes, stages_of(size, width)[0][-1])
        self.of_class = spectral_norm(vectors) if norm == "spectral" else vectors

    def forward(self, x: Tensor, label: Tensor) -> api.CriticOutput:
        """Images (B, C, H, W) in [-1, 1] and classes (B,) -> logit (B,), unbounded, and the taps."""
        found = super().forward(x)
        psi = found.taps[f"stage{len(self.stages)}"].sum((2, 3))
        return api.CriticOutput(found.logit + (psi * self.of_class(label)).sum(1), found.taps)


class ClassifyingCritic(networks.Critic):
    """An image to a logit, real = positive, and to those of its class, by layers in common (Odena et al. 2017).

    The tap ``class``, (B, classes), has the logits of the classes; the others are as without it.

    Args:
        channels: C.
        size: as for the critic without a class.
        classes: how many there are.
        label: what becomes of the class: it is ``predicted``.
        width: channels of the first stage; at least 1.
        norm: ``spectral`` on every layer, ``batch`` after every convolution but the first, or ``none``.

    Raises:
        ValueError: a size or width that these networks cannot have.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        classes: int,
        *,
        label: Literal["predicted"] = "predicted",
        width: int = 64,
        norm: Literal["spectral", "batch", "none"] = "spectral",
    ) -> None:
        super().__init__(channels, size, width=width, norm=norm)
        self.label = label
        widths, sides = stages_of(size, width)
        self.of_class = dense(widths[-1] * prod(sides), classes, norm)

    def forward(self, x: Tensor) -> api.CriticOutput:
        """Images (B, C, H, W) in [-1, 1] -> logit (B,), unbounded, and the taps."""
        features, taps = run_stages(self.stages, x)
        return api.CriticOutput(self.logit(features).squeeze(1), {**taps, "class": self.of_class(features)})


class ClassNorm(nn.Module):
    """Batch norm with a scale and a shift of each class, 1 and 0 at first (Dumoulin et al. 2017, eq. 5)."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(features, affine=False)
        self.scale = nn.Parameter(torch.ones(classes, features))
        self.shift = nn.Parameter(torch.zeros(classes, features))

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        """Features (B, F, M, N) and classes (B,) -> the same, normalised."""
        scale, shift = (embedding(label, of)[:, :, None, None] for of in (self.scale, self.shift))
        return self.norm(x) * scale + shift


def beside(x: Tensor, label: Tensor, classes: int) -> Tensor:
    """Images (B, C, ...) or codes (B, K) with a class beside them: as many more channels, one of them 1."""
    one = (label[:, None] == torch.arange(classes, device=label.device)).to(x.dtype)
    return torch.cat([x, one.view(*one.shape, *[1] * (x.ndim - 2)).expand(-1, -1, *x.shape[2:])], dim=1)


def _by_class(network: nn.Module, classes: int) -> None:
    """Has every batch norm of a network have a scale and a shift of each class."""
    for name, part in network.named_children():
        if isinstance(part, nn.BatchNorm2d):
            setattr(network, name, ClassNorm(part.num_features, classes))
        else:
            _by_class(part, classes)


def _run(network: nn.Sequential, x: Tensor, label: Tensor) -> Tensor:
    for part in network:
        if isinstance(part, nn.Sequential):
            x = _run(part, x, label)
        else:
            x = part(x, label) if isinstance(part, ClassNorm) else part(x)
    return x
