"""Data with fields, by a plugin and recipes alone: labels, pairs, masks, two domains, signals, volumes, tables."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Run
from helpers.forks import Forks
from torch import Tensor, nn

import zoo
from zoo import api
from zoo.data.augment import augmentations
from zoo.data.batches import Batches, load_images
from zoo.data.fields import split_of
from zoo.engine.engine import Engine
from zoo.errors import RecipeError, RequestError
from zoo.model import given as giving
from zoo.model.model import Model
from zoo.recipe import load_recipe, registry_for
from zoo.recipe.yaml.read import write
from zoo.report.codes import interpolation_rows
from zoo.report.figures import show
from zoo.types import Batch, to_model

PLUGIN = Path(__file__).parent / "parts" / "field_parts.py"
TRAIN = {"steps": 3, "batch": 4, "optimizer": {"use": "adam", "lr": 1e-3}}
VAE = {"encoder + decoder": {"reconstruction": 1.0, "kl": 1.0}}


def vae(data: object, shape: list[int]) -> dict[str, Any]:
    """A VAE of items of a shape."""
    slots = {"encoder": {"use": "any", "shape": shape}, "decoder": {"use": "any", "shape": shape}, "prior": "normal"}
    outputs = {"sample": "decoded_prior", "reconstruction": "reconstruction", "posterior": "posterior"}
    return {"data": data, "latent": 6, "slots": slots, "phases": [VAE], "outputs": outputs, "train": TRAIN}


RECIPES: Mapping[str, dict[str, Any]] = {
    "class-vae": {
        "data": {"use": "shades"},
        "latent": 6,
        "slots": {"encoder": "by-class", "decoder": "by-class", "prior": "normal"},
        "values": {
            "posterior": "posterior_xc",
            "reconstruction": "reconstruction_c",
        },
        "phases": [VAE],
        "outputs": {"sample": "decoded_c", "reconstruction": "reconstruction", "posterior": "posterior"},
        "train": TRAIN,
        "evaluate": ["mse"],
    },
    "class-gan": {
        "data": {"use": "shades"},
        "latent": 6,
        "slots": {"generator": "by-class", "critic": "projection", "prior": "normal"},
        "phases": [
            {
                "generator": {"fool": {"weight": 1.0, "with": {"fake": "fake_c"}}},
                "critic": {"tell": {"weight": 1.0, "with": {"real": "real_c", "fake": "fake_c"}}},
            }
        ],
        "outputs": {"sample": "generated_c"},
        "train": TRAIN,
    },
    "translation": {
        "data": {"use": "pairs"},
        "slots": {"generator": {"use": "repainter", "takes": 1}, "critic": {"use": "patches", "takes": 4}},
        "phases": [
            {
                "generator": {
                    "fool": {"weight": 1.0, "with": {"fake": "fake_pair"}},
                    "apart": {"weight": 100.0, "with": {"one": "repainted", "other": "x"}},
                },
                "critic": {"tell": {"weight": 0.5, "with": {"real": "real_pair", "fake": "fake_pair"}}},
            }
        ],
        "outputs": {"sample": "repainted", "reconstruction": "repainted"},
        "train": TRAIN,
        "augment": ["flip"],
        "evaluate": ["mse"],
    },
    "two-domains": {
        "data": {"x": {"use": "pairs", "seed": 3}, "z_": {"use": "pairs", "count": 13}},
        "slots": {
            "forth": {"kind": "generator", "use": "repainter"},
            "back_again": {"kind": "generator", "use": "repainter"},
            "critic_of_x": {"kind": "critic", "use": "patches"},
            "critic_of_y": {"kind": "critic", "use": "patches"},
        },
        "values": {"back": {"with": {"y": "z_"}}, "score_y": {"with": {"y": "z_"}}},
        "phases": [
            {
                "forth + back_again": {
                    "to_y": {"use": "fool", "with": {"fake": "score_there"}},
                    "to_x": {"use": "fool", "with": {"fake": "score_here"}},
                    "apart": {"weight": 10.0, "with": {"one": "again", "other": "x"}},
                },
                "critic_of_x": {"tell": {"weight": 1.0, "with": {"real": "score_x", "fake": "score_here"}}},
                "critic_of_y": {"tell": {"weight": 1.0, "with": {"real": "score_y", "fake": "score_there"}}},
            }
        ],
        "outputs": {"sample": "there", "reconstruction": "again"},
        "train": TRAIN,
    },
    "ladder": {
        "data": "shades",
        "latent": 2,
        "slots": {
            "low_encoder": {"use": "any", "shape": [1, 16, 16], "of": {"latent": 6}},
            "mid_encoder": {"use": "rung", "of": {"features": 6, "latent": 4}},
            "top_encoder": {"use": "rung", "of": {"features": 4}},
            "mid_from_top": {"kind": "encoder", "use": "rung", "of": {"features": 2, "latent": 4}},
            "low_from_mid": {"kind": "encoder", "use": "rung", "of": {"features": 4, "latent": 6}},
            "decoder": {"use": "any", "shape": [1, 16, 16], "of": {"latent": 6}},
            "prior": "normal",
        },
        "values": {
            "low_up": {"use": "climb", "with": {"rung": "low_encoder", "code": "x"}},
            "mid_up": {"use": "climb", "with": {"rung": "mid_encoder", "code": "low_up"}},
            "top": {"use": "climb", "with": {"rung": "top_encoder", "code": "mid_up"}},
            "z_top": {"use": "drawn", "with": {"gaussian": "top"}},
            "mid_down": {"use": "climb", "with": {"rung": "mid_from_top", "code": "z_top"}},
            "mid": {"use": "merged", "with": {"upward": "mid_up", "downward": "mid_down"}},
            "z_mid": {"use": "drawn", "with": {"gaussian": "mid"}},
            "low_down": {"use": "climb", "with": {"rung": "low_from_mid", "code": "z_mid"}},
            "low": {"use": "merged", "with": {"upward": "low_up", "downward": "low_down"}},
            "z_low": {"use": "drawn", "with": {"gaussian": "low"}},
            "reconstruction": {"with": {"z_posterior": "z_low"}},
            "mid_of_prior": {"use": "climb", "with": {"rung": "mid_from_top", "code": "z"}},
            "z_mid_of_prior": {"use": "drawn", "with": {"gaussian": "mid_of_prior"}},
            "low_of_prior": {"use": "climb", "with": {"rung": "low_from_mid", "code": "z_mid_of_prior"}},
            "z_low_of_prior": {"use": "drawn", "with": {"gaussian": "low_of_prior"}},
            "decoded_prior": {"with": {"z": "z_low_of_prior"}},
        },
        "phases": [
            {
                "low_encoder + mid_encoder + top_encoder + mid_from_top + low_from_mid + decoder": {
                    "reconstruction": 1.0,
                    "kl": {"weight": 1.0, "with": {"posterior": "top", "z_posterior": "z_top"}},
                    "kl_mid": {"use": "between", "with": {"q": "mid", "p": "mid_down"}},
                    "kl_low": {"use": "between", "with": {"q": "low", "p": "low_down"}},
                }
            }
        ],
        "outputs": {"sample": "decoded_prior", "reconstruction": "reconstruction", "posterior": "top"},
        "train": TRAIN,
        "evaluate": ["mse"],
    },
    "second-stage": {
        "data": {"use": "codes", "run": "FIRST"},
        "latent": 3,
        "slots": {
            "encoder": {"use": "mlp", "width": 8},
            "decoder": {"use": "mlp", "width": 8},
            "prior": "normal",
            "first_decoder": {"weights": "FIRST#decoder"},
        },
        "phases": [VAE],
        "outputs": {"sample": "first_sample", "reconstruction": "first_reconstruction", "posterior": "posterior"},
        "train": TRAIN,
        "evaluate": {"mse": {"use": "mse", "with": {"x": "original"}}},
    },
    "signals": vae({"use": "signals"}, [2, 24]),
    "volumes": vae({"use": "volumes"}, [1, 4, 6, 8]),
    "tables": vae({"use": "tables"}, [5]),
    "spectra": vae({"use": "spectra"}, [5, 8, 8]) | {"evaluate": ["mse"]},
}


@pytest.fixture(scope="module", autouse=True)
def _first(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The run whose codes the second stage is of."""
    run = str(tmp_path_factory.mktemp("first") / "run")
    zoo.train(zoo.build(vae("shades", [1, 16, 16]), plugins=[PLUGIN]), run=run, progress=False)
    follow(run)


