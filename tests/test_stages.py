"""Stages: a run's codes as data, its networks as slots of another recipe, and what is fitted when a training ends."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Run
from helpers.forks import Forks
from torch import Tensor

import zoo
from zoo.data.batches import Batches, load_images
from zoo.data.fields import items
from zoo.data.given import read_images
from zoo.errors import RecipeError, RequestError
from zoo.recipe import load_recipe, registry_for
from zoo.recipe.yaml.read import write

MAPS = Path(__file__).parent / "parts" / "map_parts.py"
FIELDS = Path(__file__).parent / "parts" / "field_parts.py"
SMALL = {"use": "sprites", "size": 8, "train": 40, "test": 12}
FIRST: dict[str, Any] = {
    "data": SMALL,
    "latent": 3,
    "slots": {
        "encoder": {"use": "dcgan", "width": 4},
        "decoder": {"use": "dcgan", "width": 4},
        "prior": "normal",
        "fitted": {"kind": "prior", "use": "mixture", "components": 2},
        "scale": {"kind": "module", "use": "moments"},
    },
    "values": {"z_fitted": {"use": "z", "with": {"prior": "fitted"}}, "decoded_prior": {"with": {"z": "z_fitted"}}},
    "phases": [{"encoder + decoder": {"reconstruction": 1.0, "kl": 1.0}}],
    "after": ["fitted", "scale"],
    "outputs": {"sample": "decoded_prior", "reconstruction": "reconstruction", "posterior": "posterior"},
    "train": {"steps": 3, "batch": 8, "ema": 0.5},
}
SECOND: dict[str, Any] = {
    "data": {"use": "codes", "run": "first"},
    "latent": 2,
    "slots": {
        "encoder": {"use": "mlp", "width": 8},
        "decoder": {"use": "mlp", "width": 8},
        "prior": "normal",
        "first_decoder": {"weights": "first#decoder"},
        "scale": {"weights": "first"},
    },
    "values": {
        "posterior": {"with": {"x": "scaled"}},
        "first_sample": {"with": {"decoded_prior": "unscaled"}},
    },
    "phases": [{"encoder + decoder": {"reconstruction": {"with": {"x": "scaled"}}, "kl": 1.0}}],
    "outputs": {"sample": "first_sample", "posterior": "posterior"},
    "train": {"steps": 2, "batch": 8},
}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished first stage."""
    folder = tmp_path_factory.mktemp("stages") / "first"
    zoo.train(zoo.build(FIRST), run=folder, progress=False)
    return folder


@pytest.fixture
def beside(first: Path, here: Path) -> Path:
    """The working directory, with that run in it."""
    shutil.copytree(first, here / "first")
    return here


def codes_of(model: Any, split: str) -> Tensor:
    """The posterior means of a split, all at once."""
    examples = load_images(model.recipe)
    count = len(getattr(examples, split))
    return model.encode(items(examples, split, model.recipe, 0, count)).mean


# -- the codes of a run as data --------------------------------------------------------------------------------


def test_codes_are_the_posterior_means_and_original_what_they_are_of(beside: Path) -> None:
    recipe = load_recipe(SECOND)
    assert [(f.name, f.kind, f.shape) for f in recipe.fields.values()] == [
        ("x", "vector", (3,)),
        ("original", "image", (3, 8, 8)),
        ("shape", "label", ()),
        ("texture", "label", ()),
        ("mask", "mask", (8, 8)),
        ("flat", "image", (3, 8, 8)),
        ("factors", "vector", (7,)),
    ]
    examples, model = load_images(recipe, ["shape"]), zoo.load("first")
    images = load_images(model.recipe, ["shape"])
    for split, found, original in (
        ("train", examples.train, examples.fields["original"][0]),
        ("test", examples.test, examples.fields["original"][1]),
    ):
        torch.testing.assert_close(found, codes_of(model, split))
        assert torch.equal(original, getattr(images, split))
    assert torch.equal(examples.fields["shape"][0], images.fields["shape"][0])
    assert beside.is_dir()


