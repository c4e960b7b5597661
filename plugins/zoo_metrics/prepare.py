"""Pixels as a network is to see them: cropped, resized, rounded, as a protocol says.

B batch, H, W image sides, S side of what the network sees.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from zoo_metrics.protocols import Protocol


def prepared(pixels: Tensor, protocol: Protocol) -> Tensor:
    """uint8 (B, 3, H, W) -> float32 (B, 3, S, S) in 0..255, in the protocol's order of channels."""
    pixels = cropped(pixels, protocol.crop)
    images = resized(pixels, protocol)
    if protocol.rounding == "nearest":
        images = images.round()
    elif protocol.rounding == "down":
        images = images.floor()
    return images if protocol.order == "RGB" else images.flip(1)


def cropped(pixels: Tensor, crop: str | int) -> Tensor:
    """The central square of (B, C, H, W): the largest, or of a side; what does not divide goes to the bottom right.

    Raises:
        ValueError: images smaller than the crop.
    """
    if crop == "none":
        return pixels
    height, width = pixels.shape[2:]
    side = min(height, width) if crop == "square" else int(crop)
    if side > min(height, width):
        raise ValueError(f"a crop of {side} px needs larger images than {width} x {height}")
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[..., top : top + side, left : left + side]


def resized(pixels: Tensor, protocol: Protocol) -> Tensor:
    """uint8 (B, 3, H, W) -> float32 (B, 3, S, S), clipped to 0..255 where a filter overshoots."""
    side = protocol.size
    if protocol.library == "tensorflow":
        return tensorflow_resize(pixels.float(), side)
    if protocol.library == "pillow":
        return pillow_resize(pixels, side, protocol.filter, protocol.rounding == "nearest")
    if pixels.shape[2:] == (side, side):
        return pixels.float()
    found = interpolate(pixels.float(), (side, side), mode=protocol.filter, antialias=protocol.antialias)
    return found.clamp(0, 255)


def pillow_resize(pixels: Tensor, side: int, kind: str, whole: bool) -> Tensor:
    """Pillow's resize of each image: in uint8 (``whole``), or of each channel in floats, clipped to 0..255."""
    resample, size = Image.Resampling[kind.upper()], (side, side)
    if whole:
        images = (Image.fromarray(image).resize(size, resample) for image in pixels.movedim(1, -1).cpu().numpy())
        found = torch.from_numpy(np.stack([np.asarray(image) for image in images])).movedim(-1, 1).float()
    else:
        planes = pixels.flatten(0, 1).float().cpu().numpy()
        images = (np.asarray(Image.fromarray(plane).resize(size, resample)) for plane in planes)
        found = torch.from_numpy(np.stack(list(images))).unflatten(0, pixels.shape[:2]).clamp_(0, 255)
    return found.to(pixels.device)


def tensorflow_resize(images: Tensor, side: int) -> Tensor:
    """TensorFlow 1's bilinear resize of (B, C, H, W): pixels' top left corners aligned, nothing smoothed."""
    down, across = (_interpolation(size, side).to(images) for size in images.shape[2:])
    return down @ images @ across.T


@lru_cache(maxsize=8)
def _interpolation(size: int, side: int) -> Tensor:
    """(side, size): place i of the output lies at i size / side of the input."""
    at = torch.arange(side) * (size / side)
    low = at.long().clamp(max=size - 1)
    part = at - low
    matrix = torch.zeros(side, size)
    matrix[torch.arange(side), low] += 1 - part
    matrix[torch.arange(side), (low + 1).clamp(max=size - 1)] += part
    return matrix