def follow(run: str) -> None:
    """Says to the second stage which run is the first."""
    second = RECIPES["second-stage"]
    second["data"]["run"], second["slots"]["first_decoder"]["weights"] = run, f"{run}#decoder"


def made(name: str, **overrides: Any) -> Any:
    """A model in float64."""
    return zoo.build(RECIPES[name], overrides=overrides, plugins=[PLUGIN]).double()


def batch_of(model: Any) -> Batch:
    """The first batch of its training."""
    return Batches.of(model.recipe, load_images(model.recipe), "cpu", torch.float64)(0)


def taken(loss: Tensor, network: nn.Module, name: str) -> dict[str, Tensor]:
    """The gradient of a loss by a network's parameters."""
    named = dict(network.named_parameters())
    found = torch.autograd.grad(loss, list(named.values()), retain_graph=True)
    return {f"{name}.{key}": g for key, g in zip(named, found, strict=True)}


def sp(logit: Tensor) -> Tensor:
    return (1 + logit.exp()).log().mean()


def of_vae(model: Any, batch: Batch, draw: Callable[[str], Any], *label: Tensor) -> dict[str, Tensor]:
    x = batch["x"]
    q = model.encoder(x, *label)
    z = q.mean + q.log_sigma.exp() * draw("z_posterior").normal(*q.mean.shape)
    rec = 0.5 * (model.decoder(z, *label) - x).square().sum() / len(x)
    kl = 0.5 * (q.mean**2 + (2 * q.log_sigma).exp() - 1 - 2 * q.log_sigma).sum() / len(x)
    return {**taken(rec + kl, model.encoder, "encoder"), **taken(rec + kl, model.decoder, "decoder")}