@pytest.mark.usefixtures("beside")
def test_once_packed_the_first_run_s_data_is_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load_recipe(SECOND)
    packed = load_images(recipe)
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["zoo_data.sprites"], "sprites", None)
        assert torch.equal(load_images(recipe).train, packed.train)
    weights = zoo.load("first").state_dict()
    zoo.train(zoo.load("first"), run="first", steps=1, progress=False, extend=True)  # other weights, other codes
    others = zoo.load("first").state_dict()
    assert not all(torch.equal(others[name], tensor) for name, tensor in weights.items())
    assert not torch.equal(load_images(recipe).train, packed.train)


@pytest.mark.parametrize(
    ("encoder", "decoder", "kind", "shape"),
    [
        ({"use": "map", "depth": 2, "factor": 4}, {"use": "map"}, "image", (2, 2, 2)),
        ({"use": "tokens", "factor": 4}, {"use": "tokens"}, "signal", None),
    ],
)
@pytest.mark.usefixtures("here")
def test_codes_may_be_maps_or_tokens(encoder: Any, decoder: Any, kind: str, shape: Any) -> None:
    scale = {"kind": "module", "use": "moments"}
    slots = {"encoder": encoder, "decoder": decoder, "prior": "normal", "scale": scale}
    recipe = {**FIRST, "latent": None, "slots": slots, "values": {}, "after": ["scale"]}
    model = zoo.build(recipe, plugins=[MAPS])
    zoo.train(model, run="first", progress=False)
    second = load_recipe(
        {
            "data": {"use": "codes", "run": "first"},
            "slots": {"judge": {"kind": "critic", "use": "mlp", "of": {"features": 1}}},
            "phases": [{"judge": {"discriminate": {"with": {"critic_x": "critic_x", "critic_generated": "critic_x"}}}}],
            "values": {"critic_x": {"with": {"critic": "judge"}}},
        },
        (),
        registry_for({}, [MAPS]),
    )
    assert (second.x.kind, second.x.shape) == (kind, shape or model.recipe.sizes.code)
    expected = codes_of(zoo.load("first", plugins=[MAPS]), "test")
    torch.testing.assert_close(load_images(second).test, expected)
    over = (0, *range(2, expected.ndim)) if kind == "image" else (0, 1)
    mean = codes_of(zoo.load("first", plugins=[MAPS]), "train").mean(over, keepdim=True)[0]
    torch.testing.assert_close(zoo.load("first", plugins=[MAPS]).scale.mean, mean)
    with pytest.raises(RequestError, match="x is a code, and files are read of images and masks alone"):
        read_images(["x.png"], second)
    with pytest.raises(
        RecipeError, match=r"first was built with plugins that are not here: give it again, --plugin .*map_p"
    ):
        load_recipe({**second.plain(), "data": {"use": "codes", "run": "first"}})


@pytest.mark.usefixtures("beside")
def test_a_second_stage_s_samples_are_decoded_by_the_first_which_need_not_stay(run_zoo: Run) -> None:
    Path("second.yaml").write_text(write(SECOND))
    built = run_zoo("build", "second.yaml", "--no-tensorboard")
    assert built.code == 0, built.err
    start, model = zoo.load("first").eval(), zoo.load("runs/second")
    code, image = model.compute("unscaled", "sample", batch=4, seed=1)
    torch.testing.assert_close(image, start.decoder(code).detach())
    (plain,) = model.compute("decoded_prior", batch=4, seed=1)
    torch.testing.assert_close(code, start.scale.undo(plain))
    shutil.rmtree("first")
    assert run_zoo("sample", "runs/second", "--to", "a.png").code == 0
    assert "up to date" in run_zoo("build", "runs/second").out
    gone = run_zoo("evaluate", "runs/second", "--metrics", "mse")
    assert (gone.code, "data 'codes': the run first is gone; bring it back" in gone.err) == (2, True)


