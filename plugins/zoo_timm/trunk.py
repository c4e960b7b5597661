"""The image trunk that encoders and critics share: a timm model, tried on meta before it is built.

B batch, C channels, H height, W width, F features.
"""

from __future__ import annotations

import traceback
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from zoo import api
from zoo_timm import weights
from zoo_timm.build import SMALL, Misfit, Plan, Size, build, known, native_size, settle, sides_of, spectral

_FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)


class Trial(NamedTuple):
    """What one pass on the meta device tells."""

    features: int
    taps: dict[str, tuple[int, ...]]
    """Shape of one image's feature map after each stage."""
    idle: frozenset[str]


class Trunk(nn.Module):
    """A timm model as a function of images in [-1, 1].

    Args:
        channels: C, given to timm as ``in_chans``.
        size: H and W, one number where they are equal; given to timm as ``img_size`` where the model has one.
        model: a name of ``timm.list_models()``, ``name.tag`` to choose among its pretrained weights.
        pretrained: see ``weights.load``; when not False, images are standardised as the weights expect.
        stem: ``small`` for stride 1 and no max pool in a convolutional stem, ``keep``, or ``auto``:
            small below 64 pixels where the model can, else keep.
        patch: side of the patches of a model that cuts them; None for the model's own.
        norm: ``keep``; ``none`` drops batch norms; ``group`` replaces them; ``spectral`` drops them and
            normalises the weights. Layer norms always stay.
        pool: ``model`` for the model's own pooled features, ``flatten`` for its last feature map as it is.
        tapped: whether the network will be asked ``with_taps``.

    Raises:
        ValueError: no such model, or one that cannot take these images, with the reason.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        model: str,
        pretrained: bool | str,
        stem: str,
        patch: int | None,
        norm: str = "keep",
        pool: str = "model",
        tapped: bool = False,
    ) -> None:
        super().__init__()
        self._pool = pool
        plan = Plan(known(model), channels, size, stem == "small", patch, norm)
        shrinks = stem == "auto" and min(sides_of(size)) < SMALL
        plan, trial = _first_that_runs((*[replace(plan, small=True)] * shrinks, plan), pool, tapped)
        network = self._real(plan, pretrained)
        if norm == "spectral":
            spectral(network)
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(parameter.requires_grad and name not in trial.idle)
        self.standardize = weights.Standardize(network.pretrained_cfg, channels) if pretrained else nn.Identity()
        self.network, self.features, self.taps = network, trial.features, tuple(trial.taps)
        self.shapes = trial.taps

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) in [-1, 1] -> (B, F)."""
        return _features(self.network, self.standardize(x), self._pool)

    def with_taps(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """(B, C, H, W) -> (B, F) and the feature map after each stage, (B, F', H', W'), in the same pass."""
        return _with_taps(self.network, self.standardize(x))

    def _real(self, plan: Plan, pretrained: bool | str) -> nn.Module:
        """The network that the trial tried, with numbers in it where the device has any."""
        network = build(plan)
        if pretrained and not api.restoring() and torch.get_default_device().type != "meta":
            weights.load(network, pretrained, plan.channels)
        return settle(network, plan)


def _features(network: nn.Module, x: Tensor, pool: str) -> Tensor:
    return network.forward_features(x).flatten(1) if pool == "flatten" else network(x)


def _with_taps(network: nn.Module, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    last, stages = network.forward_intermediates(x)
    taps = {f"stage{i}": stage for i, stage in enumerate(stages, 1)}
    return network.forward_head(last, pre_logits=True), taps


@cache
def _first_that_runs(plans: tuple[Plan, ...], pool: str, tapped: bool) -> tuple[Plan, Trial]:
    """The first plan whose network runs on meta, and what the run told. Zoo makes a network twice; one run will do."""
    for plan in plans:
        try:
            with torch.device("meta"), torch.set_grad_enabled(pool == "flatten"):
                return plan, _try(settle(build(plan), plan), plan, pool, tapped)
        except _FAILURES as error:
            failure = error
    raise ValueError(_refusal(plan, failure)) from failure


def _try(network: nn.Module, plan: Plan, pool: str, tapped: bool) -> Trial:
    """One pass of two images forward, and back when a part of the network may be left out."""
    x = torch.zeros(2, plan.channels, *sides_of(plan.size))
    features, taps = _with_taps(network, x) if tapped else (_features(network, x, pool), {})
    if features.ndim != 2:
        raise ValueError(f"it gives features of shape {tuple(features.shape)}, not one vector an image")
    shapes = {tap: tuple(stage.shape[1:]) for tap, stage in taps.items()}
    if pool == "model":  # timm pools what every parameter made
        return Trial(features.shape[1], shapes, frozenset())
    learners = {n: p for n, p in network.named_parameters() if p.requires_grad}
    grads = torch.autograd.grad(features.sum(), list(learners.values()), allow_unused=True)
    idle = frozenset(n for n, g in zip(learners, grads, strict=True) if g is None)
    return Trial(features.shape[1], shapes, idle)


def _refusal(plan: Plan, failure: Exception) -> str:
    """One sentence: the model, the size, the reason, the cure."""
    reason = (str(failure).strip().splitlines() or [_where(failure)])[0][:160]
    height, width = sides_of(plan.size)
    sentence = f"timm model {plan.model!r} cannot take {height} x {width} images: {reason}"
    if isinstance(failure, Misfit):
        return sentence
    native = native_size(plan.model)
    cure = "choose another model"
    if plan.size != native:
        cure = f"use size {native}, for which it was made, or choose another model"
    return f"{sentence}; {cure}"


def _where(failure: Exception) -> str:
    """A reason for an exception without words: the last method or function of timm that it left."""
    codes = [frame.f_code for frame, _ in traceback.walk_tb(failure.__traceback__)]
    names = [code.co_qualname for code in codes if "timm" in Path(code.co_filename).parts]
    return f"{type(failure).__name__} in {names[-1] if names else 'timm'}"
