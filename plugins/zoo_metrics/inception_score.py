"""The inception score.

N images, Y classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from zoo_metrics.features import INCEPTION, Features
from zoo_metrics.inception import Inception
from zoo_metrics.protocols import PROTOCOLS, Change

ADM_SPLIT = 5000


class InceptionScore:
    """exp of the mean KL(p(y|x) || p(y)) (Salimans et al. 2016, section 4), y a class of TensorFlow's InceptionV3.

    1,008 logits without their bias, the mean over splits. It looks at no real image, and means little on anything but
    photographs of ImageNet's kind.

    Args:
        protocol: whose it is; ``adm`` has splits of 5,000 images, however many these make.
        pretrained: true for the published weights, in torch's cache; or the path of their file.
        download: whether they may be downloaded, 95 MB, once.
        samples: how many images to judge; 0 for one for each test image.
        splits: the samples, in their order, are cut in so many parts, each with a p(y) of its own.
        change: what is done otherwise than by the protocol, such as ``{filter: bicubic}``.

    Raises:
        ValueError: the weights are not there.
    """

    better: ClassVar = "higher"

    def __init__(
        self,
        *,
        protocol: Literal["torch-fidelity", "adm"] = "torch-fidelity",
        pretrained: bool | str = True,
        download: bool = False,
        samples: int = 0,
        splits: int = 10,
        change: dict[str, str | int | bool] | None = None,
    ) -> None:
        if samples < 0 or splits < 1:
            raise ValueError(f"samples must be at least 0, splits at least 1, not {samples} and {splits}")
        self.features = Features(INCEPTION, pretrained, None, download, PROTOCOLS[protocol].changed(change))
        self.samples, self._splits, self._adm = samples, splits, protocol == "adm"
        self._logits: list[Tensor] = []
        self._count = 0
        self._scores = torch.zeros(0)

    def update(self, sample: Tensor) -> None:
        """Takes a batch in: images to judge, (B, C, H, W) in [-1, 1]."""
        self.more(sample)

    def more(self, sample: Tensor) -> None:
        """Takes images in, (B, C, H, W) in [-1, 1]; there may be none."""
        if len(sample):
            self.take(self.features(sample), real=False)

    def take(self, features: Tensor, real: bool) -> None:
        """Takes the features of a batch in, (B, F); those of real images are none of its business."""
        if real:
            return
        network = self.features.judge(features.device).network
        assert isinstance(network, Inception)
        self._count += len(features)
        self._logits.append(network.logits(features))

    def alternatives(self) -> dict[str, Change]:
        """Single changes to how images are prepared that people make, by what they are called: ``change``'s values."""
        return self.features.view.alternatives()

    def merge(self, others: Sequence[Self]) -> None:
        """Takes in what others of its kind saw, after what it saw itself."""
        for other in others:
            self._count += other._count
            self._logits += other._logits

    def compute(self) -> float:
        """The mean over splits, from 1 to 1,008.

        Raises:
            ValueError: fewer images than splits.
        """
        if self._count < (1 if self._adm else self._splits):
            raise ValueError(f"{self._splits} splits need as many images at least, and there are {self._count}")
        bounds = [i * self._count // self._splits for i in range(self._splits + 1)]
        if self._adm:
            bounds = [*range(0, self._count, ADM_SPLIT), self._count]
        logits = torch.cat(self._logits)
        self._scores = torch.stack([_score(logits[a:b]) for a, b in pairwise(bounds)])
        return float(self._scores.mean())

    def details(self) -> dict[str, float]:
        """The standard deviation over splits, as papers print it: over n."""
        return {"sd": float(self._scores.std(correction=0))}

    @property
    def protocol(self) -> dict[str, Any]:
        """The conditions under which scores of this name may be compared."""
        splits = f"of {ADM_SPLIT}" if self._adm else self._splits
        counts = {"n_samples": self._count, "samples": None, "splits": splits, "logits": "1008, without bias"}
        return {**self.features.protocol, **counts}


def _score(logits: Tensor) -> Tensor:
    """Of one split, (N, Y)."""
    log_p = logits.double().log_softmax(1)
    p = log_p.exp()
    return (p * (log_p - p.mean(0).log())).sum(1).mean().exp()