def test_a_slot_of_a_run_is_as_it_is_there(beside: Path) -> None:
    recipe = load_recipe(SECOND)
    taken = recipe.slots["first_decoder"]
    assert taken.entry.kind == "decoder"
    assert taken.sizes == {"channels": 3, "size": 8, "latent": 3, "height": 8, "width": 8}
    assert load_recipe(recipe.plain()).plain() == recipe.plain()
    model = zoo.build(SECOND)
    for name, tensor in zoo.load("first").decoder.state_dict().items():
        assert torch.equal(model.first_decoder.state_dict()[name], tensor)
    assert beside.is_dir()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"data.run": "none"}, "data 'codes': none is no run: recipe.yaml cannot be read (No such file or directory)"),
        ({"slots.first_decoder.weights": "first#decodr"}, "first has no slot 'decodr'; did you mean 'decoder'?"),
        ({"slots.first_decoder.width": 3}, "slot 'first_decoder' is that of first, as it is there; say 'use'"),
        ({"slots.encoder.of": {"latnt": 3}}, "there is no size 'latnt'; did you mean 'latent'?"),
        ({"slots.encoder.of": {"latent": 0}}, "'latent' is a whole number, or several in a list, not 0"),
        ({"after": ["scael"]}, "'after' fits slots, and 'scael' is none; did you mean 'scale'?"),
        ({"after": ["encoder"]}, "'encoder' learns in a row already; 'after' fits what does not"),
        ({"after": ["scale"]}, "'scale' is fitted when the training ends, and term 'reconstruction' of row 'encoder"),
        ({"after": ["first_decoder"]}, "slot 'first_decoder' (decoder 'dcgan') has no fit(codes), and 'after' calls"),
        ({"after": ["scale"], "outputs.posterior": None}, "fitted on the output 'posterior', and the recipe has none"),
        ({"after": 3}, "'after' lists slots, or is {slot: value}, not 3"),
        ({"slots.decoder": None, "after": ["scale"]}, "and 1 more; remove or replace those too"),
        (
            {"data.fields": {"x": ["picture"]}},
            "option 'fields' says ['picture'] of 'x', which is no field; leave it out",
        ),
    ],
)
@pytest.mark.usefixtures("beside")
def test_what_cannot_be_is_said(change: dict[str, Any], told: str) -> None:
    with pytest.raises(RecipeError) as caught:
        zoo.build(SECOND, overrides=change)
    assert told in "\n".join(map(str, caught.value.problems))


@pytest.mark.usefixtures("beside")
def test_a_run_that_is_not_whole_or_not_of_its_data_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load_recipe(SECOND)
    monkeypatch.setenv("ZOO_CACHE", "cache")
    noted = json.loads(Path("first/data.json").read_text())
    noted["train"]["blake2b"] = "0"
    Path("first/data.json").write_text(json.dumps(noted))
    with pytest.raises(RecipeError, match="first was trained on other images than its data has now"):
        load_images(recipe)
    Path("first/data.json").unlink()
    with pytest.raises(RecipeError, match=r"first: its data.json does not say what it learnt from"):
        load_images(recipe)
    for name in ("model", "ema"):
        Path(f"first/{name}.safetensors").unlink()
    with pytest.raises(RecipeError, match="first is not trained to its end; finish it with: zoo build first"):
        load_images(recipe)
    without = {**FIRST, "outputs": {"sample": "decoded_prior"}, "after": None, "values": {}}
    zoo.save(zoo.build(without), "silent")
    with pytest.raises(RecipeError, match="silent has no codes: its recipe has no output 'posterior'"):
        load_recipe(SECOND, {"data.run": "silent"})


# -- what is fitted when a training ends ------------------------------------------------------------------------


def test_after_fits_on_the_codes_of_the_weights_that_are_shown(first: Path) -> None:
    """The averaged ones; what is fitted goes with the raw ones too, and samples are made from it."""
    shown, raw = zoo.load(first), zoo.load(first, weights="raw")
    codes = codes_of(shown, "train").double()
    torch.testing.assert_close(shown.scale.mean, codes.mean(0).float())
    torch.testing.assert_close(shown.scale.sigma, codes.std(0, unbiased=False).float())
    assert torch.equal(raw.fitted.means, shown.fitted.means)
    assert not torch.equal(next(raw.encoder.parameters()), next(shown.encoder.parameters()))
    (z,) = shown.compute("z_fitted", batch=3000, seed=0)
    torch.testing.assert_close(z.mean(0).double(), codes.mean(0), atol=0.1 * float(codes.std()), rtol=0)


