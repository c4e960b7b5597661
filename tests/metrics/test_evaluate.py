"""What a metric is given, what is kept of it, and what is refused: ``zoo.metrics.evaluate`` and ``zoo evaluate``."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY, Run
from helpers.engine import small
from torch import Tensor

from zoo import api
from zoo.check.probe import probe_model
from zoo.errors import RecipeError
from zoo.metrics.evaluate import Scores, batch_of, evaluate
from zoo.model.model import Model
from zoo.recipe import load_recipe
from zoo.registry import load_registry

PARTS = Path(__file__).parents[1] / "parts" / "metric_parts.py"
"""A plugin of metrics that note what they are given."""


def pixels(n: int) -> torch.Tensor:
    return torch.randint(0, 256, (n, 3, 8, 8), dtype=torch.uint8)


def fresh(*metrics: str) -> Model:
    """An AVAE with nothing learnt."""
    widths = [f"slots.{slot}.width=4" for slot in ("encoder", "decoder", "generator", "critic")]
    overrides = ["data.size=8", "latent=4", "noise=4", *widths, "evaluate=null", *metrics]
    return Model(load_recipe("avae", overrides, load_registry((PARTS,))))


def scored(*metrics: str) -> Scores:
    """Metrics of it on 13 training and 10 test images, 4 at a time."""
    return evaluate(fresh(*metrics), api.Images(pixels(13), pixels(10)), batch=4)


def test_compute_gives_the_same_but_for_what_is_given() -> None:
    score = scored("evaluate.noted=noted")["noted"]
    assert score["value"] == 1
    assert len(score["details"]["draws"]) == 3


def test_draws_of_a_metric_are_its_own() -> None:
    alone = scored("evaluate.noted=noted")["noted"]
    beside = scored("evaluate.first={use: noted}", "evaluate.noted=noted")
    assert beside["noted"]["details"] == alone["details"]
    assert beside["first"]["details"] != alone["details"]


def test_the_protocol_says_how_what_was_measured_came_about() -> None:
    scores = scored(
        "evaluate.mse=mse",
        "evaluate.noted=noted",
        "evaluate.decoded={use: mse, with: {reconstruction: decoded}}",
    )
    made = {label: score["protocol"]["made"] for label, score in scores.items()}
    assert made["mse"] == {"reconstruction": "generated_from_posterior, from x, drawn: z_posterior, noise"}
    assert made["decoded"] == {"reconstruction": "reconstruction, from x, drawn: z_posterior"}
    assert made["noted"]["sample"] == "generated, without x, drawn: z, noise"
    assert scores["noted"]["protocol"]["of"]["posterior"] == "posterior"
    common = {"n": 10, "split": "test", "size": 8, "seed": 0, "batch": 4, "batch_stats": "running", "weights": "raw"}
    assert common.items() <= scores["mse"]["protocol"].items()


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory")])
def test_short_of_memory_it_scores_half_as_many_at_a_time(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """And comes to what it comes to with so many from the start; of one image it says what went wrong."""
    model, images = fresh("evaluate.mse=mse"), api.Images(pixels(13), pixels(10))
    expected = evaluate(model, images, batch=3)
    compute, most = Model.compute, 4

    def short(self: Model, *names: str, given: dict[str, Tensor], **more: Any) -> Any:
        if len(given["x"]) > most:
            raise error
        return compute(self, *names, given=given, **more)

    monkeypatch.setattr(Model, "compute", short)
    assert evaluate(model, images) == expected  # 250, 125, 62, 31, 15, 7, 3
    most = 0
    with pytest.raises(type(error)):
        evaluate(model, images)


@pytest.mark.parametrize(("size", "batch"), [(8, 250), (64, 250), (128, 62), (1024, 1)])
def test_of_larger_images_fewer_are_scored_at_a_time(size: int, batch: int) -> None:
    assert batch_of(load_recipe("vae", [f"data.size={size}"])) == batch


def test_under_statistics_of_the_batch_whole_batches_are_scored() -> None:
    """As in a training step, and as published: a rest would have statistics of its own."""
    model = fresh("batch_stats=batch", "train.batch=4", "evaluate.mse=mse", "evaluate.noted=noted")
    train, test = pixels(13), pixels(10)
    many, few = (evaluate(model, api.Images(train, test[:n])) for n in (10, 8))
    assert many == few
    assert (many["mse"]["protocol"]["n"], many["mse"]["protocol"]["batch"]) == (8, 4)
    assert evaluate(model, api.Images(pixels(13), pixels(3)))["mse"]["protocol"]["n"] == 3


def test_the_protocol_knows_the_images_by_their_content() -> None:
    model = fresh("evaluate={test: {use: counted}, train: {use: counted, split: train}, mse: mse}")
    first, second = pixels(5), pixels(5)
    said = {}
    for name, images in {"a": (first, second), "b": (first, second.clone()), "c": (second, second)}.items():
        scores = evaluate(model, api.Images(*images), batch=5)
        said[name] = {label: score["protocol"]["images"] for label, score in scores.items()}
        assert scores["test"]["protocol"]["training"] == said[name]["train"]
        assert "training" not in scores["mse"]["protocol"]
    assert said["a"] == said["b"]
    assert said["a"]["mse"] == said["c"]["mse"] == said["c"]["train"] == said["a"]["test"]
    assert said["a"]["train"] != said["c"]["train"]


@pytest.mark.parametrize(("samples", "made"), [(0, 10), (7, 7), (10, 10), (11, 11), (25, 25)])
def test_samples_are_drawn_until_there_are_enough_and_no_more(samples: int, made: int) -> None:
    score = scored(f"evaluate.counted={{use: counted, samples: {samples}}}")["counted"]
    assert score["value"] == 10 + 1000 * made
    assert score["details"] == {"different": True, "trained": 13}
    assert "hidden" not in score["protocol"]


def test_a_metric_may_look_at_the_training_images() -> None:
    score = scored("evaluate.counted={use: counted, split: train}", "evaluate.mse=mse")
    assert score["counted"]["value"] == 13 + 1000 * 13
    assert (score["counted"]["protocol"]["split"], score["counted"]["protocol"]["n"]) == ("train", 13)
    assert (score["mse"]["protocol"]["split"], score["mse"]["protocol"]["n"]) == ("test", 10)


def test_a_split_that_there_is_not_is_refused() -> None:
    with pytest.raises(RecipeError, match="metric 'astray': its split is 'validation'; choices: test, train"):
        scored("evaluate.astray=astray")


def test_what_goes_wrong_in_a_metric_is_said_of_it() -> None:
    """Its reason stands in the place of its number, and the others have theirs."""
    found = scored("evaluate.failing=failing", "evaluate.mse=mse")
    assert math.isnan(found["failing"]["value"])
    assert found["failing"]["why"] == "metric 'failing': it needs more"
    assert math.isfinite(found["mse"]["value"])


@pytest.mark.parametrize(
    ("metric", "why"),
    [
        ("astray", "its split is 'validation'; choices: test, train"),
        ("fid, pretrained: nowhere.pth", "there is no file 'nowhere.pth' of weights"),
        ("failing", "it needs more"),
        ("blind", "it cannot look at these"),
    ],
)
def test_an_optional_metric_that_cannot_be_had_has_its_reason_and_the_others_their_numbers(
    metric: str, why: str
) -> None:
    """Nothing of it is told before the training, in which it is no failure."""
    model = fresh(f"evaluate.own={{use: {metric}, optional: true}}", "evaluate.mse=mse")
    probe_model(model, api.Images(pixels(13), pixels(10)))
    found = evaluate(model, api.Images(pixels(13), pixels(10)), batch=4)
    assert math.isnan(found["own"]["value"])
    assert found["own"]["why"] == f"metric 'own': {why}"
    assert math.isfinite(found["mse"]["value"])
    with pytest.raises(RecipeError, match="must be true or false, not 'maybe'"):
        fresh("evaluate.mse={use: mse, optional: maybe}")


def test_without_noise_an_optional_metric_of_noise_is_left_out() -> None:
    noise = ["evaluate.noise-use={use: noise-use, optional: true}", "evaluate.mse=mse"]
    assert [part.label for part in fresh(*noise).recipe.evaluate] == ["noise-use", "mse"]
    assert [part.label for part in fresh("noise=0", *noise).recipe.evaluate] == ["mse"]


def test_an_optional_metric_of_what_a_model_has_not_is_left_out() -> None:
    """But a name that the recipe writes itself must be there."""
    others = ["evaluate.cycle={use: cycle, optional: true}", "evaluate.noise-use={use: noise-use, optional: true}"]
    decoded = fresh("outputs.sample=decoded_prior", *others, "evaluate.mse=mse").recipe
    assert [part.label for part in decoded.evaluate] == ["cycle", "mse"]
    gan = load_recipe("gan", ["evaluate=null", *others, "evaluate.mse={use: mse, optional: true}"], load_registry())
    assert not gan.evaluate
    with pytest.raises(RecipeError, match="'recon' is asked for, which is neither a slot of this recipe nor a value"):
        fresh("evaluate.own={use: mse, optional: true, with: {reconstruction: recon}}")


def test_samples_and_splits_of_a_real_metric() -> None:
    """Frechet distances with as many images as are asked for, against the same images at once."""
    spec = "{use: frechet, model: test_resnet, pretrained: false, resize: 32, samples: 9}"
    model = small("avae", f"evaluate={{frechet: {spec}}}", dtype=torch.float32)
    images = pixels(4)
    score = evaluate(model, api.Images(images, images), batch=3)["frechet"]
    assert (score["protocol"]["n_real"], score["protocol"]["n_samples"]) == (4, 9)
    assert score["protocol"]["feature_weights"].startswith("random")
    assert not {"pretrained", "samples", "download"} & score["protocol"].keys()


# -- refused before anything is built ----------------------------------------------------------------------

VAE = TINY.replace("extends: avae", "extends: vae").replace(", generator: {width: 4}, critic: {width: 4}", "")


@pytest.mark.parametrize(
    ("recipe", "metric", "said"),
    [
        (
            VAE,
            "noise-use",
            "metric 'noise-use' computes 'decoded_prior' for other values of 'noise', on which it",
        ),
        (VAE, "{use: cycle, with: {posterior: z}}", "metric 'wrong' computes 'z' for other values of 'x', on which it"),
        (TINY, "{use: cycle, with: {posterior: posterier}}", "'posterier' is asked for, which is neither a slot"),
        (TINY, "{use: cycle, with: {posterio: z}}", "metric 'cycle' asks for no 'posterio'; did you mean 'posterior'?"),
        (
            TINY.replace("noise: 4", "noise: 0"),
            "{use: noise-use}",
            "other values of 'noise', of which this recipe has none (noise: 0)",
        ),
        (TINY, "ssim", "metric 'ssim' cannot be computed: its windows are 11 px wide, and images are 8"),
        (TINY, "{use: fid, pretrained: no.pth}", "there is no file 'no.pth' of weights"),
    ],
)
def test_check_refuses_what_could_not_be_measured(
    here: Path, run_zoo: Run, recipe: str, metric: str, said: str
) -> None:
    label = "wrong" if metric.startswith("{") else metric
    (here / "wrong.yaml").write_text(f"{recipe}evaluate: {{{label}: {metric}}}\n")
    outcome = run_zoo("check", "wrong.yaml")
    assert outcome.code == 2
    assert outcome.err.startswith("wrong.yaml:7:")
    assert said in outcome.err


def test_a_metric_must_say_what_it_computes() -> None:
    with pytest.raises(RecipeError, match=r"Undeclared.update\(\) asks for compute, and the class does not say what"):
        scored("evaluate.undeclared=undeclared")


def test_show_says_what_a_metric_computes(run_zoo: Run) -> None:
    assert "\nasks for: z\ncomputes: sample for other z and noise\n" in run_zoo("show", "noise-use").out
    (described,) = json.loads(run_zoo("show", "noise-use", "--json").out)
    assert described["computes"] == {"sample": ["z", "noise"]}


# -- zoo evaluate --metrics --------------------------------------------------------------------------------


@pytest.fixture
def run(here: Path, finished: Path) -> Path:
    shutil.copytree(finished, here / "run")
    return here / "run"


def stored(run: Path) -> dict[str, Any]:
    return json.loads((run / "scores.json").read_text())


def test_a_finished_run_is_scored_with_other_metrics_beside_its_own(run: Path, run_zoo: Run) -> None:
    before = stored(run)
    outcome = run_zoo("evaluate", "run", "--metrics", "psnr,mse_decoded", "--metrics", "kl", "--json")
    assert list(json.loads(outcome.out)) == ["psnr", "mse_decoded", "kl"]
    after = stored(run)
    assert {label: after[label] for label in before} == before
    assert after["psnr"]["protocol"]["range"] == [-1, 1]
    assert len(after["kl"]["details"]["dimensions"]) == 4


def test_options_of_other_metrics_are_set_like_a_recipes(run: Path, run_zoo: Run) -> None:
    options = ["--set", "evaluate.frechet.model=test_resnet", "--set", "evaluate.frechet.pretrained=false"]
    assert run_zoo("evaluate", "run", "--metrics", "frechet", *options).code == 0
    assert stored(run)["frechet"]["protocol"]["model"] == "test_resnet"


def test_metrics_that_are_not_there_or_cannot_be_had(run: Path, run_zoo: Run) -> None:
    before = stored(run)
    said = run_zoo("evaluate", "run", "--metrics", "psnrr").err
    assert said == "zoo: error: there is no metric 'psnrr'; did you mean 'psnr'?\n"
    outcome = run_zoo("evaluate", "run", "--metrics", "ssim")
    assert (outcome.code, stored(run)) == (2, before)
    assert "metric 'ssim': its windows are 11 px wide, and images are 8" in outcome.err


def test_the_report_has_the_new_scores_and_what_was_noted_before(run: Path, run_zoo: Run) -> None:
    (run / "state/alarms.json").write_text('["step 2: something collapsed"]')
    assert "active-units" not in (run / "report.html").read_text()
    assert run_zoo("evaluate", run, "--metrics", "active-units").code == 0
    page = (run / "report.html").read_text()
    assert "active-units" in page
    assert "edges_decoded" in page
    assert "step 2: something collapsed" in page
