"""Kernel distances between two sets of images.

N real images, M others, F features.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from zoo_metrics.features import INCEPTION, Features
from zoo_metrics.protocols import PROTOCOLS, Protocol
from zoo_metrics.sets import Split, TwoClouds

ROWS, COLUMNS = 1024, 4096
"""Features are compared in blocks of so many."""
PAPERS = 1000
"""Images in a subset, in the paper on KID."""
SIGMA, SCALE = 10, 1000
"""Of the paper on CMMD: the kernel's width, and what its numbers are multiplied by."""


class Polynomial(TwoClouds):
    """Unbiased squared maximum mean discrepancy under the kernel (a . b / F + 1)^3 (Binkowski et al. 2018, eq. 4).

    It has no bias at any n, and may come out below 0.
    """

    better: ClassVar = "lower"

    def __init__(self, features: Features, split: Split, samples: int, subset: int, subsets: int) -> None:
        super().__init__(features, split, samples)
        if subset and subset < 2:
            raise ValueError(f"subset must be 0, for all images, or at least 2, not {subset}")
        if subsets < 1:
            raise ValueError(f"subsets must be at least 1, not {subsets}")
        self._subset, self._subsets = subset, subsets
        self.least = subset or 2
        self._found: list[float] = []

    def compute(self) -> float:
        """The distance of all images so far, or its mean over subsets.

        Raises:
            ValueError: fewer than two images, or than a subset has.
        """
        real, made = self.clouds(least=self._subset or 2)
        if not self._subset:
            return mmd2(real, made)
        generator = torch.Generator().manual_seed(0)
        parts = [[_some(cloud, self._subset, generator) for cloud in (real, made)] for _ in range(self._subsets)]
        self._found = [mmd2(*part) for part in parts]
        return sum(self._found) / len(self._found)

    def details(self) -> dict[str, float]:
        """The standard deviation over subsets, where there are several."""
        return {"sd": float(torch.tensor(self._found).std())} if len(self._found) > 1 else {}

    @property
    def protocol(self) -> dict[str, Any]:
        """The conditions under which scores of this name may be compared."""
        how = f"mean of {self._subsets} subsets of {self._subset}" if self._subset else "all images at once"
        kernel = "(a . b / F + 1)^3, unbiased"
        return {**super().protocol, "kernel": kernel, "estimate": how, "subset": None, "subsets": None}


class Kid(Polynomial):
    """Kernel Inception distance (Binkowski et al. 2018) on the 2,048 features of TensorFlow's InceptionV3.

    Args:
        protocol: whose it is: how images are resized; ``kid`` is the paper's, the mean of 100 subsets of 1,000.
        pretrained: true for the published weights, in torch's cache; or the path of their file.
        download: whether they may be downloaded, 95 MB, once.
        split: the real images.
        samples: how many images to judge; 0 for one for each real image.
        subset: images in a subset; 0 for all at once, which has the same expectation and less variance.
        subsets: how many of them. Papers mostly take 100 of 1,000.
        change: what is done otherwise than by the protocol, such as ``{filter: bicubic}``.

    Raises:
        ValueError: the weights are not there.
    """

    def __init__(
        self,
        *,
        protocol: Literal["torch-fidelity", "clean-fid", "kid", "torchmetrics"] = "torch-fidelity",
        pretrained: bool | str = True,
        download: bool = False,
        split: Literal["test", "train"] = "test",
        samples: int = 0,
        subset: int = 0,
        subsets: int = 100,
        change: dict[str, str | int | bool] | None = None,
    ) -> None:
        view = PROTOCOLS[protocol].changed(change)
        subset = subset or (PAPERS if protocol == "kid" else 0)
        super().__init__(Features(INCEPTION, pretrained, None, download, view), split, samples, subset, subsets)