@pytest.mark.usefixtures("here")
def test_a_training_that_is_killed_before_it_fits_goes_on_bit_for_bit(run_zoo: Run, monkeypatch: Any) -> None:
    Path("first.yaml").write_text(write({**FIRST, "train": {**FIRST["train"], "save_every": 2}}))
    import zoo_values.moments as moments

    def killed(_: Any, codes: Tensor) -> None:
        raise KeyboardInterrupt(len(codes))

    build = ("build", "first.yaml", "--no-tensorboard", "--device", "cpu")
    assert run_zoo(*build, "--out", "whole").code == 0
    with monkeypatch.context() as patch:
        patch.setattr(moments.Moments, "fit", killed)
        assert run_zoo(*build, "--out", "parts").code != 0
    assert not Path("parts/model.safetensors").exists()
    ended = run_zoo(*build, "--out", "parts")
    assert ended.code == 0
    assert "fitting scale on posterior of 40 items" in ended.err
    assert not [path for path in Path("parts/state").iterdir() if path.name.startswith("tmp")]  # where codes lay
    for name in ("model", "ema"):
        assert Path(f"parts/{name}.safetensors").read_bytes() == Path(f"whole/{name}.safetensors").read_bytes()
    explained = run_zoo("explain", "first.yaml").out
    assert "When the training ends, 'scale' is fitted on 'posterior'." in explained


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"slots.fitted.components": 100}, "on posterior, B x 3: 40 codes are too few for 100 components"),
        ({"after": {"fitted": "x"}}, "on x, B x 3 x 8 x 8: it is a mixture of codes of shape (3,), not (3, 8, 8)"),
        ({"after": {"scale": "x"}}, "on x, B x 3 x 8 x 8: RuntimeError"),
    ],
)
def test_what_cannot_be_fitted_is_said_before_the_training(
    change: dict[str, Any], told: str, here: Path, run_zoo: Run
) -> None:
    Path("first.yaml").write_text(write(FIRST))
    said = [f"--set={path}={json.dumps(value)}" for path, value in change.items()]
    for command in (("check", "first.yaml"), ("build", "first.yaml", "--no-tensorboard")):
        outcome = run_zoo(*command, *said)
        assert (outcome.code, told in outcome.err + outcome.out) == (2, True), outcome.err + outcome.out
    assert not (here / "runs" / "first" / "state" / "step-00000003.json").exists()


@pytest.mark.usefixtures("here")
def test_more_components_than_a_fit_is_first_tried_on_are_no_fault() -> None:
    model = zoo.build(FIRST, overrides={"slots.fitted.components": 70, "data.train": 80})
    zoo.train(model, steps=1, progress=False)
    assert model.fitted.weights.sum() == pytest.approx(1)
    with pytest.raises(RecipeError, match=r"slot 'fitted' \(prior 'mixture'\) cannot be fitted on posterior, B x 3: "):
        zoo.train(zoo.build(FIRST, overrides={"slots.fitted.components": 41}), progress=False)


def test_what_is_fitted_may_be_another_and_the_training_is_kept(beside: Path, run_zoo: Run) -> None:
    """A finished run's weights stay to the last bit; a mixture of others is that of a training with them."""
    build, fewer = ("build", "first", "--no-tensorboard", "--device", "cpu"), "slots.fitted.components=3"
    before = zoo.load(beside / "first").state_dict()
    again = run_zoo(*build, "--set", fewer)
    assert again.code == 0, again.err
    assert "from here on, slots.fitted.components: 3 (it was 2)" in again.err
    assert "fitting fitted on posterior of 40 items" in again.err
    whole, now = zoo.build(FIRST, overrides=[fewer]), zoo.load(beside / "first")
    zoo.train(whole, progress=False)
    for name, tensor in now.state_dict().items():
        assert torch.equal(tensor, whole.state_dict()[name]), name
        assert name.startswith("fitted.") or torch.equal(tensor, before[name]), name
    assert "up to date" in run_zoo("build", "first").out
    other = run_zoo(*build, "--set", "slots.encoder.width=8", "--set", fewer)
    assert (other.code, "slots.encoder.width is 4 there" in other.err) == (2, True)
    shutil.rmtree(beside / "first" / "state")
    lost = run_zoo(*build, "--set", "slots.fitted.components=4")
    assert (
        lost.code,
        "has no checkpoint (first/state) from which its 3 steps could be fitted on anew" in lost.err,
    ) == (2, True)