def of_class_gan(model: Any, batch: Batch, draw: Callable[[str], Any]) -> dict[str, Tensor]:
    x, c = batch["x"], batch["label"]
    fake = model.generator(draw("z").normal(len(x), 6), c)
    tell = sp(-model.critic(x, c).logit) + sp(model.critic(fake, c).logit)
    fool = sp(-model.critic(fake, c).logit)
    return {**taken(fool, model.generator, "generator"), **taken(tell, model.critic, "critic")}


def of_translation(model: Any, batch: Batch, _: Callable[[str], Any]) -> dict[str, Tensor]:
    x, y = batch["x"], batch["y"]
    fake = model.generator(y)
    real, judged = (model.critic(torch.cat([image, y], 1)).logit for image in (x, fake))
    tell = 0.5 * (sp(-real) + sp(judged))
    fool = sp(-judged) + 100 * (fake - x).abs().sum() / len(x)
    return {**taken(fool, model.generator, "generator"), **taken(tell, model.critic, "critic")}


def of_two_domains(model: Any, batch: Batch, _: Callable[[str], Any]) -> dict[str, Tensor]:
    x, y = batch["x"], batch["z_"]
    there, back = model.forth(x), model.back_again(y)
    both = sp(-model.critic_of_y(there).logit) + sp(-model.critic_of_x(back).logit)
    both = both + 10 * (model.back_again(there) - x).abs().sum() / len(x)
    of_x = sp(-model.critic_of_x(x).logit) + sp(model.critic_of_x(back).logit)
    of_y = sp(-model.critic_of_y(y).logit) + sp(model.critic_of_y(there).logit)
    return {
        **taken(both, model.forth, "forth"),
        **taken(both, model.back_again, "back_again"),
        **taken(of_x, model.critic_of_x, "critic_of_x"),
        **taken(of_y, model.critic_of_y, "critic_of_y"),
    }


