"""Several processes that evaluate one model together: their scores are those of one.

This file is also the plugin of the metrics that it needs, and what its processes import.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any, ClassVar, Self

import pytest
import torch
import torch.distributed as dist
from helpers.forks import Forks
from zoo_metrics.frechet import frechet
from zoo_metrics.nearest import Nearest
from zoo_metrics.statistics import Moments

from zoo import api
from zoo.errors import RecipeError
from zoo.machine.processes import ALONE, Processes
from zoo.metrics.evaluate import Scores, evaluate
from zoo.model.model import Model
from zoo.recipe import load_recipe
from zoo.registry import load_registry
from zoo.testing import ContractError, checks

COUNT = 3
RANDOM = "model: test_resnet, pretrained: false"
METRICS = {
    **{name: name for name in ("mse", "psnr", "ssim", "random-pairs", "edges", "active-units", "kl", "cycle")},
    **{name: name for name in ("noise-use", "pd-lite0", "fd-lite0", "nearest", "ordered", "unshared")},
    **{name: f"{{use: {name}, {RANDOM}}}" for name in ("frechet", "kernel", "path-length")},
    **{name: f"{{use: {name}, {RANDOM}, k: 2}}" for name in ("precision", "recall", "density", "coverage")},
    "drawn_on": f"{{use: frechet, {RANDOM}, samples: 29}}",
    "drawn_few": f"{{use: frechet, {RANDOM}, split: train, samples: 5}}",
    "subsets": f"{{use: kernel, {RANDOM}, samples: 24, subset: 5, subsets: 3}}",
    "of_training": f"{{use: recall, {RANDOM}, split: train, samples: 31}}",
    "nearest_few": f"{{use: nearest, {RANDOM}, n: 7}}",
    "ordered_on": "{use: ordered, samples: 25}",
    "ordered_few": "{use: ordered, samples: 3, split: train}",
    "unshared_on": "{use: unshared, samples: 25}",
}
"""Every metric of the zoo whose weights can be had, and of those whose weights cannot, the same on another network."""


# -- the plugin --------------------------------------------------------------------------------------------


class Unshared:
    """Notes the samples in their order, and the images to train on; one process measures it alone."""

    better: ClassVar = "lower"

    def __init__(self, *, samples: int = 0, split: str = "test") -> None:
        self.samples, self.split = samples, split
        self.x, self.seen, self.trained = [], [], []

    def update(self, x, sample) -> None:
        self.x += x.flatten(1).sum(1).tolist()
        self.more(sample)

    def more(self, sample) -> None:
        self.seen += sample.flatten(1).sum(1).tolist()

    def training(self, x) -> None:
        self.trained += x.flatten(1).sum(1).tolist()

    def compute(self) -> float:
        return float(len(self.seen))

    def details(self) -> dict[str, list[float]]:
        return {"x": self.x, "samples": self.seen, "training": self.trained}


class Ordered(Unshared):
    """The same, shared."""

    def merge(self, others: Sequence[Self]) -> None:
        for other in others:
            assert other.x or other.seen, "who saw nothing has nothing to hand in"
            self.x, self.seen = self.x + other.x, self.seen + other.seen

    def merge_training(self, others: Sequence[Self]) -> None:
        for other in others:
            assert (other.x, other.seen) == (self.x, self.seen)
            self.trained = self.trained + other.trained


class Refusing(Ordered):
    """Refuses the last image, which the last process sees."""

    def update(self, x, sample) -> None:
        super().update(x, sample)
        if len(x) == 1:
            raise ValueError("it does not like this one")


class Untrained(Ordered):
    """Refuses the last training image, which the last process sees."""

    def training(self, x) -> None:
        super().training(x)
        if len(x) == 1:
            raise ValueError("it knows this one")


class Apart(Ordered):
    """Can be had in the first process alone: others lack its file."""

    def __init__(self) -> None:
        super().__init__()
        if dist.is_initialized() and dist.get_rank():
            raise ValueError("its file is not here")


class Failing(Ordered):
    """Cannot be computed, which the first process finds."""

    def compute(self) -> float:
        raise ValueError("it needs more")


@api.hookimpl
def zoo_components() -> tuple[api.Component, ...]:
    """The metrics of this file."""
    names = ("unshared", "ordered", "refusing", "untrained", "apart", "failing")
    return tuple(api.Component("metric", name, f"{__name__}:{name.title()}", "notes what it sees") for name in names)


# -- the processes -----------------------------------------------------------------------------------------


def pixels(n: int, seed: int) -> torch.Tensor:
    stream = torch.Generator().manual_seed(seed)
    return torch.randint(256, (n, 3, 16, 16), generator=stream).to(torch.uint8)


def scored(processes: Processes, test: int, metrics: dict[str, str]) -> Scores:
    """Scores of an AVAE with nothing learnt on 13 training images and some test images, 2 at a time."""
    widths = [f"slots.{slot}.width=4" for slot in ("encoder", "decoder", "generator", "critic")]
    chosen = [f"evaluate.{label}={spec}" for label, spec in metrics.items()]
    overrides = ["data.size=16", "latent=4", "noise=4", *widths, "evaluate=null", *chosen]
    model = Model(load_recipe("avae", overrides, load_registry((Path(__file__),))))
    return evaluate(model, api.Images(pixels(13, 1), pixels(test, 2)), batch=2, processes=processes)


def refused(processes: Processes, metric: str) -> str:
    with pytest.raises(RecipeError) as refusal:
        scored(processes, 11, {metric: metric, "mse": "mse"})
    return str(refusal.value)


OPTIONAL = ("refusing", "untrained", "apart", "mse")


def everything(processes: Processes) -> dict[str, Any]:
    """Scores; those of 3 images, which are fewer turns than processes; and what is said where one cannot be had."""
    few = {name: METRICS[name] for name in ("mse", "frechet", "ordered", "ordered_on", "nearest", "unshared")}
    return {
        "all": scored(processes, 11, METRICS),
        "few": scored(processes, 3, few),
        "refused": refused(processes, "refusing"),
        "failed": scored(processes, 11, {"failing": "failing", "mse": "mse"}),
        "optional": scored(processes, 11, {name: f"{{use: {name}, optional: true}}" for name in OPTIONAL}),
    }


def take_part(rank: int, folder: Path) -> None:
    """What one process does: evaluates with the others."""
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=COUNT)
    found = everything(Processes(rank, COUNT))
    dist.destroy_process_group()
    (folder / f"{rank}.json").write_text(json.dumps(found))


@pytest.fixture(scope="module")
def found(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> dict[str | int, dict[str, Any]]:
    """What each process found, by its rank, and what one ``"alone"`` does."""
    folder = tmp_path_factory.mktemp("processes")
    lives = forks.ranks(COUNT, folder, module="metrics.test_evaluate_processes", cwd=folder)
    assert not any(life.code for life in lives), lives
    every: dict[str | int, dict[str, Any]] = {
        rank: json.loads((folder / f"{rank}.json").read_text()) for rank in range(COUNT)
    }
    return {**every, "alone": json.loads(json.dumps(everything(ALONE)))}


Found = dict[str | int, dict[str, Any]]


def close(one: Any, other: Any) -> bool:
    """Whether values are the same to a relative 1e-6; what is not a number, to the letter."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(close(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(close, one, other))
    return math.isclose(one, other, rel_tol=1e-6) if isinstance(one, float) else one == other


