"""Features of a timm model that judge images: the term ``perceptual`` and the metric ``frechet``.

B batch, C channels, S image side, L places of a feature map, F features.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, ClassVar, Literal

import timm
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from zoo_timm.build import known, native_size
from zoo_timm.trunk import Trunk


class Perceptual(nn.Module):
    """Squared distance of the feature maps of images and their reconstructions, unit length at each place:

        sum_stages mean_b 1/L sum_places 1/2 |f / |f| - f_rec / |f_rec||^2,   |.| over the channels of one place

    LPIPS (Zhang et al. 2018, eq. 1) with every learned weight w = 1. Ours where it differs: timm's stages in
    place of AlexNet's or VGG's rectified layers, and the 1/2, which makes it a sum of 1 - cos: in [0, 2] for
    each stage. Its unit is not nats: weigh it against a ``reconstruction`` of hundreds.

    The network never learns and its batch norms use their own statistics, whatever mode the model is in. The
    gradient goes to whichever image asks for one.

    Args:
        channels: C; given to the model's first layer.
        size: H = W.
        model: a name of ``timm.list_models()``; ``name.tag`` chooses among its pretrained weights.
        pretrained: true for timm's hub (downloaded once to the user's cache); the path of a ``.safetensors``,
            ``.pt`` or ``.pth`` file of the same model; or false for random features, a function of the seed,
            which see edges and colours and know nothing of objects.
        taps: the stages that count, ``stage1`` .. ``stageN``; none for all of them.
        stem: ``keep`` is the model as it was trained; ``small`` gives a convolutional stem stride 1 and no max
            pool, so that small images keep more places; ``auto`` is small below 64 pixels, else keep.

    Raises:
        ValueError: unknown model or stage, weights that do not fit, or a model that cannot take the size.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        *,
        model: str = "efficientnet_lite0",
        pretrained: bool | str = True,
        taps: tuple[str, ...] = (),
        stem: Literal["keep", "small", "auto"] = "keep",
    ) -> None:
        super().__init__()
        self.trunk = Trunk(channels, size, model, pretrained, stem, None, tapped=True)
        there = self.trunk.taps
        for tap in taps:
            if tap not in there:
                raise ValueError(f"timm model {model!r} has no stage {tap!r}; choose from {', '.join(there)}")
        self.taps = tuple(dict.fromkeys(taps)) or there
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Perceptual:  # noqa: ARG002
        """Stays in evaluation mode: a judge whose batch norms moved would not judge alike twice."""
        return super().train(False)

    def forward(self, x: Tensor, reconstruction: Tensor) -> Tensor:
        """The distance, a scalar: 0 for equal images, at most 2 for each stage.

        Args:
            x: images (B, C, H, W) in [-1, 1].
            reconstruction: their reconstructions, same shape.
        """
        real, made = self.trunk.with_taps(x)[1], self.trunk.with_taps(reconstruction)[1]
        return torch.stack([cosine_gap(real[tap], made[tap]) for tap in self.taps]).sum()


def cosine_gap(a: Tensor, b: Tensor) -> Tensor:
    """Mean over images and places of 1/2 |a / |a| - b / |b||^2; maps (B, F, H', W'), 1e-10 at least for a length."""
    difference = normalize(a, dim=1, eps=1e-10) - normalize(b, dim=1, eps=1e-10)
    return 0.5 * difference.square().sum(1).mean()