def of_ladder(model: Any, batch: Batch, draw: Callable[[str], Any]) -> dict[str, Tensor]:
    x = batch["x"]
    low_up = model.low_encoder(x)
    mid_up = model.mid_encoder(low_up.mean)
    top = model.top_encoder(mid_up.mean)

    def sampled(mean: Tensor, log_sigma: Tensor, name: str) -> Tensor:
        return mean + log_sigma.exp() * draw(name).normal(*mean.shape)

    def product(one: Any, other: Any) -> tuple[Tensor, Tensor]:
        a, b = (2 * one.log_sigma).exp(), (2 * other.log_sigma).exp()
        return (one.mean * b + other.mean * a) / (a + b), 0.5 * (a * b / (a + b)).log()

    def kl(mean: Tensor, log_sigma: Tensor, p: Any) -> Tensor:
        ratio = (2 * (log_sigma - p.log_sigma)).exp()
        far = ((mean - p.mean) / p.log_sigma.exp()) ** 2
        return 0.5 * (ratio + far - 1 - ratio.log()).sum() / len(mean)

    down = model.mid_from_top(sampled(top.mean, top.log_sigma, "z_top"))
    mid = product(mid_up, down)
    lower = model.low_from_mid(sampled(*mid, "z_mid"))
    low = product(low_up, lower)
    loss = 0.5 * (model.decoder(sampled(*low, "z_low")) - x).square().sum() / len(x)
    loss = loss + 0.5 * (top.mean**2 + (2 * top.log_sigma).exp() - 1 - 2 * top.log_sigma).sum() / len(x)
    loss = loss + kl(*mid, down) + kl(*low, lower)
    slots = [name for name in RECIPES["ladder"]["slots"] if name != "prior"]
    return {key: g for name in slots for key, g in taken(loss, model.get_submodule(name), name).items()}


BY_HAND: Mapping[str, Callable[..., dict[str, Tensor]]] = {
    "class-vae": lambda model, batch, draw: of_vae(model, batch, draw, batch["label"]),
    "class-gan": of_class_gan,
    "translation": of_translation,
    "two-domains": of_two_domains,
    "ladder": of_ladder,
    **dict.fromkeys(("second-stage", "signals", "volumes", "tables", "spectra"), of_vae),
}


@pytest.mark.parametrize("augment", [["flip"], [{"crop": {"padding": 3}}], ["flip", {"crop": {"fill": "black"}}]])
def test_what_moves_an_image_moves_all_that_lie_beside_it(augment: list[Any]) -> None:
    """A photograph is its map's negative, and a mask is where the map is bright: before and after."""
    recipe = made("translation", augment=augment).recipe
    stored = split_of(recipe.data.load()(), "train", recipe)
    plain = Batches(stored, recipe.fields, 20, recipe.seed)(0)
    moved = Batches(stored, recipe.fields, 20, recipe.seed, augment=augmentations(recipe))(0)
    assert not torch.equal(moved["y"], plain["y"])
    inside = moved["x"][:, :1] != -1 if "black" in str(augment) else torch.ones_like(moved["y"], dtype=torch.bool)
    torch.testing.assert_close(
        moved["x"][inside.expand(-1, 3, -1, -1)], -moved["y"].expand(-1, 3, -1, -1)[inside.expand(-1, 3, -1, -1)]
    )
    assert moved["mask"].dtype == torch.int64
    assert torch.equal(moved["mask"], (moved["y"][:, 0] > 0).long())


@pytest.mark.parametrize("part", [{"flip": {"probability": 1.0}}, {"crop": {"padding": 1}}])
def test_volumes_move_slice_by_slice(part: dict[str, Any]) -> None:
    recipe = made("volumes", augment=[part]).recipe
    [augment], volumes = augmentations(recipe), torch.rand(5, 1, 4, 6, 8)
    moved = augment(recipe.x, volumes, torch.arange(5))
    each = [augment(replace(recipe.x, kind="image"), volumes[:, :, n], torch.arange(5)) for n in range(4)]
    assert not torch.equal(moved, volumes)
    assert torch.equal(moved, torch.stack(each, 2))


@pytest.mark.parametrize("name", RECIPES)
def test_its_step_is_the_one_by_hand(name: str) -> None:
    model = made(name)
    batch = batch_of(model)
    engine = Engine(model, optimizers=False)
    model.train()
    _, found = engine.gradients(engine.plan_now(0), batch)
    expected = BY_HAND[name](model.requires_grad_(True), batch, lambda caller: model.draw("train", 0, (), caller))
    assert {key.replace("/", ".", 1) for key in found} == expected.keys()
    for key, gradient in found.items():
        torch.testing.assert_close(gradient, expected[key.replace("/", ".", 1)], rtol=1e-9, atol=1e-12)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("name", RECIPES)
