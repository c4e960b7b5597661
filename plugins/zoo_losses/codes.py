"""What maps of codes may be asked beside reconstruction: to look like a teacher's features, to turn as images do.

B batch, D features of a place, M, N sides of a map.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize, relu

from zoo import api

GOLDEN = (math.sqrt(5) - 1) / 2
"""Its multiples, modulo 1, fill a line evenly, however many are taken."""


class Alignment(nn.Module):
    """A linear map from codes to a teacher's features, the same at each place (Yao et al. 2025, section 3.2).

    Args:
        latent: shape of a code, (D, M, N).
        features: of the teacher.
    """

    def __init__(self, latent: tuple[int, int, int], *, features: int = 768) -> None:
        super().__init__()
        depth, _, _ = latent
        self.map = nn.Conv2d(depth, features, 1, bias=False)

    def forward(self, z: Tensor) -> Tensor:
        """Codes (B, D, M, N) -> (B, features, M, N)."""
        return self.map(z)


def teacher_features(teacher: nn.Module, x: Tensor) -> Tensor:
    """The features of images by the slot ``teacher``, an encoder of maps that stays as it is, (B, features, M, N)."""
    posterior: api.Gaussian = teacher(x)
    return posterior.mean


def aligned_codes(alignment: nn.Module, posterior_mean: Tensor) -> Tensor:
    """The encoder's codes through the slot ``alignment``, (B, features, M, N)."""
    return alignment(posterior_mean)


def feature_alignment(
    aligned_codes: Tensor,
    teacher_features_held: Tensor,
    *,
    cosine_margin: float = 0.5,
    distance_margin: float = 0.25,
) -> Tensor:
    """mean relu(1 - m_1 - cos(z, f)) + mean relu(|cos(z_i, z_j) - cos(f_i, f_j)| - m_2) (Yao et al. 2025, eq. 5, 6).

    The first mean is over places, the second over pairs of places of an image.

    Args:
        aligned_codes: z (B, features, M, N).
        teacher_features_held: f, of the same shape.
        cosine_margin: m_1.
        distance_margin: m_2.

    Raises:
        ValueError: if the two differ in shape.
    """
    if aligned_codes.shape != teacher_features_held.shape:
        z, f = (" x ".join(map(str, t.shape[1:])) for t in (aligned_codes, teacher_features_held))
        raise ValueError(
            f"codes are {z} and the teacher's features {f}: set features, and a factor that is the teacher's"
        )
    z, f = (normalize(t.flatten(2), dim=1) for t in (aligned_codes, teacher_features_held))
    near = relu(1 - cosine_margin - (z * f).sum(1)).mean()
    alike = relu((z.mT @ z - f.mT @ f).abs() - distance_margin).mean()
    return near + alike


def turns(batch: int, draw: api.Draw, *, share: float = 0.5) -> Tensor:
    """How many quarter turns each image is given: none, or, of a ``share`` of them, one, two or three, (B,).

    Args:
        batch: B.
        draw: numbers for each image.
        share: of the images that are turned.
    """
    chosen, which = draw.uniform(batch, 2).unbind(1)
    return torch.where(chosen < share, 1 + (3 * which).long().clamp(max=2), 0)


def x_turned(x: Tensor, turns: Tensor) -> Tensor:
    """T x, (B, C, H, H): what D(T z) is to be (EQ-VAE, Kouzelis et al. 2025, eq. 5)."""
    return _turned(x, turns)


def codes_turned(z_posterior: Tensor, turns: Tensor) -> Tensor:
    """T z, (B, D, M, M) (EQ-VAE, Kouzelis et al. 2025, eq. 5), of quarter turns; ``codes_shrunk`` scales them too."""
    return _turned(z_posterior, turns)


def codes_shrunk(codes_turned: Tensor, step: int, *, least: float = 0.25, share: float = 0.5) -> Tensor:
    """T z of turns and scales, (B, D, M', M') (EQ-VAE, Kouzelis et al. 2025, eq. 5): at a share of steps M' < M.

    It goes from ``least`` M to M - 1, each as often, in the order of multiples of the golden ratio, which leaves no
    stretch of steps without some of each; step 0 has M. All images of a batch, and all processes, have the same.

    Args:
        codes_turned: maps of codes.
        step: of the training.
        least: smallest side, as a share of M.
        share: of the steps.

    Raises:
        ValueError: for a share that is none.
    """
    if not 0 < least <= 1 or not 0 <= share <= 1:
        raise ValueError(f"'least' is in (0, 1] and 'share' in [0, 1], not {least:g} and {share:g}")
    side = codes_turned.shape[-1]
    smallest = math.ceil(least * side)
    place = (step + 1) * GOLDEN % 1
    return _shrunk(codes_turned, smallest + int(place / share * (side - smallest)) if place < share else side)


def x_shrunk(x_turned: Tensor, codes_turned: Tensor, codes_shrunk: Tensor) -> Tensor:
    """T x of turns and scales, (B, C, H', H'): as much smaller as the codes are."""
    return _shrunk(x_turned, x_turned.shape[-1] * codes_shrunk.shape[-1] // codes_turned.shape[-1])


def _shrunk(maps: Tensor, side: int) -> Tensor:
    """Maps of a smaller side, by a bilinear filter as wide as a pixel of them."""
    same = side == maps.shape[-1]
    return maps if same else interpolate(maps, (side, side), mode="bilinear", antialias=True)


def _turned(maps: Tensor, turns: Tensor) -> Tensor:
    if maps.ndim != 4 or maps.shape[2] != maps.shape[3]:
        raise ValueError(f"quarter turns are of square maps, and this is {' x '.join(map(str, maps.shape[1:]))}")
    which, found = turns.view(-1, 1, 1, 1), maps
    for quarter in (1, 2, 3):
        found = torch.where(which == quarter, maps.rot90(quarter, (2, 3)), found)
    return found
