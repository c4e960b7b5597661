"""Scores of one set of images against another, each with the passport that says how it was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from zoo.errors import RequestError, ZooError, said_of
from zoo.machine.cache import cache_folder
from zoo.machine.processes import ALONE, Processes
from zoo.machine.progress import Progress
from zoo.machine.torch_private import out_of_memory
from zoo.metrics.metric import optional
from zoo.runs.provenance import software
from zoo.scoring.choice import Chosen
from zoo.scoring.clouds import BATCH, Cloud, Seen, clouds, look, refuse_mixed
from zoo.scoring.sets import Images, Source, Statistics
from zoo.types import to_model

Scores = dict[str, dict[str, Any]]
"""Label -> ``value`` and ``passport``, and ``details`` where the metric has any."""
NAMED = 5
"""Images that a sentence names."""


@dataclass
class Bench:
    """Where sets are measured.

    Args:
        device: of the networks.
        processes: that share the images.
        folder: where features are kept.
        keep: whether those of the reference stay in the cache instead.
    """

    device: torch.device
    processes: Processes
    folder: Path
    keep: bool = True

    def clouds(self, images: Images, features: Sequence[Any], reference: bool) -> list[Cloud]:
        """The features of a set under each of some networks."""
        folder = cache_folder("scores") if reference and self.keep else self.folder
        return clouds(images, features, folder, self.device, self.processes, f"features of {images.place}")


@contextmanager
def opened(device: torch.device, processes: Processes = ALONE) -> Iterator[Bench]:
    """A bench whose folder is there inside."""
    with TemporaryDirectory(prefix="zoo-score-") if processes.first else nullcontext("") as made:
        yield Bench(device, processes, Path(processes.told(made)))


def measure(
    made: Images, real: Source, chosen: Sequence[Chosen], bench: Bench
) -> tuple[Scores, dict[str, tuple[Cloud, Cloud | None]]]:
    """Every metric of the images that are judged, ``made``, and the others: label -> value and passport.

    With them the features that each looked at, of both sets, where it looks at features. Of several processes the first
    has them.

    Raises:
        RequestError: a metric cannot be measured of these sets; nothing is given then.
    """
    metrics = [(c, c.make(side_of(made))) for c in chosen]
    kinds = {c.label: c.kind(metric) for c, metric in metrics}
    if paired := next((c for c, _ in metrics if c.paired), None):
        refuse_unpaired(made, _images(real, paired))  # before anything that takes long
    seen: dict[bool, Seen] = {}
    featured = [(c, metric) for c, metric in metrics if kinds[c.label] == "features"]
    found = feed(made, real, featured, bench, seen)
    if not bench.processes.first:
        return {}, {}
    rest = [(c, metric) for c, metric in metrics if kinds[c.label] != "features"]
    if rest:
        seen |= {True: look(real) if isinstance(real, Images) else Seen(0, "", {}), False: look(made)}
    if pairs := [(c, metric) for c, metric in rest if c.paired]:
        _feed_pairs(made, _images(real, pairs[0][0]), pairs, bench.device)
    for c, metric in rest:
        if not c.paired:
            _feed_sets(made, _images(real, c), metric, seen, bench.device)
    about = {False: _about(made, seen.get(False)), True: _about(real, seen.get(True))}
    return {c.label: scored(c, metric, about) for c, metric in metrics}, found


def feed(
    made: Images,
    real: Source,
    metrics: Sequence[tuple[Chosen, Any]],
    bench: Bench,
    seen: dict[bool, Seen],
) -> dict[str, tuple[Cloud, Cloud | None]]:
    """Shows metrics the features of both sets, or the reference's statistics; their clouds by label."""
    if not metrics:
        return {}
    features = {c.label: metric.features for c, metric in metrics}
    probe = next(made.batches(1, 0, 1)).to(bench.device)
    for c, metric in metrics:
        _told(c, partial(metric.features, probe))  # from here on it says what weights it has
    judged = dict(zip(features, bench.clouds(made, list(features.values()), reference=False), strict=True))
    wanted = {c.label: metric.features for c, metric in metrics if not _given(metric, real, c)}
    images = real if isinstance(real, Images) else None
    found = bench.clouds(images, list(wanted.values()), reference=True) if images and wanted else []
    others = dict(zip(wanted, found, strict=True))
    seen |= {False: next(iter(judged.values())).seen}
    seen |= {True: found[0].seen} if found else {}
    if bench.processes.first:
        for c, metric in metrics:
            fill(metric, judged[c.label].blocks(), others[c.label].blocks() if c.label in others else ())
    return {label: (judged[label], others.get(label)) for label in judged}


def fill(metric: Any, made: Any, real: Any) -> Any:
    """A metric that has seen features, block by block."""
    for block in real:
        metric.take(block, True)
    for block in made:
        metric.take(block, False)
    return metric


def _given(metric: Any, real: Source, chosen: Chosen) -> bool:
    """Whether the reference's published statistics serve; a RequestError where they must and do not."""
    reference = optional(metric, "reference")
    if not real.statistics:
        return False
    if reference is None:
        if isinstance(real, Statistics) and "x" in chosen.entry.signature.needs:
            raise RequestError(
                f"{real.place}: has statistics ({', '.join(real.statistics)}), and metric '{chosen.label}' needs images"
            )
        return isinstance(real, Statistics)
    try:
        reference(real.statistics)
    except ValueError as error:
        if isinstance(real, Images):
            return False
        raise RequestError(f"{real.place}: metric '{chosen.label}': {said_of(error)}") from None
    return True