def test_it_is_built_resumed_bit_for_bit_pictured_and_scored(name: str, run_zoo: Run) -> None:
    Path("recipe.yaml").write_text(write(RECIPES[name]))
    more = ("--plugin", PLUGIN, "--no-tensorboard")
    for run, steps in (("whole", ("3",)), ("parts", ("2", "3"))):
        for number in steps:
            ended = run_zoo("build", "recipe.yaml", "--out", run, "--steps", number, "--extend", *more)
            assert ended.code == 0, ended.err
    assert Path("whole/model.safetensors").read_bytes() == Path("parts/model.safetensors").read_bytes()
    assert Path("whole/report.html").is_file()
    assert run_zoo("check", "recipe.yaml", "--plugin", PLUGIN).code == 0
    assert run_zoo("explain", "recipe.yaml", "--plugin", PLUGIN).code == 0


# -- what is not given is drawn; what is given is checked --------------------------------------------------------


def trained_classes(name: str = "class-vae") -> Any:
    model = zoo.build(RECIPES[name], plugins=[PLUGIN])
    zoo.train(model, progress=False)
    return model


def test_classes_are_drawn_as_often_as_the_training_saw_them(here: Path) -> None:
    """Half of them are of class 0; the counts go with the weights."""
    model = trained_classes()
    assert dict(model.frequencies.named_buffers())["label"].tolist() == [20, 10, 10]
    zoo.save(model, "run")
    again = zoo.load("run", plugins=[PLUGIN])
    (z, label) = again.compute("z", "label", batch=4000, seed=0)
    shares = torch.bincount(label) / len(label)
    torch.testing.assert_close(shares, torch.tensor([0.5, 0.25, 0.25]), atol=0.03, rtol=0)
    assert len(z) == 4000
    assert here.is_dir()


def test_a_class_is_given_by_number_name_or_one_for_each() -> None:
    model = trained_classes()
    three = [model.sample(3, given={"label": given}, seed=1) for given in (2, "blue", [2, 2, 2], torch.full((3,), 2))]
    assert all(torch.equal(three[0], other) for other in three[1:])
    assert not torch.equal(three[0], model.sample(3, given={"label": 0}, seed=1))
    mixed = model.sample(given={"label": ["red", "blue"]}, seed=1)
    assert torch.equal(mixed[1], model.sample(2, given={"label": "blue"}, seed=1)[1])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"label": 3}, "label=3: its classes are 0 to 2"),
        ({"label": "bleu"}, "label has no class 'bleu'; did you mean 'blue'?"),
        ({"label": [0, 1]}, "2 classes are given of label, and 3 items; give one, or as many"),
        ({"lable": 0}, "has no field 'lable' in its data; did you mean 'label'?"),
        ({"x": torch.zeros(3, 1, 16, 16)}, "its samples do not depend on x"),
    ],
)
def test_what_cannot_be_given_is_said(given: dict[str, Any], told: str) -> None:
    with pytest.raises(RequestError, match=re.escape(told)):
        made("class-vae").sample(3, given=given)


def test_what_is_made_of_items_takes_their_labels() -> None:
    model = made("class-vae")
    x, label = batch_of(model)["x"], batch_of(model)["label"]
    said = "takes label too, and it is not given; give x and label by name (on the command line --given label=...)"
    for function in (model, model.losses, model.reconstruct, model.encode):
        with pytest.raises(RequestError, match=re.escape(said)):
            function(x)
        function({"x": x, "label": label})
    with pytest.raises(RequestError, match=re.escape(said.replace("label too", "x too").replace("label=", "x="))):
        model({"label": label})
    assert len(model.compute("decoded_c", given={"z": torch.zeros(3, 6).double()})[0]) == 3  # these draw labels


