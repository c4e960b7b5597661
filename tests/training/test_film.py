"""Samples on the way: kept at a few steps, the same whatever stops the training, and no part of it."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TINY
from conftest import Run as RunZoo
from helpers.engine import pixels, small
from PIL import Image
from torch import Tensor, nn

from zoo.api import Record
from zoo.engine.engine import Engine
from zoo.errors import Interrupted
from zoo.model.model import Model
from zoo.recipe import Recipe
from zoo.runs.run import Run
from zoo.training.film import SHOWN, film, frame, keep_samples, milestones, score_curve
from zoo.training.loop import train
from zoo.types import Images

STEPS = 4


def recipe(*overrides: str) -> Recipe:
    options = ("train.ema=0.9", "train.log_every=1", "train.save_every=1", f"train.steps={STEPS}")
    return small("avae", *options, *overrides, dtype=torch.float32).recipe


def trained(made: Recipe, folder: Path, **given: object) -> Engine:
    with Run(folder) as run:
        run.write("recipe.yaml", "")
        return train(Model(made), pixels(), run=run, **given)  # type: ignore[arg-type]


def frames(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "samples").iterdir()}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Engine]:
    """A training with its film."""
    folder = tmp_path_factory.mktemp("done")
    return folder, trained(recipe(), folder)


@pytest.mark.parametrize(
    ("steps", "shown"),
    [
        (0, ()),
        (1, (1,)),
        (3, (1, 3)),
        (5, (1, 3, 5)),
        (10, (1, 3, 10)),
        (4000, (1, 3, 10, 30, 100, 300, 1000, 3000, 4000)),
        (20000, (1, 3, 10, 30, 100, 300, 1000, 3000, 10000, 20000)),
    ],
)
def test_milestones_are_evenly_spaced_on_a_logarithm_and_end_with_the_last_step(
    steps: int, shown: tuple[int, ...]
) -> None:
    assert milestones(steps) == shown


def test_a_film_changes_no_bit_of_the_training(
    done: tuple[Path, Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, filmed = done
    monkeypatch.setattr("zoo.training.loop.milestones", lambda _: ())
    plain = trained(recipe(), tmp_path)
    assert len(frames(folder)) == 3
    assert not (tmp_path / "samples").exists()
    (tensors, _), (others, _) = filmed.state(), plain.state()
    assert tensors.keys() == others.keys()
    assert [key for key in tensors if not torch.equal(tensors[key], others[key])] == []
    strides = [(a.stride(), b.stride()) for a, b in zip(*(e.model.parameters() for e in (filmed, plain)), strict=True)]
    assert [pair for pair in strides if pair[0] != pair[1]] == []


def test_a_training_stopped_at_every_step_has_the_film_of_one_that_was_not(
    done: tuple[Path, Engine], tmp_path: Path
) -> None:
    for _ in range(STEPS - 1):
        with pytest.raises(Interrupted):
            trained(recipe(), tmp_path, stop=lambda: True)
    trained(recipe(), tmp_path)
    assert frames(tmp_path) == frames(done[0])


def test_a_training_made_longer_has_the_film_of_the_whole(done: tuple[Path, Engine], tmp_path: Path) -> None:
    shutil.copytree(done[0], tmp_path / "longer")
    trained(recipe("train.steps=5"), tmp_path / "longer")
    trained(recipe("train.steps=5"), tmp_path / "whole")
    assert film(tmp_path / "longer", 5) == film(tmp_path / "whole", 5)
    assert list(film(tmp_path / "whole", 5)) == [1, 3, 5]


def test_a_frame_has_samples_of_the_averaged_weights(done: tuple[Path, Engine]) -> None:
    folder, engine = done
    average = engine.average
    assert average
    with average.applied():
        state = engine.model.state_dict()
        assert all(torch.equal(state[key], value) for key, value in average.averaged.items())
        expected = engine.model.sample(SHOWN, seed=0).add(1).mul(127.5).round().clamp(0, 255)  # two to a row
    assert any(not torch.equal(engine.model.state_dict()[key], value) for key, value in average.averaged.items())
    with Image.open(folder / frame(STEPS)) as picture:
        shown = torch.from_numpy(np.array(picture.resize((34, 70), Image.Resampling.NEAREST)))
    cells = [shown[18 * r : 18 * r + 16, 18 * c : 18 * c + 16, :3] for r in range(4) for c in range(2)]
    assert torch.equal(torch.stack(cells).permute(0, 3, 1, 2).float(), expected)


def test_weights_come_back_if_sampling_fails(
    done: tuple[Path, Engine], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model = done[1].model
    before = {key: value.clone() for key, value in model.state_dict().items()}

    def fail(*_: object, **__: object) -> Tensor:
        raise MemoryError

    monkeypatch.setattr(Model, "sample", fail)
    with Run(tmp_path) as run, pytest.raises(MemoryError):
        keep_samples(run, done[1])
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_a_frame_is_no_batch_to_batch_norm(done: tuple[Path, Engine]) -> None:
    norms = [module for module in done[1].model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert max(int(norm.num_batches_tracked) for norm in norms if norm.num_batches_tracked is not None) == STEPS


def test_a_model_without_samples_has_no_film(tmp_path: Path) -> None:
    trained(recipe("outputs.sample=null"), tmp_path)
    assert not (tmp_path / "samples").exists()
    assert film(tmp_path, STEPS) == {}


class Viewer:
    """A watcher that wants pictures."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, str, Tensor]] = []

    def start(self, step: int, steps: int, batch: int) -> None: ...

    def log(self, record: Record) -> None: ...

    def end(self) -> None: ...

    def picture(self, step: int, name: str, image: Tensor) -> None:
        self.seen.append((step, name, image))


