"""Values of style-based generators: a style for each layer, mixed or not, and images of them (Karras et al. 2019).

Shapes: B batch, K latent, L layers that have a style each.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from zoo import api


def style(mapping: nn.Module, z: Tensor) -> Tensor:
    """w = f(z), f the slot ``mapping`` (Karras et al. 2019, section 2), (B, K)."""
    return mapping(z)


def styles(generator: Any, style: Tensor) -> Tensor:
    """The same style for each layer, (B, L, K)."""
    return style[:, None].expand(-1, generator.styles, -1)


def mixed_styles(
    generator: Any, style: Tensor, other_style: Tensor, draw: api.Draw, *, probability: float = 0.9
) -> Tensor:
    """One style for the layers before a random one, another from there on (Karras et al. 2019, section 3.1), (B, L, K).

    Args:
        generator: says how many layers there are.
        style: (B, K).
        other_style: (B, K), of other codes.
        draw: numbers for each image.
        probability: of an image to have two styles.
    """
    mixes, where = draw.uniform(style.shape[0], 2).unbind(1)
    layers = generator.styles
    first = torch.where(mixes < probability, 1 + (where * (layers - 1)).long().clamp(max=layers - 2), layers)
    of_other = torch.arange(layers, device=style.device) >= first[:, None]  # (B, L)
    return torch.where(of_other[:, :, None], other_style[:, None], style[:, None])


def styled(generator: Any, styles: Tensor, draw: api.Draw) -> Tensor:
    """G(w, noise), noise ~ N(0, I), one for each pixel of a layer (Karras et al. 2019, section 2), (B, C, H, W)."""
    return generator(styles, draw.normal(styles.shape[0], *generator.noise))


def style_slopes(generator: Any, styles: Tensor, draw: api.Draw) -> Tensor:
    """J^T y, J = dG/dw, y ~ N(0, I) / sqrt(H W) (Karras et al. 2020, section 3.2), recorded, of the styles' shape.

    Args:
        generator: of styles and noise.
        styles: w (B, L, K).
        draw: for noise, then for y.
    """
    w = styles if styles.requires_grad else styles.detach().requires_grad_()
    images = styled(generator, w, draw)
    y = draw.normal(*images.shape) / math.sqrt(math.prod(images.shape[2:]))
    return torch.autograd.grad((images * y).sum(), w, create_graph=True)[0]
