"""Data with fields, by a plugin and recipes alone: labels, pairs, masks, two domains, signals, volumes, tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Run
from torch import Tensor, nn

import zoo
from zoo.data.batches import Batches, load_images
from zoo.engine.engine import Engine
from zoo.recipe.yaml.read import write
from zoo.types import Batch

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
        "slots": {"generator": {"use": "translator", "takes": 1}, "critic": {"use": "patches", "takes": 4}},
        "phases": [
            {
                "generator": {
                    "fool": {"weight": 1.0, "with": {"fake": "fake_pair"}},
                    "apart": {"weight": 100.0, "with": {"one": "translated", "other": "x"}},
                },
                "critic": {"tell": {"weight": 0.5, "with": {"real": "real_pair", "fake": "fake_pair"}}},
            }
        ],
        "outputs": {"sample": "translated", "reconstruction": "translated"},
        "train": TRAIN,
        "augment": ["flip"],
        "evaluate": ["mse"],
    },
    "two-domains": {
        "data": {"x": {"use": "pairs", "seed": 3}, "z_": {"use": "pairs", "count": 13}},
        "slots": {
            "forth": {"kind": "generator", "use": "translator"},
            "back_again": {"kind": "generator", "use": "translator"},
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
    "signals": vae({"use": "signals"}, [2, 24]),
    "volumes": vae({"use": "volumes"}, [1, 4, 6, 8]),
    "tables": vae({"use": "tables"}, [5]),
    "spectra": vae({"use": "spectra"}, [5, 8, 8]) | {"evaluate": ["mse"]},
}


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


BY_HAND: Mapping[str, Callable[..., dict[str, Tensor]]] = {
    "class-vae": lambda model, batch, draw: of_vae(model, batch, draw, batch["label"]),
    "class-gan": of_class_gan,
    "translation": of_translation,
    "two-domains": of_two_domains,
    **dict.fromkeys(("signals", "volumes", "tables", "spectra"), of_vae),
}


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
