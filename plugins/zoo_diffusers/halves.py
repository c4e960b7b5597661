"""An autoencoder of diffusers' in two halves, each with the names that its tensors have in a folder of diffusers'.

B batch, C channels, H height, W width; z channels of a code, h x w places of it.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from zoo import api
from zoo_diffusers.families import FAMILIES, code_of, family_of
from zoo_diffusers.library import diffusers, keys_of

DECODING = ("quantize", "post_quant_conv", "decoder")
"""The parts of a model that make images of codes; all others make codes of images."""
STILL = ("quantize", "decoder.condition_encoder")
"""Parts that take no gradient: a codebook, which is passed straight through; what reads a mask, which nobody gives."""
LOWEST, HIGHEST = -30.0, 20.0
"""Between these diffusers keeps the logarithm of a variance."""


def build(family: str, config: Mapping[str, Any], channels: int) -> nn.Module:
    """A whole autoencoder with random weights, of a config as diffusers has it; block types that it leaves out are the
    family's own at every resolution, and images have ``channels``.

    Raises:
        ValueError: no such family, a key that its config has not, or diffusers is not installed.
    """
    own, known = family_of(family), keys_of(family)
    if unknown := [key for key in config if key not in known]:
        near = difflib.get_close_matches(unknown[0], known, n=1)
        choices = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}"
        raise ValueError(f"the config of {family} has no {unknown[0]!r}; {choices}")
    images = {key: channels for key in ("in_channels", "out_channels") if key in known}
    whole = {**images, **config}
    for key, levels in (own.blocks or {}).items():
        if key not in whole and levels in whole:
            whole[key] = [known[key].default[0]] * len(whole[levels])
    return getattr(diffusers(), family)(**whole)


class Half(nn.Module):
    """The parts of an autoencoder that make codes, or those that make images.

    Attributes:
        family: name of diffusers' class.
        config: all of its config, as diffusers writes it.
    """

    def __init__(self, channels: int, family: str, config: Mapping[str, Any], decodes: bool) -> None:
        super().__init__()
        whole = build(family, config, channels)
        children = dict(whole.named_children())
        codes = [name for name in children if name not in DECODING]
        for name in DECODING if decodes else codes:  # those that make images in their order: the last layer comes last
            if name in children:
                self.add_module(name, children[name])
        self.family = family
        self.config = {key: value for key, value in whole.config.items() if key in keys_of(family)}
        for name, module in self.named_modules():
            if name in STILL:
                module.requires_grad_(False)


class Encoder(Half):
    """Images -> a Gaussian over codes, as diffusers' ``encode`` gives it, its logarithmic variance kept in [-30, 20].

    A family without variances, such as a VQ or a tiny autoencoder, has ``sigma`` everywhere. Codes are not scaled: a
    ``scaling_factor`` is applied by whoever trains on them.

    Args:
        channels: C, where the config has no ``in_channels``.
        family: AutoencoderKL, AsymmetricAutoencoderKL, AutoencoderKLFlux2, AutoencoderTiny, AutoencoderDC or VQModel.
        config: as in the ``config.json`` of a model; what is left out has diffusers' defaults.
        sigma: standard deviation of the codes of a family that has none.

    Raises:
        ValueError: see ``build``.
    """

    def __init__(
        self,
        channels: int,
        *,
        family: str = "AutoencoderKL",
        config: dict[str, int | float | bool | str | list[int] | list[float] | list[str] | list[list[int]] | None] = {},  # noqa: B006
        sigma: float = 1e-6,
    ) -> None:
        super().__init__(channels, family, config, decodes=False)
        self.gaussian, self.log_sigma = FAMILIES[family].gaussian, math.log(sigma)

    def forward(self, x: Tensor) -> api.Gaussian:
        """(B, C, H, W) in [-1, 1] -> (B, z, h, w)."""
        moments = self.encoder(x)
        if (last := getattr(self, "quant_conv", None)) is not None:
            moments = last(moments)
        if not self.gaussian:
            return api.Gaussian(moments, torch.full_like(moments, self.log_sigma))
        mean, log_variance = moments.chunk(2, dim=1)
        return api.Gaussian(mean, 0.5 * log_variance.clamp(LOWEST, HIGHEST))


class Decoder(Half):
    """Codes -> images, as diffusers' ``decode`` gives them; those of a ``VQModel`` are quantised first.

    Nothing keeps them within [-1, 1]. A codebook takes no gradient: straight through, it has none.

    Args:
        channels: C, where the config has no ``out_channels``.
        family: as of the encoder.
        config: as of the encoder.

    Raises:
        ValueError: see ``build``.
    """

    def __init__(
        self,
        channels: int,
        *,
        family: str = "AutoencoderKL",
        config: dict[str, int | float | bool | str | list[int] | list[float] | list[str] | list[list[int]] | None] = {},  # noqa: B006
    ) -> None:
        super().__init__(channels, family, config, decodes=True)

    def forward(self, z: Tensor) -> Tensor:
        """(B, z, h, w) -> (B, C, H, W)."""
        if (quantize := getattr(self, "quantize", None)) is not None:
            z = quantize(z)[0]
        first = getattr(self, "post_quant_conv", None)
        spatial = (z,) if self.config.get("norm_type") == "spatial" else ()  # norms that are told the codes
        return self.decoder(z if first is None else first(z), *spatial)


class Generator(Decoder):
    """G(z, z_a): a decoder of codes to which a linear map of the noise is added (after Plumerault et al. 2020).

    That map begins small, so that one that begins with the ``weights`` of a decoder begins as that decoder.

    Args:
        channels: C, where the config has no ``out_channels``.
        height: H.
        width: W.
        noise: A, the numbers of z_a; 0 for none.
        family: as of the encoder.
        config: as of the encoder.

    Raises:
        ValueError: see ``build``.
    """

    added = ("spread",)

    def __init__(
        self,
        channels: int,
        height: int,
        width: int,
        noise: int,
        *,
        family: str = "AutoencoderKL",
        config: dict[str, int | float | bool | str | list[int] | list[float] | list[str] | list[list[int]] | None] = {},  # noqa: B006
    ) -> None:
        super().__init__(channels, family=family, config=config)
        if noise:
            depth, factor = code_of(family, config)
            self.spread = nn.Linear(noise, depth * (height // factor) * (width // factor), bias=False)
            nn.init.normal_(self.spread.weight, std=0.01)

    def forward(self, z: Tensor, noise: Tensor) -> Tensor:
        """(B, z, h, w) and (B, A) -> (B, C, H, W)."""
        return super().forward(z + self.spread(noise).view_as(z) if noise.shape[1] else z)
