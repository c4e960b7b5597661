"""``zoo.score``, for people who write Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from zoo.scoring.score import Request, scores_of


def score(
    a: str | Path,
    b: str | Path,
    *,
    metrics: Sequence[str] = (),
    protocol: str = "",
    settings: Mapping[str, Any] | Sequence[str] = (),
    n: int = 0,
    seed: int = 0,
    weights: str = "",
    interval: int = 0,
    extrapolate: bool = False,
    device: str | torch.device = "cpu",
    plugins: Sequence[str | Path] = (),
) -> Mapping[str, Any]:
    """How far images are from others: numbers under a protocol, each with a passport that says all it depends on.

    Args:
        a: what is judged: a folder, a zip, an ``.npz`` of images, a run (``"runs/avae"`` for its samples,
            ``"runs/avae#reconstruction"``), or a data set (``"cifar10:test"``).
        b: what it is judged by: the same, or published statistics (``.npz``, StyleGAN's ``.pkl``).
        metrics: names; those that know the protocol when empty.
        protocol: such as ``"torch-fidelity"``, ``"clean-fid"``, ``"adm"`` (docs/scores.md); that when empty.
        settings: options of the metrics, ``{"pretrained": "inception.pth"}`` or ``{"fid.pretrained": ...}``, and of
            data sets, ``{"data.size": 64}``.
        n: the first images of ``a``, or samples of a run; 0 for all.
        seed: which draw of codes, noise and subsets.
        weights: of a run, as in ``load``.
        interval: draws of a bootstrap, which adds ``interval``; 0 for none.
        extrapolate: whether to add ``infinite``, the number of infinitely many images.
        device: of the networks.
        plugins: Python files with plugins of your own.

    Returns:
        label -> ``{"value": number, "passport": {...}}``.

    Raises:
        zoo.errors.RequestError: if a set is none, images have no partner, or weights are absent.
    """
    how = (tuple(metrics), protocol, settings, n, seed, weights, interval, extrapolate, str(device))
    return scores_of(Request(str(a), str(b), *how, plugins=tuple(map(Path, plugins))))