class KernelDistance(Polynomial):
    """The kernel distance of ``kid`` on the pooled features of any timm model; no KID, which is Inception's.

    Args:
        model: ``lite0`` (the packaged EfficientNet-Lite0) or a name of ``timm.list_models()``.
        pretrained: true for the published weights; the path of a file; or false for random features.
        resize: side that images are resized to before the network; none for the side it was made for.
        split: the real images.
        samples: how many images to judge; 0 for one for each real image.
        subset: images in a subset; 0 for all at once.
        subsets: how many of them.
        change: what is done otherwise, such as ``{filter: bicubic}`` (docs/scores.md).

    Raises:
        ValueError: unknown model, or weights that are not there.
    """

    def __init__(
        self,
        *,
        model: str = "lite0",
        pretrained: bool | str = True,
        resize: int | None = None,
        split: Literal["test", "train"] = "test",
        samples: int = 0,
        subset: int = 0,
        subsets: int = 100,
        change: dict[str, str | int | bool] | None = None,
    ) -> None:
        view = Protocol(model).changed(change)
        features = Features(model, pretrained, resize, download=False, protocol=view)
        super().__init__(features, split, samples, subset, subsets)


class Cmmd(TwoClouds):
    """1,000 times the squared maximum mean discrepancy of CLIP's embeddings (Jayasumana et al. 2024).

    The kernel is exp(-|a - b|^2 / 200), and the estimate the one that is not below 0, of all pairs.

    Args:
        model: timm's name of the architecture; published numbers are of ViT-L/14 at 336 px.
        pretrained: true for timm's hub (1.2 GB, downloaded once); or the path of a file, timm's or OpenCLIP's;
            or false for random features, the same in every run.
        split: the real images.
        samples: how many images to judge; 0 for one for each real image.
        change: what is done otherwise than by the protocol, such as ``{crop: none}``.

    Raises:
        ValueError: unknown model or no such file; at the first batch, weights that cannot be had or do not fit.
    """

    better: ClassVar = "lower"

    def __init__(
        self,
        *,
        model: str = "vit_large_patch14_clip_quickgelu_336",
        pretrained: bool | str = True,
        split: Literal["test", "train"] = "test",
        samples: int = 0,
        change: dict[str, str | int | bool] | None = None,
    ) -> None:
        view = PROTOCOLS["cmmd"].changed(change)
        super().__init__(Features(model, pretrained, None, download=False, protocol=view), split, samples)

    def compute(self) -> float:
        """The distance of all images so far.

        Raises:
            ValueError: no image in one of the sets.
        """
        real, made = self.clouds(least=1)
        return SCALE * (_alike(real, real) + _alike(made, made) - 2 * _alike(real, made))

    @property
    def protocol(self) -> dict[str, Any]:
        """The conditions under which scores of this name may be compared."""
        return {**super().protocol, "kernel": f"exp(-|a - b|^2 / {2 * SIGMA**2}), all pairs, x {SCALE}"}


def mmd2(real: Tensor, made: Tensor) -> float:
    """The unbiased estimate from features (N, F) and (M, F): means of the kernel over pairs of different images."""
    n, m = len(real), len(made)
    within = (_sum(real, real) - _own(real)) / (n * (n - 1)) + (_sum(made, made) - _own(made)) / (m * (m - 1))
    return float(within - 2 * _sum(real, made) / (n * m))


def _sum(a: Tensor, b: Tensor) -> Tensor:
    """The kernel's sum over all pairs, in float64."""
    total = torch.zeros((), dtype=torch.float64)
    for rows in a.split(ROWS):
        for columns in b.split(COLUMNS):
            total += (rows.double() @ columns.double().T / a.shape[1] + 1).pow(3).sum()
    return total


def _alike(a: Tensor, b: Tensor) -> float:
    """The mean of the Gaussian kernel over all pairs."""
    total = torch.zeros((), dtype=torch.float64)
    for rows in a.split(ROWS):
        for columns in b.split(COLUMNS):
            total += torch.cdist(rows.double(), columns.double()).square().div(-2 * SIGMA**2).exp().sum()
    return float(total / (len(a) * len(b)))


def _own(a: Tensor) -> Tensor:
    """The kernel's sum over pairs of an image with itself."""
    return (a.double().square().sum(1) / a.shape[1] + 1).pow(3).sum()


def _some(cloud: Tensor, n: int, generator: torch.Generator) -> Tensor:
    return cloud[torch.randperm(len(cloud), generator=generator)[:n]]
