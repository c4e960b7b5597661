"""``zoo.score`` and ``zoo score``: two sets, the metrics of a protocol, a number and a passport for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.errors import RequestError
from zoo.machine.device import choose_device
from zoo.machine.processes import ALONE, Processes
from zoo.metrics.metric import optional
from zoo.registry import Registry, load_registry
from zoo.scoring.choice import DATA, Chosen, choose, settings_of
from zoo.scoring.honest import Measured, bias, extrapolated, interval
from zoo.scoring.measure import Scores, measure, opened, side_of
from zoo.scoring.runs import run_images
from zoo.scoring.sets import Images, Source, of_pixels, open_source

Settings = Sequence[str] | Mapping[str, Any]


@dataclass(frozen=True)
class Request:
    """What is scored, and how; the arguments of ``zoo.score``."""

    a: str | Images
    b: str | Images
    metrics: Sequence[str] = ()
    protocol: str = ""
    settings: Settings = ()
    n: int = 0
    seed: int = 0
    weights: str = ""
    interval: int = 0
    extrapolate: bool = False
    device: str = "auto"
    plugins: Sequence[Path] = ()

    @classmethod
    def of(cls, arguments: Any, device: str) -> Request:
        """What the command line asks for."""
        a = arguments
        how = (a.set, a.n, a.seed, a.weights, a.interval, a.extrapolate, device, a.plugin)
        return cls(a.a, a.b, a.metrics, a.protocol, *how)

    def registry(self) -> Registry:
        """The parts there are."""
        return load_registry(tuple(self.plugins))

    def chosen(self, registry: Registry) -> list[Chosen]:
        """The metrics."""
        return choose(list(self.metrics), self.protocol, self.settings, registry)

    def sources(self, registry: Registry, device: torch.device) -> tuple[Images, Source]:
        """Both sets: that which is judged, and the reference."""
        options = {name: value for (whose, name), value in settings_of(self.settings).items() if whose == DATA}

        def run(folder: Path, output: str) -> Images:
            plugins, draw = tuple(self.plugins), (self.n, self.seed)
            return run_images(folder, output, *draw, weights=self.weights, device=device, plugins=plugins)

        made, real = (
            place if isinstance(place, Images) else open_source(place, registry, run, options)
            for place in (self.a, self.b)
        )
        if not isinstance(made, Images):
            raise RequestError(f"{made.place}: has statistics and no images; give it as the second, the reference")
        return made.first(self.n), real


def score(
    a: str | Path | Tensor | np.ndarray,
    b: str | Path | Tensor | np.ndarray,
    *,
    metrics: str | Sequence[str] = (),
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
            ``"runs/avae#reconstruction"``), a data set (``"cifar10:test"``), or pixels, uint8 (N, C, H, W) or
            (N, H, W, C), C 1 or 3, such as ``zoo.api.to_pixels(model.sample(1000))``.
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
    names = [metrics] if isinstance(metrics, str) else metrics
    how = (tuple(names), protocol, settings, n, seed, weights, interval, extrapolate, str(device))
    made, real = (str(s) if isinstance(s, str | Path) else of_pixels(name, s) for name, s in (("a", a), ("b", b)))
    files = [plugins] if isinstance(plugins, str | Path) else plugins
    return scores_of(Request(made, real, *how, plugins=tuple(map(Path, files))))


def scores_of(request: Request, processes: Processes = ALONE) -> Scores:
    """Every metric of the request: label -> ``value``, ``passport``, and what else is to be said.

    Raises:
        RequestError: a set is none, images have no partner, weights are absent; nothing is given then.
    """
    if request.interval < 0 or request.n < 0:
        raise RequestError(f"counts of images and draws are 0 or more, not {min(request.interval, request.n)}")
    if not request.a or not request.b:
        raise RequestError("two sets are scored, A and B: zoo score samples/ reference/")
    registry, device = request.registry(), choose_device(request.device)
    chosen = request.chosen(registry)
    made, real = request.sources(registry, device)
    with opened(device, processes) as bench:
        scores, found = measure(made, real, chosen, bench)
        for c in chosen:
            if c.label in found:
                measured = Measured(partial(c.make, side_of(made)), *found[c.label], real)
                scores[c.label] |= how_sure(c.label, measured, scores[c.label]["value"], request)
    for one in scores.values():
        one["notes"] = [*made.notes, *real.notes, *one.get("notes", ())]
    return scores


def how_sure(label: str, measured: Measured, value: float, request: Request) -> dict[str, Any]:
    """What else is to be said of a number: its bias where images are few, its interval, that of infinitely many."""
    said: dict[str, Any] = {}
    fitted = optional(measured.remade(), "reference")
    if fitted and measured.few:
        n, features = min(cloud.shape[0] for cloud in measured.clouds), measured.judged.shape[1]
        high = bias(measured, value)
        said["bias"] = high
        much = f"about {high:.3g} too high" if high > 0 else "off by more than they can tell"
        said["notes"] = [
            f"{n:,} images are no more than {features:,} features: {label} is {much}, and compares at equal n alone; "
            "look at kid too, or --extrapolate"
        ]
    if request.interval:
        said["interval"] = interval(measured, value, request.interval, request.seed)
    if request.extrapolate and fitted:
        said["infinite"] = extrapolated(measured, value, request.seed)
    return said
