"""The encoder ``timm-maps`` and the decoder ``vit``: codes are a timm model's last features, as a map.

B batch, C channels, D features of a place, H, W image sides.
"""

from __future__ import annotations

import math

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from zoo import api
from zoo_timm.build import Size, sides_of
from zoo_timm.trunk import Trunk


class MapEncoder(nn.Module):
    """The feature map after a timm model's last stage, each place of mean 0 and variance 1 (Zheng et al. 2025).

    Args:
        channels: C; given to the model's first layer.
        size: H and W; one number where they are equal.
        model: a name of ``timm.list_models()``, a ViT such as DINO's; ``name.tag`` chooses among its weights.
        pretrained: true for timm's hub, the path of a file of weights, or false for random features.
        depth: D, features of the model.
        factor: how many times smaller its last map is than the image, a ViT's patch.
        frozen: whether it stays as it is, as in RAE; its slot is then in no row.

    Raises:
        ValueError: unknown model, weights that do not fit, or another depth or factor than the model's.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        *,
        model: str = "vit_base_patch16_dinov3",
        pretrained: bool | str = True,
        depth: int = 768,
        factor: int = 16,
        frozen: bool = True,
    ) -> None:
        super().__init__()
        self.trunk, self.frozen = Trunk(channels, size, model, pretrained, "keep", None, tapped=True), frozen
        features, down, across = self.trunk.shapes[self.trunk.taps[-1]]
        if (features, down * factor, across * factor) != (depth, *sides_of(size)):
            height, width = sides_of(size)
            places = f"{down} x {across} places at {height} x {width} px"
            told = f"timm model {model!r} gives {features} features for each of {places}"
            raise ValueError(f"{told}: set depth to {features} and factor to {height / down:g}")
        if frozen:
            self.trunk.requires_grad_(False).eval()
        if (norm := getattr(self.trunk.network, "norm", None)) is not None:
            norm.requires_grad_(False)  # a ViT's last, in whose place each place is normalised

    def train(self, mode: bool = True) -> MapEncoder:
        """A frozen one stays as at evaluation."""
        super().train(mode)
        if self.frozen:
            self.trunk.eval()
        return self

    def forward(self, x: Tensor) -> api.Gaussian:
        """Images (B, C, H, W) -> codes (B, D, H / factor, W / factor), a Gaussian without a deviation of its own."""
        stage = self.trunk.with_taps(x)[1][self.trunk.taps[-1]]
        codes = layer_norm(stage.movedim(1, -1), stage.shape[1:2]).movedim(-1, 1)
        return api.Gaussian(codes, torch.zeros_like(codes))


class VitDecoder(nn.Module):
    """A ViT from a map of codes to patches of pixels (Zheng et al. 2025, section 3; He et al. 2022).

    Args:
        channels: C.
        size: H and W; one number where they are equal.
        latent: shape of a code, (D, H / patch, W / patch).
        width: features of a token.
        blocks: of attention and two dense layers.
        heads: of attention.

    Raises:
        ValueError: codes that do not divide the image, or heads that do not divide the width.
    """

    places: Tensor

    def __init__(
        self,
        channels: int,
        size: Size,
        latent: tuple[int, int, int],
        *,
        width: int = 1152,
        blocks: int = 28,
        heads: int = 16,
    ) -> None:
        super().__init__()
        depth, *sides = latent
        self.patch, rest = divmod(sides_of(size)[0], sides[0])
        if rest or [side * self.patch for side in sides] != [*sides_of(size)]:
            codes, images = (" x ".join(map(str, one)) for one in (sides, sides_of(size)))
            raise ValueError(f"codes of {codes} places do not divide images of {images}")
        if width % heads or width % 4:
            raise ValueError(f"width {width} must be a multiple of 4 and of heads, {heads}")
        self.channels = channels
        self.read = nn.Linear(depth, width)
        self.register_buffer("places", _waves(*sides, width), persistent=False)
        self.blocks = nn.Sequential(*(Block(width, heads, qkv_bias=True) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width)
        self.write = nn.Linear(width, channels * self.patch**2)

    def forward(self, z: Tensor) -> Tensor:
        """Codes (B, D, H / patch, W / patch) -> images (B, C, H, W), about in [-1, 1]; nothing bounds them."""
        down, across = z.shape[2:]
        tokens = self.read(z.flatten(2).transpose(1, 2)) + self.places.to(z.dtype)
        pixels = self.write(self.norm(self.blocks(tokens)))  # (B, places, C patch^2)
        pixels = pixels.view(-1, down, across, self.channels, self.patch, self.patch)
        return pixels.permute(0, 3, 1, 4, 2, 5).reshape(-1, self.channels, down * self.patch, across * self.patch)


def _waves(down: int, across: int, width: int) -> Tensor:
    """Sines and cosines of a place's row and column (Vaswani et al. 2017, in two dimensions), (places, width)."""
    rates = torch.exp(-math.log(10_000) * torch.arange(width // 4) / (width // 4))
    angles = torch.arange(max(down, across))[:, None] * rates
    one = torch.cat([angles.sin(), angles.cos()], 1)  # (side, width / 2)
    rows, columns = one[:down, None].expand(-1, across, -1), one[None, :across].expand(down, -1, -1)
    return torch.cat([rows, columns], 2).flatten(0, 1)


def noised_codes(posterior_mean: Tensor, decoder: nn.Module, draw: api.Draw, *, tau: float = 0.8) -> Tensor:
    """z + sigma n in training, sigma = tau |normal| for each image: a decoder that bears what a generator makes
    (Zheng et al. 2025, section 4.3); z itself otherwise.

    Args:
        posterior_mean: codes (B, D, ...).
        decoder: which is trained or not.
        draw: numbers for each image.
        tau: standard deviation of sigma, before its sign is dropped.
    """
    if not decoder.training:
        return posterior_mean
    sigma = tau * draw.normal(len(posterior_mean), *[1] * (posterior_mean.ndim - 1)).abs()
    return posterior_mean + sigma * draw.normal(*posterior_mean.shape)