def test_a_row_of_codes_has_one_class() -> None:
    model = made("class-vae")
    data = load_images(model.recipe)
    x, label = to_model(data.test, torch.float64), data.fields["label"][1]
    means = model.encode({"x": x, "label": label}).mean
    model.frequencies.label.copy_(torch.tensor([2, 0, 3]))
    pictures = {picture.file: picture.rows for picture in show(model, data)}
    assert [name for name, _ in pictures["samples-label.png"]] == ["red", "blue"]
    for pair, (_, row) in enumerate(pictures["interpolations.png"]):
        a, b = means[2 * pair], means[2 * pair + 1]
        codes = torch.stack([torch.lerp(a, b, part / 5) for part in range(6)])
        torch.testing.assert_close(row[1:-1], model.decode(codes, given={"label": int(label[2 * pair])}))
    for name, row in pictures["traversals.png"]:
        codes = means[:1].repeat(7, 1)
        codes[:, int(name.split()[1])] = torch.linspace(-2, 2, 7)
        torch.testing.assert_close(row, model.decode(codes, given={"label": int(label[0])}))

    model = made("class-gan")
    z, labels = model.compute("z", batch=16, seed=3)[0], model.compute("label", batch=8, seed=3)[0]
    rows = interpolation_rows(model, 8, 3, 3, {})
    for end, codes in ((0, z[:8]), (-1, z[8:])):
        expected = model.decode(codes, given={"label": labels})
        torch.testing.assert_close(torch.stack([row[end] for row in rows]), expected, atol=1e-4, rtol=0)
    assert len(labels.unique()) > 1


def test_names_of_classes_come_before_their_numbers() -> None:
    recipe = made("class-vae").recipe
    label = replace(recipe.fields["label"], names=("0", "10", "2"))

    def given(value: Any, **names: Any) -> list[int]:
        told = replace(recipe, fields={**recipe.fields, "label": replace(label, **names)})
        return giving.one("label", value, 1, told, torch.device("cpu"), torch.float32).tolist()

    assert [given(value) for value in ("2", "10", 1, [2])] == [[2], [1], [1], [2]]
    with pytest.raises(RequestError, match="label has no class '1'"):
        given("1")
    assert given("1", names=("0", "1", "cat")) == [1]
    for typed in ("caf\u00e9", "cafe\u0301"):
        assert given(typed, names=("a", "caf\u00e9", "b")) == given(typed, names=("a", "cafe\u0301", "b")) == [1]


def test_what_a_sample_is_made_of_must_be_given() -> None:
    model = made("translation")
    with pytest.raises(RequestError, match="repainted cannot be had without images y"):
        model.sample(2)
    maps = batch_of(model)["y"]
    torch.testing.assert_close(model.sample(given={"y": maps}), model.eval().generator(maps).detach())


def test_the_command_line_gives_them_too(here: Path, run_zoo: Run) -> None:
    Path("recipe.yaml").write_text(write(RECIPES["class-vae"]))
    plugin = ("--plugin", PLUGIN)
    assert run_zoo("build", "recipe.yaml", "--out", "run", *plugin).code == 0
    assert (here / "run" / "samples-label.png").is_file()
    for number, given in enumerate(("label=2", "label=blue")):
        assert run_zoo("sample", "run", "-n", "5", "--given", given, "--to", f"{number}.pt", *plugin).code == 0
    assert torch.equal(torch.load("0.pt"), torch.load("1.pt"))
    wrong = run_zoo("sample", "run", "--given", "label=4", *plugin)
    assert (wrong.code, wrong.err) == (2, "zoo: error: label=4: its classes are 0 to 2\n")
    wrong = run_zoo("sample", "run", "--given", "label=1", "--given", "label=blue", *plugin)
    assert (wrong.code, wrong.err) == (2, "zoo: error: --given label=blue: label is given before it; give it once\n")
    picture = here / "run" / "samples.png"
    wrong = run_zoo("reconstruct", "run", picture, *plugin)
    assert wrong.code == 2
    assert wrong.err.endswith("give x and label by name (on the command line --given label=...)\n")
    assert run_zoo("reconstruct", "run", picture, "--given", "label=blue", *plugin).code == 0
    model, blue = zoo.load("run", plugins=[PLUGIN]), ("--given", "label=blue", "--to", "path.pt", *plugin)
    assert run_zoo("interpolate", "run", "-n", "1", "--steps", "2", *blue).code == 0
    expected = model.decode(model.compute("z", batch=2, seed=0)[0], given={"label": 2})
    torch.testing.assert_close(torch.load("path.pt"), expected, atol=1e-3, rtol=0)
    assert run_zoo("interpolate", "run", picture, picture, "--steps", "2", *blue).code == 0
    torch.testing.assert_close(*torch.load("path.pt"))  # of one image: both ends are of its code


