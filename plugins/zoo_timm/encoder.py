"""The encoder ``timm``: a Gaussian over codes from any timm model."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from zoo import api
from zoo_timm.build import Size
from zoo_timm.trunk import Trunk


class Encoder(nn.Module):
    """q(z|x) = N(mu(x), sigma(x)^2) with mu a linear map of a timm model's features.

    Ours on timm's networks; the Gaussian head is that of Kingma & Welling 2014, appendix C.2.
    Dropout and stochastic depth of the model are off. Batch norms stay as they are.

    Args:
        channels: C; given to the model's first layer.
        size: H and W; one number where they are equal.
        latent: K.
        model: a name of ``timm.list_models()``; ``name.tag`` chooses among its pretrained weights.
        pretrained: false; true for timm's hub (downloaded once to the user's cache); or the path of a
            ``.pt``, ``.pth`` (read with ``weights_only=True``) or ``.safetensors`` file of the same model.
            When not false, images are moved from [-1, 1] to the mean and standard deviation the weights were
            trained with.
        sigma: ``head`` for a second linear map of the features to log sigma; ``global`` for one learned
            vector, 0 at the start and the same for every image (AVAE as published).
        stem: ``small`` gives a convolutional stem stride 1 and no max pool; ``keep`` leaves it; ``auto`` is
            small below 64 pixels for models that can be made small, else keep.
        pool: ``model`` for the model's pooled features; ``flatten`` for its whole last feature map, which
            keeps where things are (the head then has F H' W' inputs).
        patch: side of the patches in models that cut them, such as ViTs; none for the model's own.

    Returns:
        Gaussian with mean and log_sigma of (B, K), from images (B, C, H, W) in [-1, 1].

    Raises:
        ValueError: unknown model, weights that do not fit, or a model that cannot take images of this size.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        latent: int,
        *,
        model: str = "resnet18",
        pretrained: bool | str = False,
        sigma: Literal["head", "global"] = "head",
        stem: Literal["auto", "keep", "small"] = "auto",
        pool: Literal["model", "flatten"] = "model",
        patch: int | None = None,
    ) -> None:
        super().__init__()
        self.trunk = Trunk(channels, size, model, pretrained, stem, patch, pool=pool)
        self.mean = nn.Linear(self.trunk.features, latent)
        if sigma == "head":
            self.log_sigma = nn.Linear(self.trunk.features, latent)
        else:
            self.log_sigma = nn.Parameter(torch.zeros(latent))

    def forward(self, x: Tensor) -> api.Gaussian:
        """(B, C, H, W) in [-1, 1] -> a Gaussian over (B, K)."""
        features = self.trunk(x)  # (B, F)
        mean = self.mean(features)
        if isinstance(self.log_sigma, nn.Parameter):
            return api.Gaussian(mean, self.log_sigma.expand_as(mean))
        return api.Gaussian(mean, self.log_sigma(features))