def test_a_value_may_be_named_that_is_fitted_on() -> None:
    model = zoo.build({**FIRST, "after": {"scale": "z_posterior"}})
    zoo.train(model, progress=False)
    mean, sigma = codes_of(model, "train").mean(0), model.scale.sigma
    assert not torch.equal(model.scale.mean, mean)
    assert float(((model.scale.mean - mean) / sigma).abs().max()) < 1  # samples of the same posteriors


# -- conditional, on two processes --------------------------------------------------------------------------------


def test_two_processes_train_a_conditional_model_as_one_does(forks: Forks, here: Path) -> None:
    """Labels lie in batches as images do, and are drawn as often as all of the training set has them; what is fitted at
    the end is fitted on all of it.
    """
    from test_fields import RECIPES

    recipe = RECIPES["class-vae"]
    slots = {**recipe["slots"], "scale": {"kind": "module", "use": "moments"}}
    train = {"steps": 3, "batch": 8, "optimizer": {"use": "sgd", "lr": 1e-3}}
    (here / "c.yaml").write_text(write({**recipe, "slots": slots, "after": ["scale"], "train": train}))
    runs = []
    for count in (1, 2):
        out = ("--out", f"runs/{count}", "--plugin", FIELDS, "--no-tensorboard", "--device", "cpu")
        lives = forks.ranks(count, "build", "c.yaml", *out, cwd=here)
        assert not any(life.code for life in lives), lives[0].log
        runs.append(zoo.load(here / "runs" / str(count), plugins=[FIELDS]))
    for (name, one), other in zip(runs[0].state_dict().items(), runs[1].state_dict().values(), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-5, atol=1e-6, msg=name)
    assert runs[1].frequencies.label.tolist() == [20, 10, 10]
    one, two = (run.compute("label", "sample", batch=64, seed=0) for run in runs)
    assert torch.equal(one[0], two[0])
    torch.testing.assert_close(one[1], two[1], rtol=1e-4, atol=1e-5)


# -- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_s_stages_are_built_as_it_shows(here: Path, run_zoo: Run) -> None:
    """In what a command prints, ``...`` stands for anything."""
    page = (Path(__file__).parents[1] / "docs" / "recipes.md").read_text()
    section = re.search(r"^## Stages\n(.*?)^## ", page, re.DOTALL | re.MULTILINE)
    assert section
    for kind, text in re.findall(r"^```(\w+)\n(.*?)^```", section[1], re.DOTALL | re.MULTILINE):
        if kind == "yaml":
            (here / text.split()[1]).write_text(text)
            continue
        for command, shown in re.findall(r"^\$ zoo (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
            outcome = run_zoo(*command.split())
            pattern = re.escape(shown).replace(re.escape("..."), ".*")
            assert re.fullmatch(pattern, outcome.err + outcome.out, re.DOTALL), outcome.err + outcome.out
    assert {"first", "second"} == {path.name for path in (here / "runs").iterdir()}


# -- strengths of augmentations by schedule --------------------------------------------------------------------------


def test_an_augmentation_s_strength_changes_with_the_step_and_goes_on_bit_for_bit(here: Path) -> None:
    strength = {"flip": {"probability": {"from": 0, "to": 1, "steps": 4}}}
    changing = {**FIRST, "augment": [strength], "train": {"steps": 6, "batch": 40}}
    plain, moved = (
        Batches.of(recipe, load_images(recipe), "cpu", torch.float32)
        for recipe in (load_recipe(changing, {"augment": []}), load_recipe(changing))
    )
    shares = [float((plain(step)["x"] != moved(step)["x"]).flatten(1).any(1).float().mean()) for step in range(6)]
    assert shares[0] == 0
    assert 0 < shares[1] < shares[3] < 1
    assert shares[4] == shares[5] == 1
    whole = zoo.build(changing)
    zoo.train(whole, run="whole", progress=False)
    zoo.train(zoo.build(changing), run="parts", steps=3, progress=False)
    zoo.train(zoo.load("parts"), run="parts", progress=False, extend=True)
    assert Path("parts/model.safetensors").read_bytes() == Path("whole/model.safetensors").read_bytes()
    assert here.is_dir()