# -- what is handed to a training ---------------------------------------------------------------------------------


def test_fields_are_handed_in_by_name_or_in_tuples() -> None:
    data = load_images(made("class-vae").recipe)
    x, label = data.train, data.fields["label"][0]
    given = (
        data,
        {"x": x, "label": label},
        [*zip(x, label, strict=True)],
        [{"label": int(c), "x": image.numpy()} for image, c in zip(x, label, strict=True)],
        torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, label), batch_size=7),
    )
    trained = []
    for one in given:
        model = zoo.build(RECIPES["class-vae"], plugins=[PLUGIN])
        zoo.train(model, one, progress=False)
        trained.append(model.state_dict())
    assert all(torch.equal(trained[0][key], other[key]) for other in trained[1:] for key in trained[0])


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (torch.zeros(8, 1, 16, 16, dtype=torch.uint8), "is trained on x and label, and label is not given; give {'x'"),
        (
            {"x": torch.zeros(8, 1, 16, 16, dtype=torch.uint8), "label": torch.full((8,), 3)},
            "its items of label have classes 3 to 3, and it has 3: 0 to 2",
        ),
        (
            {"x": torch.zeros(8, 1, 16, 16, dtype=torch.uint8), "label": torch.zeros(7, dtype=torch.int64)},
            "an item has a value for each field, and here are {'x': 8, 'label': 7} of them",
        ),
    ],
)
def test_what_cannot_be_trained_on_is_said(data: Any, told: str) -> None:
    with pytest.raises(RequestError, match=re.escape(told)):
        zoo.train(zoo.build(RECIPES["class-vae"], plugins=[PLUGIN]), data, progress=False)


def test_data_that_is_not_what_it_says_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = made("class-vae").recipe
    good = load_images(recipe)
    labels = good.fields["label"]
    wrong = {
        "its train items of label have classes 0 to 3": (labels[0] + (labels[0] == 2), labels[1]),
        "of x and 39 of label": (labels[0][1:], labels[1]),
        "its test items of label are torch.float32": (labels[0], labels[1].float()),
    }
    for told, fields in wrong.items():
        target = lambda fields=fields: api.Examples(good.train, good.test, fields={"label": fields})  # noqa: E731
        monkeypatch.setattr(type(recipe.data), "load", lambda _, target=target: lambda **_: target())
        with pytest.raises(RecipeError, match=re.escape(told)):
            load_images(recipe)


# -- where sizes come from, and sets over a base -------------------------------------------------------------------


def test_a_slot_has_the_sizes_of_the_field_that_it_says() -> None:
    slots = {"generator": {"use": "repainter", "of": "y", "takes": 3}, "critic": {"use": "patches", "takes": 1}}
    recipe = load_recipe({**RECIPES["translation"], "slots": slots}, (), registry_for({}, [PLUGIN]))
    assert Model(recipe).generator.body[2].out_channels == 1
    assert load_recipe(recipe.plain(), (), registry_for({}, [PLUGIN])).plain() == recipe.plain()
    slots["generator"]["of"] = "z"
    with pytest.raises(RecipeError, match="'of' is a field of the data, not 'z'; choices: mask, x, y"):
        load_recipe({**RECIPES["translation"], "slots": slots}, (), registry_for({}, [PLUGIN]))


def test_an_image_that_is_no_square_is_told_to_who_asks_for_a_side() -> None:
    with pytest.raises(RecipeError, match=r"asks for 'size: int', the side of a square, and images are 3 x 12 x 16"):
        load_recipe({"extends": "avae-paper", "data": {"use": "pairs"}}, (), registry_for({}, [PLUGIN]))