def _images(real: Source, chosen: Chosen) -> Images:
    if isinstance(real, Images):
        return real
    raise RequestError(f"{real.place}: has statistics and no images, which metric '{chosen.label}' needs")


def side_of(images: Images) -> int:
    """The side, the smaller one, of the first image."""
    return min(next(images.batches(1, 0, 1)).shape[2:])


# -- images beside images ----------------------------------------------------------------------------------


def _feed_pairs(made: Images, real: Images, metrics: Sequence[tuple[Chosen, Any]], device: torch.device) -> None:
    """Shows metrics every pair of images of one name."""
    order = {name: i for i, name in enumerate(real.names)}
    places = [order[name] for name in made.names]
    labels = ", ".join(c.label for c, _ in metrics)
    done = 0
    with Progress(f"{labels} of {made.place}", len(places)) as bar:
        for batch in made.batches(BATCH):
            partners = list(_at(real, places[done : done + len(batch)]))
            for name, one, other in zip(made.names[done:], batch, partners, strict=False):
                if one.shape != other.shape:
                    sides = [f"{image.shape[2]} x {image.shape[1]}" for image in (one, other)]
                    raise RequestError(
                        f"{name} is {sides[0]} in {made.place} and {sides[1]} in {real.place}; pairs have one size"
                    )
            x, reconstruction = (to_model(pixels.to(device)) for pixels in (torch.stack(partners), batch))
            for c, metric in metrics:
                _told(c, partial(metric.update, x=x, reconstruction=reconstruction))
            done += len(batch)
            bar.update(done)


def _at(images: Images, places: Sequence[int]) -> Iterator[Tensor]:
    """Images by position; those that follow one another are read together."""
    for _, following in groupby(enumerate(places), lambda numbered: numbered[1] - numbered[0]):
        run = [place for _, place in following]
        for batch in images.batches(BATCH, run[0], run[-1] + 1):
            yield from batch


def refuse_unpaired(made: Images, real: Images) -> None:
    """Refuses sets whose names do not match: a RequestError names what has no partner."""
    here, there = set(made.names), set(real.names)
    if not here & there:
        raise RequestError(
            f"no image of {made.place} has a partner in {real.place}: names are {made.names[0]} ... here and "
            f"{real.names[0]} ... there; pairs have one name"
        )
    alone = [(made.place, sorted(here - there)), (real.place, sorted(there - here))]
    said = [f"{len(names):,} of {place} ({_some(names)})" for place, names in alone if names]
    if said:
        raise RequestError(f"without a partner: {'; '.join(said)}; remove them, or score what has one")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (" ..." if len(names) > NAMED else "")


def _feed_sets(made: Images, real: Images, metric: Any, seen: Mapping[bool, Seen], device: torch.device) -> None:
    """Shows a metric two sets that have no order, batch beside batch; what is left of the longer one comes after."""
    for images, real_ones in ((real, True), (made, False)):
        refuse_mixed(images.place, seen[real_ones], None)
    judged, others = (made.batches(BATCH), real.batches(BATCH))
    none = torch.zeros(0)
    while (x := next(others, none)).numel() + (sample := next(judged, none)).numel():
        shown = [to_model(pixels.to(device)) if pixels.numel() else pixels for pixels in (x, sample)]
        metric.update(*shown)


def _told(chosen: Chosen, work: Callable[[], Any]) -> Any:
    """What a metric does; its errors are sentences that name it."""
    try:
        return work()
    except ValueError as error:
        raise RequestError(f"metric '{chosen.label}': {said_of(error)}") from None


# -- passports ---------------------------------------------------------------------------------------------


def scored(chosen: Chosen, metric: Any, about: Mapping[bool, Mapping[str, Any]]) -> dict[str, Any]:
    """A number with its passport.

    Raises:
        RequestError: the metric has none, with its reason.
    """
    try:
        value = float(metric.compute())
    except Exception as error:
        if isinstance(error, ZooError) or out_of_memory(error):
            raise
        raise RequestError(f"metric '{chosen.label}': {said_of(error)}") from error
    how = {k: v for k, v in dict(optional(metric, "protocol")).items() if v is not None}
    named = {name: chosen.options[name] for name in ("protocol", "change") if chosen.options.get(name)}
    passport = {
        "metric": chosen.entry.id,
        **named,
        "judged": about[False],
        "reference": about[True],
        "how": how,
        "versions": versions(chosen),
    }
    details = optional(metric, "details")
    better = optional(metric, "better")
    score = {"value": value, **({"better": better} if better else {}), "passport": passport}
    return score | ({"details": details()} if details else {})


def versions(chosen: Chosen) -> dict[str, str]:
    """Of what a number depends on."""
    libraries = {name: version(name) for name in ("numpy", "pillow")}
    return {**software(), chosen.entry.distribution: chosen.entry.version, **libraries}


def _about(source: Source, seen: Seen | None) -> dict[str, Any]:
    """Where a set is from, and what was seen of it."""
    about = {"place": source.place, **source.about, "file": f"sha256:{source.key}"}
    if seen and seen.n:
        return {**about, "n": seen.n, "images": seen.content, "sizes": dict(seen.sizes)}
    return {**about, "statistics": sorted(source.statistics)}