# -- what they find ----------------------------------------------------------------------------------------


def test_an_optional_metric_that_one_process_cannot_have_is_absent(found: Found) -> None:
    """What the others saw of it is not the whole, and is no score."""
    scores = found[0]["optional"]
    assert close(scores["mse"], found["alone"]["optional"]["mse"])
    assert {label: score.get("why") for label, score in scores.items()} == {
        "refusing": "metric 'refusing': it does not like this one",
        "untrained": "metric 'untrained': it knows this one",
        "apart": "metric 'apart': its file is not here",
        "mse": None,
    }
    assert all(math.isnan(scores[label]["value"]) for label in OPTIONAL if label != "mse")


NEAR = {"path-length": 1e-3}
"""Codes lie so near one another there that rounding, which differs with the number of images, is seen."""


@pytest.mark.parametrize("label", METRICS)
def test_scores_of_several_processes_are_those_of_one(found: Found, label: str) -> None:
    alone, several = (found[key]["all"][label] for key in ("alone", 0))
    assert several["protocol"] == alone["protocol"]
    assert math.isclose(several["value"], alone["value"], rel_tol=NEAR.get(label, 1e-6)), (
        several["value"],
        alone["value"],
    )
    assert close(several.get("details", {}), alone.get("details", {}))


def test_images_and_samples_keep_their_order_to_the_last(found: Found) -> None:
    wanted = {"ordered": 11, "ordered_on": 25, "ordered_few": 3}
    for label, samples in wanted.items():
        details = found["alone"]["all"][label]["details"]
        assert found[0]["all"][label]["details"] == details
        assert (len(details["samples"]), len(set(details["samples"]))) == (samples, samples)
        assert len(details["training"]) == 13
    unshared = found[0]["all"]["unshared_on"]["details"]
    assert unshared == found[0]["all"]["ordered_on"]["details"]


def test_there_may_be_fewer_batches_than_processes(found: Found) -> None:
    for label, alone in found["alone"]["few"].items():
        assert close(found[0]["few"][label], alone), label


