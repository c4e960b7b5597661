"""Values of MUNIT (Huang et al. 2018): an image is a content, which both domains have, and a style of its domain.

Shapes: images (B, C, H, W) in [-1, 1], contents (B, F, M, N), styles (B, S). Drawn styles are codes from the prior.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


def x_content(x_encoder: nn.Module, x: Tensor) -> Tensor:
    """c_x = E_x^c(x) (Huang et al. 2018, section 3.2)."""
    return x_encoder(x)


def y_content(y_encoder: nn.Module, y: Tensor) -> Tensor:
    """c_y = E_y^c(y)."""
    return y_encoder(y)


def x_style(x_style_encoder: nn.Module, x: Tensor) -> Tensor:
    """s_x = E_x^s(x)."""
    return x_style_encoder(x)


def y_style(y_style_encoder: nn.Module, y: Tensor) -> Tensor:
    """s_y = E_y^s(y)."""
    return y_style_encoder(y)


def x_painted(x_decoder: nn.Module, x_content: Tensor, x_style: Tensor) -> Tensor:
    """G_x(c_x, s_x), which is to be x (Huang et al. 2018, eq. 1)."""
    return x_decoder(x_content, x_style)


def y_painted(y_decoder: nn.Module, y_content: Tensor, y_style: Tensor) -> Tensor:
    """G_y(c_y, s_y), which is to be y."""
    return y_decoder(y_content, y_style)


def y_of_x_painted(y_decoder: nn.Module, x_content: Tensor, y_style_drawn: Tensor) -> Tensor:
    """G_y(c_x, s), s ~ N(0, I): the content of x in any style of y."""
    return y_decoder(x_content, y_style_drawn)


def x_of_y_painted(x_decoder: nn.Module, y_content: Tensor, x_style_drawn: Tensor) -> Tensor:
    """G_x(c_y, s), s ~ N(0, I)."""
    return x_decoder(y_content, x_style_drawn)


def x_content_again(y_encoder: nn.Module, y_of_x: Tensor) -> Tensor:
    """E_y^c(G_y(c_x, s)), which is to be c_x (Huang et al. 2018, eq. 2)."""
    return y_encoder(y_of_x)


def y_content_again(x_encoder: nn.Module, x_of_y: Tensor) -> Tensor:
    """E_x^c(G_x(c_y, s)), which is to be c_y."""
    return x_encoder(x_of_y)


def y_style_again(y_style_encoder: nn.Module, y_of_x: Tensor) -> Tensor:
    """E_y^s(G_y(c_x, s)), which is to be s (Huang et al. 2018, eq. 3)."""
    return y_style_encoder(y_of_x)


def x_style_again(x_style_encoder: nn.Module, x_of_y: Tensor) -> Tensor:
    """E_x^s(G_x(c_y, s)), which is to be s."""
    return x_style_encoder(x_of_y)


def x_painted_again(x_decoder: nn.Module, x_content_again: Tensor, x_style: Tensor) -> Tensor:
    """x, there and back in its own style (Huang et al. 2018, section 5.1)."""
    return x_decoder(x_content_again, x_style)
