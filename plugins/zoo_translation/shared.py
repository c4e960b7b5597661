"""Values of UNIT (Liu et al. 2017): both domains have codes in one space, so that a code is painted in either.

An encoder is one of its domain's and then one for both; a decoder is one for both and then one of its domain's. Shapes:
images (B, C, H, W) in [-1, 1], codes (B, F, M, N). A code is its mean and noise of deviation 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

    from zoo.api import Draw


def x_code_mean(x_encoder: nn.Module, shared_encoder: nn.Module, x: Tensor) -> Tensor:
    """E_x(x), the mean of q_x(z|x) (Liu et al. 2017, section 3)."""
    return shared_encoder(x_encoder(x))


def y_code_mean(y_encoder: nn.Module, shared_encoder: nn.Module, y: Tensor) -> Tensor:
    """E_y(y)."""
    return shared_encoder(y_encoder(y))


def y_of_x_code_mean(y_encoder: nn.Module, shared_encoder: nn.Module, y_of_x: Tensor) -> Tensor:
    """E_y of what x became."""
    return shared_encoder(y_encoder(y_of_x))


def x_of_y_code_mean(x_encoder: nn.Module, shared_encoder: nn.Module, x_of_y: Tensor) -> Tensor:
    """E_x of what y became."""
    return shared_encoder(x_encoder(x_of_y))


def x_code(x_code_mean: Tensor, draw: Draw) -> Tensor:
    """z ~ q_x(z|x) = N(E_x(x), I)."""
    return x_code_mean + draw.normal(*x_code_mean.shape)


def y_code(y_code_mean: Tensor, draw: Draw) -> Tensor:
    """z ~ q_y(z|y) = N(E_y(y), I)."""
    return y_code_mean + draw.normal(*y_code_mean.shape)


def y_of_x_code(y_of_x_code_mean: Tensor, draw: Draw) -> Tensor:
    """z ~ q_y at what x became."""
    return y_of_x_code_mean + draw.normal(*y_of_x_code_mean.shape)


def x_of_y_code(x_of_y_code_mean: Tensor, draw: Draw) -> Tensor:
    """z ~ q_x at what y became."""
    return x_of_y_code_mean + draw.normal(*x_of_y_code_mean.shape)


def x_decoded(x_decoder: nn.Module, shared_decoder: nn.Module, x_code: Tensor) -> Tensor:
    """x from its code, an image of the domain that it is of (Liu et al. 2017, eq. 3)."""
    return x_decoder(shared_decoder(x_code))


def y_decoded(y_decoder: nn.Module, shared_decoder: nn.Module, y_code: Tensor) -> Tensor:
    """y from its code."""
    return y_decoder(shared_decoder(y_code))


def y_of_x_decoded(y_decoder: nn.Module, shared_decoder: nn.Module, x_code: Tensor) -> Tensor:
    """The code of x as an image of the domain of y (Liu et al. 2017, eq. 4)."""
    return y_decoder(shared_decoder(x_code))


def x_of_y_decoded(x_decoder: nn.Module, shared_decoder: nn.Module, y_code: Tensor) -> Tensor:
    """The code of y as an image of the domain of x."""
    return x_decoder(shared_decoder(y_code))


def x_decoded_again(x_decoder: nn.Module, shared_decoder: nn.Module, y_of_x_code: Tensor) -> Tensor:
    """x, there and back (Liu et al. 2017, eq. 5)."""
    return x_decoder(shared_decoder(y_of_x_code))


def y_decoded_again(y_decoder: nn.Module, shared_decoder: nn.Module, x_of_y_code: Tensor) -> Tensor:
    """y, there and back."""
    return y_decoder(shared_decoder(x_of_y_code))
