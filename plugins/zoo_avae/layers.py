"""The layers of the published AVAE networks: 5x5 convolutions with TensorFlow's SAME padding, Keras' batch norm.

Shapes: B batch, C channels, H = W = size, F features of a layer. Weights start as N(0, 0.02), biases as 0.
Activations are never in place: several gradients are taken over one graph.
"""

from __future__ import annotations

from itertools import pairwise

from einops.layers.torch import Rearrange
from torch import Tensor, nn

KERNEL = 5
SIDE = 4
"""Side of the smallest feature map, between the dense layer and the convolutions."""

STRIDES = {32: (2, 2, 1, 2), 64: (2, 2, 2, 2)}
"""Strides of the four stages from the image inwards, by size of the image: at 32 px the third keeps the side."""

SPREAD = 0.02
"""Standard deviation of the initial weights, and of batch norm's initial gammas around 1."""


class SameConv(nn.Module):
    """A 5x5 convolution that gives side H / stride, padded as TensorFlow's SAME does.

    The total padding, 5 - stride on an even side, is split with the odd pixel at the end: stride 2 pads 1
    before and 2 after, stride 1 pads 2 and 2.

    Args:
        inputs: channels in.
        outputs: channels out.
        stride: 1 or 2.
        bias: whether it adds one; none before batch norm, which takes it away again.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, *, bias: bool = True) -> None:
        super().__init__()
        before, after = same_padding(stride)
        self.pad = nn.ZeroPad2d((before, after, before, after))
        self.convolve = nn.Conv2d(inputs, outputs, KERNEL, stride, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, H), H divisible by the stride -> (B, outputs, H / stride, H / stride)."""
        return self.convolve(self.pad(x))


class SameTransposed(nn.Module):
    """A 5x5 transposed convolution that gives side H * stride: the adjoint of ``SameConv``.

    It scatters to the padded side, 5 - stride pixels too many, and what ``SameConv`` had padded is cut off: for
    stride 2, 1 before and 2 after. torch's own ``padding=2, output_padding=1`` cuts 2 before and 1 after, which
    is the same picture one pixel away.

    Args:
        inputs: channels in.
        outputs: channels out.
        stride: 1 or 2.
        bias: as for ``SameConv``.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, *, bias: bool = True) -> None:
        super().__init__()
        before, after = same_padding(stride)
        self.excess = after - before
        self.convolve = nn.ConvTranspose2d(inputs, outputs, KERNEL, stride, padding=before, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, H) -> (B, outputs, H * stride, H * stride)."""
        wide = self.convolve(x)  # cut by as much after as before: still one too many for stride 2
        side = wide.shape[-1] - self.excess
        return wide[..., :side, :side]


def same_padding(stride: int) -> tuple[int, int]:
    """Pixels that TensorFlow's SAME pads before and after an even side, for a 5x5 kernel."""
    total = KERNEL - stride
    return total // 2, total - total // 2


def batch_norm(features: int) -> nn.Module:
    """Batch norm with Keras' momentum 0.9 (torch counts what is new: 0.1) and eps 1e-3."""
    return nn.BatchNorm2d(features, eps=1e-3, momentum=0.1)


def strides_at(size: int, width: int) -> tuple[int, ...]:
    """Strides of the stages from the image inwards.

    Raises:
        ValueError: a size or width that the published networks do not have.
    """
    if size not in STRIDES:
        raise ValueError(f"avae-paper networks cannot have size {size}: choose 32 or 64 (set data.size).")
    if width < 1:
        raise ValueError(f"avae-paper networks cannot have width {width}: choose 1 or more.")
    return STRIDES[size]


def down(channels: int, size: int, width: int) -> nn.ModuleList:
    """The trunk of C and E: four stages to (B, 8 width, 4, 4); no batch norm on the first."""
    strides = strides_at(size, width)
    stages = nn.ModuleList()
    for i, (a, b) in enumerate(pairwise([channels, *_widths(width)])):
        norm = batch_norm(b) if i else nn.Identity()
        stages.append(nn.Sequential(SameConv(a, b, strides[i], bias=not i), norm, nn.LeakyReLU(0.2)))
    return stages


def up(channels: int, size: int, width: int, inputs: int) -> nn.Sequential:
    """G and D: a vector (B, inputs) -> dense to 4x4x8 width, three stages, C channels, tanh -> (B, C, H, W)."""
    strides, widths = strides_at(size, width), _widths(width)
    unit = nn.Sequential(
        nn.Linear(inputs, widths[-1] * SIDE**2, bias=False),
        Rearrange("B (H W C) -> B C H W", H=SIDE, W=SIDE),  # channels last, as TensorFlow's reshape
        batch_norm(widths[-1]),
        nn.ReLU(),
    )
    outward = pairwise(reversed(widths))  # 8 -> 4, 4 -> 2, 2 -> 1 times width
    stages = [
        nn.Sequential(SameTransposed(a, b, stride, bias=False), batch_norm(b), nn.ReLU())
        for (a, b), stride in zip(outward, _outward(strides), strict=True)
    ]
    return nn.Sequential(unit, *stages, SameTransposed(width, channels, 2), nn.Tanh())


def _widths(width: int) -> list[int]:
    return [width, 2 * width, 4 * width, 8 * width]


def _outward(strides: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of the three stages before the image: at 32 px the second keeps the side."""
    return (2, strides[2], 2)


def initialise(module: nn.Module) -> None:
    """The published start: weights N(0, 0.02), gammas N(1, 0.02), biases and betas 0. For ``Module.apply``."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, SPREAD)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, SPREAD)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)
