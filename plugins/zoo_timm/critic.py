"""The critics ``timm`` (images) and ``timm-joint`` (images with their codes)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from zoo import api
from zoo_timm.build import Size, spectral
from zoo_timm.trunk import Trunk


class Critic(nn.Module):
    """A timm model with one linear logit on its features, and its stages as taps.

    Ours on timm's networks. Dropout and stochastic depth are off; attention is written out, so second
    derivatives exist (gradient penalties).

    Args:
        channels: C; given to the model's first layer.
        size: H and W; one number where they are equal.
        model: a name of ``timm.list_models()``; ``name.tag`` chooses among its pretrained weights.
        pretrained: as for the encoder ``timm``.
        norm: ``group`` puts group norms in place of batch norms, so that a logit and its gradient are about
            one image (Gulrajani et al. 2017, section 4); ``spectral`` drops batch norms and divides the
            weight of every convolution and linear layer by its largest singular value (Miyato et al. 2018):
            a critic that cannot run away, for ResNets; measured at the start, features of efficientnet_b0
            shrink to 1e-18, since its blocks have few shortcuts; ``keep`` leaves the model alone; ``none``
            drops batch norms. Layer norms always stay. ``auto`` is group, and keep for pretrained weights.
        stem: ``small``, ``keep`` or ``auto``, as for the encoder.
        patch: side of the patches in models that cut them; none for the model's own.

    Returns:
        CriticOutput: logit (B,), real = positive; taps ``stage1`` .. ``stageN``, one a stage (a ViT: one a
        block), each (B, F', H', W') from the same pass, what the stage returns, before the final norm.

    Raises:
        ValueError: unknown model, weights that do not fit or would lose their batch norms, or a model that
            cannot take images of this size.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        *,
        model: str = "resnet18",
        pretrained: bool | str = False,
        norm: Literal["auto", "keep", "spectral", "group", "none"] = "auto",
        stem: Literal["auto", "keep", "small"] = "auto",
        patch: int | None = None,
    ) -> None:
        super().__init__()
        norm = _norm(norm, pretrained)
        self.trunk = Trunk(channels, size, model, pretrained, stem, patch, norm=norm, tapped=True)
        self.logit = nn.Linear(self.trunk.features, 1)
        if norm == "spectral":
            spectral(self.logit)

    def forward(self, x: Tensor) -> api.CriticOutput:
        """(B, C, H, W) in [-1, 1] -> logit (B,) and taps."""
        features, taps = self.trunk.with_taps(x)  # (B, F)
        return api.CriticOutput(self.logit(features).squeeze(1), taps)


class JointCritic(nn.Module):
    """A critic of pairs, BiGAN's (Donahue et al. 2016) and ALI's (Dumoulin et al. 2016), on timm's networks.

    An image trunk and a code trunk, concatenated.

    Args:
        channels: C; given to the model's first layer.
        size: H and W; one number where they are equal.
        latent: K.
        model: the image trunk, a name of ``timm.list_models()``.
        pretrained: weights of the image trunk, as for the encoder ``timm``.
        norm: as for the critic ``timm``; ``spectral`` holds for the code trunk and the joint layers too, the
            other choices for the image trunk alone.
        hidden: width of the code trunk (two layers) and of the joint layer.
        stem: ``small``, ``keep`` or ``auto``, as for the encoder.
        patch: side of the patches in models that cut them; none for the model's own.

    Returns:
        CriticOutput: logit (B,), pairs (x, E(x)) = positive; taps ``stage1`` .. ``stageN`` of the image
        trunk, and ``joint``, the hidden layer of both after its activation, (B, hidden).

    Raises:
        ValueError: as the critic ``timm``.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        latent: int,
        *,
        model: str = "resnet18",
        pretrained: bool | str = False,
        norm: Literal["auto", "keep", "spectral", "group", "none"] = "auto",
        hidden: int = 512,
        stem: Literal["auto", "keep", "small"] = "auto",
        patch: int | None = None,
    ) -> None:
        super().__init__()
        norm = _norm(norm, pretrained)
        self.trunk = Trunk(channels, size, model, pretrained, stem, patch, norm=norm, tapped=True)
        self.codes = nn.Sequential(_Dense(latent, hidden), _Dense(hidden, hidden))
        self.joint = _Dense(self.trunk.features + hidden, hidden)
        self.logit = nn.Linear(hidden, 1)
        if norm == "spectral":
            for part in (self.codes, self.joint, self.logit):
                spectral(part)

    def forward(self, x: Tensor, z: Tensor) -> api.CriticOutput:
        """(B, C, H, W) in [-1, 1] and (B, K) -> logit (B,) and taps."""
        features, taps = self.trunk.with_taps(x)  # (B, F)
        joint = self.joint(torch.cat([features, self.codes(z)], 1))  # (B, hidden)
        return api.CriticOutput(self.logit(joint).squeeze(1), {**taps, "joint": joint})


class _Dense(nn.Sequential):
    """A linear layer and LeakyReLU 0.2."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.Linear(inputs, outputs), nn.LeakyReLU(0.2))


def _norm(norm: str, pretrained: bool | str) -> str:
    """The norm that ``auto`` stands for; pretrained weights mean nothing without their batch norms."""
    if norm == "auto":
        return "keep" if pretrained else "group"
    if pretrained and norm != "keep":
        raise ValueError(f"pretrained weights need their batch norms, which norm: {norm} drops; use norm: keep")
    return norm