def test_sets_for_fields_take_the_place_of_a_base_s_data() -> None:
    over = {"extends": "gan", "data": {"x": {"use": "shades"}, "y": {"use": "signals"}}}
    recipe = load_recipe(over, (), registry_for({}, [PLUGIN]))
    assert [*recipe.fields] == ["x", "label", "y"]
    assert (recipe.fields["y"].shape, recipe.fields["label"].names) == ((2, 24), ("red", "green", "blue"))


def test_sets_of_different_length_go_round_each_in_its_own_order() -> None:
    recipe = made("two-domains").recipe
    data = load_images(recipe)
    assert (len(data.train), len(data.fields["z_"][0])) == (20, 13)
    batches = Batches.of(recipe, data, "cpu", torch.float32)
    shown = [batches(turn) for turn in range(260 // 4)]
    for name, count in (("x", 20), ("z_", 13)):
        flat = torch.cat([batch[name] for batch in shown]).flatten(1)
        epochs = [{tuple(row.tolist()) for row in flat[i : i + count]} for i in range(0, 260, count)]
        assert all(len(epoch) == count for epoch in epochs)  # each item once
        assert all(epoch == epochs[0] for epoch in epochs)


def test_an_item_s_image_map_and_mask_are_mirrored_together() -> None:
    recipe = made("translation").recipe
    data = recipe.data.load()()
    stored = {"x": data.train, **{name: both[0] for name, both in data.fields.items()}}
    batches = Batches(stored, recipe.fields, 8, 0, augment=augmentations(recipe))
    for turn in range(5):
        batch = batches(turn)
        torch.testing.assert_close(batch["x"][:, :1], -batch["y"], atol=1e-6, rtol=0)
        assert torch.equal(batch["mask"] == 1, batch["y"][:, 0] > 0)


def test_a_field_that_nothing_asks_for_is_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    class Noted(dict[str, Any]):
        def __getitem__(self, name: str) -> Any:
            warnings.warn(f"{name} was packed again", stacklevel=2)
            return super().__getitem__(name)

    recipe = made("translation").recipe
    data = recipe.data.load()()
    monkeypatch.setattr(type(recipe.data), "load", lambda _: lambda **_: replace(data, fields=Noted(data.fields)))
    found = load_images(recipe)
    assert [*found.fields] == ["y"]
    assert found.notes == ("y was packed again",)
    monkeypatch.setattr(type(recipe.data), "load", lambda _: lambda **_: replace(data, fields={}))
    with pytest.raises(RecipeError, match="gives no field 'y', which it says it has"):
        load_images(recipe)


# -- the other ways to take a step ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["class-gan", "second-stage"])
def test_traced_steps_are_the_eager_ones(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes to torch's compiler; ``tests/engine/test_compiled.py`` has that compile once."""
    monkeypatch.setattr(torch, "compile", lambda graph, **_: graph)
    eager, compiled = made(name), made(name, **{"train.compile": True})
    for model in (eager, compiled):
        zoo.train(model, progress=False)
    for (key, a), b in zip(eager.named_parameters(), compiled.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12, msg=key)


def test_two_processes_are_one(forks: Forks, tmp_path: Path) -> None:
    """Every model here: the shares of each set's batches, of noise, of labels."""
    first = RECIPES["second-stage"]["data"]["run"]
    lives = forks.ranks(2, tmp_path / "found.pt", first, module="helpers.ranks_fields", cwd=tmp_path)
    assert not any(life.code for life in lives), lives[0].log
    found = torch.load(tmp_path / "found.pt")
    assert found.keys() == RECIPES.keys()
    for name, (shared, alone) in found.items():
        for key, value in alone.items():
            torch.testing.assert_close(
                shared[key], value, rtol=1e-9, atol=1e-11, msg=lambda m, k=key, n=name: f"{n} {k}: {m}"
            )


def test_a_batch_in_parts_is_the_batch() -> None:
    whole, parts = made("class-gan"), made("class-gan", **{"train.accumulate": 2})
    for model in (whole, parts):
        zoo.train(model, progress=False)
    for (key, a), b in zip(whole.named_parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12, msg=key)