def test_a_watcher_that_wants_pictures_is_shown_the_frames(tmp_path: Path) -> None:
    viewer = Viewer()
    trained(recipe(), tmp_path, watchers=(viewer,))
    assert [(step, name) for step, name, _ in viewer.seen] == [(1, "samples"), (3, "samples"), (4, "samples")]
    _, _, image = viewer.seen[-1]
    assert (image.dtype, image.shape) == (torch.uint8, (3, 70, 34))


def test_large_samples_are_kept_small(
    done: tuple[Path, Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = torch.cat([-torch.ones(SHOWN, 3, 200, 100), torch.ones(SHOWN, 3, 200, 100)], 3)
    monkeypatch.setattr(Model, "sample", lambda *_, **__: half)
    with Run(tmp_path) as run:
        keep_samples(run, done[1])
    with Image.open(io.BytesIO(film(tmp_path, STEPS)[STEPS])) as picture:
        assert picture.size == (2 * 66 - 2, 4 * 66 - 2)
        assert [picture.getpixel(at)[0] for at in ((0, 0), (31, 63), (32, 0), (63, 63))] == [0, 0, 255, 255]


# -- scores on the way -------------------------------------------------------------------------------------------


def test_scores_on_the_way_are_those_of_the_quick_metrics_at_the_end(finished: Path) -> None:
    curve = score_curve(finished, 3)
    assert list(curve) == [1, 3]
    final = json.loads((finished / "scores.json").read_text())
    assert curve[3]["n"] == 8
    assert curve[3]["scores"] == {
        label: pytest.approx(final[label]["value"]) for label in final.keys() - {"cycle", "noise-use", "pd-lite0"}
    }
    assert curve[1]["scores"] != curve[3]["scores"]
    assert "Scores over time" in (finished / "report.html").read_text()


def test_a_metric_that_is_not_quick_waits_for_the_end(here: Path, run_zoo: RunZoo) -> None:
    (here / "tiny.yaml").write_text(TINY + "evaluate: [random-pairs, mse]\n")
    assert run_zoo("build", "tiny.yaml").code == 0
    assert list(score_curve(here / "runs/tiny", 3)[3]["scores"]) == ["mse"]
    assert json.loads((here / "runs/tiny/scores.json").read_text()).keys() == {"random-pairs", "mse"}


@pytest.mark.parametrize(("settings", "looked"), [((), (1, 2, 3, 4, 6, 8)), (("train.best_every=5",), (1, 3, 5, 8))])
def test_the_best_is_looked_for_as_often_as_said(
    settings: tuple[str, ...], looked: tuple[int, ...], here: Path
) -> None:
    """Beside the film's steps: at every ``save_every``, or every ``best_every``; what is scored is in the curve."""
    best = ("evaluate=[mse]", "train.keep_best=mse", "train.steps=8", "train.save_every=2")
    with Run(here) as run:
        run.write("recipe.yaml", "")
        train(Model(recipe(*best, *settings)), Images(pixels(), pixels()[:8]), run=run)
    assert tuple(score_curve(here, 8)) == looked
    assert all(set(scores["scores"]) == {"mse"} for scores in score_curve(here, 8).values())