class Frechet:
    """Frechet distance between Gaussians fitted to a timm model's pooled features of real images and others:

        |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1^1/2 S2 S1^1/2)^1/2        (Dowson & Landau 1982)

    Heusel et al. 2017 put it on Inception's features and 50,000 images; this is another network, so its
    numbers compare with each other under one protocol (model, weights, n, resize) and with no published one.
    Too high where n is small: below n = F + 1 images a covariance has not even full rank.

    Args:
        model: a name of ``timm.list_models()``; ``name.tag`` chooses among its pretrained weights.
        pretrained: as for ``perceptual``; random features (false) are the same in every run.
        resize: side that images are resized to before the network; none for the side it was made for.

    Raises:
        ValueError: unknown model or no such file; at the first batch, weights that do not fit.
    """

    better: ClassVar = "lower"

    def __init__(
        self, *, model: str = "efficientnet_lite0", pretrained: bool | str = True, resize: int | None = None
    ) -> None:
        self._model, self._pretrained = known(model), pretrained
        self._sha256 = sha256(pretrained) if isinstance(pretrained, str) else ""
        self._side = native_size(model) if resize is None else resize
        self._trunk: Trunk | None = None
        self._real, self._made = Moments(), Moments()

    def update(self, x: Tensor, reconstruction: Tensor) -> None:
        """Takes a batch in: real images and those to judge, both (B, C, H, W) in [-1, 1]."""
        self._real.update(self._features(x))
        self._made.update(self._features(reconstruction))

    def compute(self) -> float:
        """The distance of all images so far, not below 0.

        Raises:
            ValueError: fewer than two images, which have no covariance.
        """
        return frechet(self._real.mean, self._real.covariance(), self._made.mean, self._made.covariance())

    @property
    def protocol(self) -> dict[str, Any]:
        """What a number under this name must be compared under."""
        return {
            "model": self._model,
            "weights": self._weights(),
            "features": len(self._real.mean),
            "n": self._real.count,
            "range": [-1, 1],
            "resize": f"{self._side} px, bilinear, antialiased",
            "covariance": "n - 1",
        }

    def _features(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, F) in float64, on the CPU."""
        if self._trunk is None:
            self._trunk = self._network(images.shape[1]).to(images.device)
        shape = (self._side, self._side)
        with torch.no_grad():
            images = images.float()
            if images.shape[2:] != shape:
                images = interpolate(images, shape, mode="bilinear", antialias=True)
            return self._trunk(images).cpu().double()

    def _network(self, channels: int) -> Trunk:
        """The model for images of so many channels; where it is random, the same one every time."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return Trunk(channels, self._side, self._model, self._pretrained, "keep", None).eval()

    def _weights(self) -> str:
        """Which weights: the file's hash, timm's tag, or none."""
        if self._sha256:
            return f"sha256:{self._sha256}"
        if not self._pretrained or self._trunk is None:
            return f"random, seed 0, torch {torch.__version__}, timm {timm.__version__}"
        cfg = self._trunk.network.pretrained_cfg
        return f"timm {timm.__version__} {cfg['architecture']}.{cfg['tag']}"


def sha256(path: str) -> str:
    """Hash of a file of weights, in hexadecimal.

    Raises:
        ValueError: there is none.
    """
    try:
        with Path(path).expanduser().open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ValueError(f"pretrained file {path!r} cannot be read: {error.strerror}") from None


class Moments:
    """Mean (F,) and covariance of vectors that come in batches, in float64 (Chan et al. 1983, eq. 2.1)."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = torch.zeros(0, dtype=torch.float64)
        self._squares = torch.zeros(0, 0, dtype=torch.float64)  # sum of (v - mean)(v - mean)^T

    def update(self, vectors: Tensor) -> None:
        """Takes (B, F) in, float64."""
        mean = vectors.mean(0)
        centred = vectors - mean
        squares = centred.T @ centred
        if not self.count:
            self.count, self.mean, self._squares = len(vectors), mean, squares
            return
        count, shift = self.count + len(vectors), mean - self.mean
        self._squares += squares + torch.outer(shift, shift) * (self.count * len(vectors) / count)
        self.mean = self.mean + shift * (len(vectors) / count)
        self.count = count

    def covariance(self) -> Tensor:
        """(F, F), over n - 1."""
        if self.count < 2:
            raise ValueError(f"a covariance needs at least 2 images, and there are {self.count}")
        return self._squares / (self.count - 1)


def frechet(mean1: Tensor, covariance1: Tensor, mean2: Tensor, covariance2: Tensor) -> float:
    """The distance of two Gaussians, means (F,) and covariances (F, F) in float64.

    tr (S1^1/2 S2 S1^1/2)^1/2 is the sum of the singular values of S1^1/2 S2^1/2. Taken so, nothing is squared
    and rooted again: null directions of few images add rounding errors, not the roots of rounding errors.
    """
    overlap = torch.linalg.svdvals(_root(covariance1).T @ _root(covariance2)).sum()
    spread = covariance1.trace() + covariance2.trace() - 2 * overlap
    return max(0.0, float((mean1 - mean2).square().sum() + spread))


def _root(covariance: Tensor) -> Tensor:
    """R with R R^T = S; S1^1/2 S2^1/2 and R1^T R2 have the same singular values."""
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp_min(0).sqrt()