def test_every_process_has_the_scores_and_the_refusals(found: Found) -> None:
    for rank in range(1, COUNT):
        assert found[rank] == found[0]
    for what in ("refused", "failed"):
        # as text, for a number that is none is equal to nothing; sums are of other parts
        several, alone = (re.sub(r"\d\.\d{9}\d*", lambda n: n[0][:11], str(found[key][what])) for key in (0, "alone"))
        assert several == alone
    assert found["alone"]["refused"].endswith("metric 'refusing': it does not like this one")
    assert "it needs more" in found["alone"]["failed"]["failing"]["why"]
    assert found["alone"]["failed"]["mse"]["value"] > 0


# -- what needs no second process --------------------------------------------------------------------------


def test_every_protocol_says_how_many_images(found: Found) -> None:
    said = {label: score["protocol"]["n"] for label, score in found["alone"]["all"].items()}
    others = {"nearest_few": 7, "of_training": 13, "drawn_few": 13, "ordered_few": 13}
    assert said == {**dict.fromkeys(METRICS, 11), **others}


def test_how_many_samples_one_metric_wants_is_nothing_to_another() -> None:
    wanted = {f"s{n}": f"{{use: unshared, samples: {n}}}" for n in (3, 10, 25)}
    found = {label: scored(ALONE, 10, {label: spec})[label]["details"]["samples"] for label, spec in wanted.items()}
    together = scored(ALONE, 10, wanted)
    assert {label: together[label]["details"]["samples"] for label in wanted} == found
    assert found["s3"] == found["s25"][:3]
    assert found["s10"] == found["s25"][:10]
    assert len(set(found["s25"])) == 25


def test_a_metric_that_cannot_be_pickled_fails_the_contract(tmp_path: Path) -> None:
    file = tmp_path / "my_unpicklable.py"
    file.write_text(
        dedent(
            """
            from zoo import api

            class Mean:
                "The mean of the samples."

                def __init__(self):
                    self.total, self.count, self.halved = 0.0, 0, lambda number: number / 2

                def update(self, sample):
                    self.total, self.count = self.total + float(sample.sum()), self.count + len(sample)

                def merge(self, others):
                    self.total += sum(other.total for other in others)

                def compute(self):
                    return self.total / self.count

            @api.hookimpl
            def zoo_components():
                return [api.Component("metric", "mean", f"{__name__}:Mean", "the mean")]
            """
        )
    )
    [check] = [check for check in checks(file) if check.name == "travelling"]
    with pytest.raises(ContractError, match=r"'mean' cannot be pickled, to be merged elsewhere: .*; give its class a"):
        check.run()


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_moments_that_are_merged_are_those_at_once(shift: float, diagonal: bool) -> None:
    """One that saw nothing among them, and one that saw a single vector."""
    vectors = torch.randn(57, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + shift
    merged, *others = (Moments(diagonal) for _ in range(5))
    for moments, part in zip((merged, *others), vectors.split([0, 26, 1, 0, 30]), strict=True):
        moments.update(part)
    before = [other.covariance().clone() for other in others if other.count > 1]
    for other in others:
        merged.merge(other)
    assert merged.count == 57
    torch.testing.assert_close(merged.mean, vectors.mean(0))
    torch.testing.assert_close(
        merged.covariance(), vectors.var(0) if diagonal else vectors.T.cov(), rtol=1e-7, atol=1e-9
    )
    after = [other.covariance() for other in others if other.count > 1]
    assert all(map(torch.equal, before, after))


def test_training_images_are_numbered_through_and_of_two_as_near_the_first_is_told() -> None:
    gray = torch.tensor([3.0, 1, 2, 1, 1, 5])[:, None, None, None].expand(6, 1, 2, 2)
    x = torch.tensor([0.0, 5.5])[:, None, None, None].expand(2, 1, 2, 2)
    first, second = Nearest(), Nearest()
    for metric, training in ((first, gray[:3]), (second, gray[3:])):
        metric.update(x, x)
        metric.training(training)
    first.merge_training([second])
    assert first.details() == {"nearest": [1, 5], "distance": [2.0, 1.0]}
    assert first.protocol["n_train"] == 6


def test_gaussians_without_any_spread_are_as_far_as_their_means() -> None:
    """No direction has a variance, in one set or in both."""
    mean, none = torch.zeros(5, dtype=torch.float64), torch.zeros(5, 5, dtype=torch.float64)
    assert frechet(mean, none, mean + 2, none) == 20
    assert frechet(mean, none, mean, torch.eye(5, dtype=torch.float64)) == pytest.approx(5)


if __name__ == "__main__":
    take_part(int(os.environ["RANK"]), Path(sys.argv[1]))
