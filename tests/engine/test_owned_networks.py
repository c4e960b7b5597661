"""Terms that own networks: those with a ``learn`` play a row of their own, the others stay as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Run as Zoo
from helpers.engine import differing, images, in_batches, pixels, played, snapshot
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import zoo
from zoo import api
from zoo.check.explain import explain
from zoo.engine.engine import Engine
from zoo.errors import RecipeError
from zoo.model.model import Model
from zoo.recipe import load_recipe, write_recipe
from zoo.recipe.routes import routes
from zoo.registry import load_registry

HERE = Path(__file__)


# -- a plugin of toys --------------------------------------------------------------------------------------


@api.hookimpl
def zoo_components() -> tuple[api.Component, ...]:
    names = {"reader": "Reader", "still": "Still", "signed": "Signed", "idle": "Idle", "bare": "Bare"}
    return tuple(api.Component("term", name, f"test_owned_networks:{cls}", "a toy") for name, cls in names.items())


class Reader(nn.Module):
    """Guesses codes from images; the generator is paid for being readable, the reader learns to read."""

    def __init__(self, channels: int, size: int, latent: int, *, bias: bool = True) -> None:
        super().__init__()
        self.guess = nn.Linear(channels * size**2, latent, bias=bias)

    def forward(self, generated: Tensor, z: Tensor) -> Tensor:
        """Mean squared error."""
        return (self.guess(generated.flatten(1)) - z).square().mean()

    def learn(self, generated_held: Tensor, z: Tensor) -> Tensor:
        """Three times the same, so that a test can tell them apart."""
        return 3 * self.forward(generated_held, z)


class Still(nn.Module):
    """A network that does not learn, such as a perceptual distance."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.look = nn.Conv2d(channels, 2, 3)

    def forward(self, generated: Tensor) -> Tensor:
        """Size of what it sees."""
        return self.look(generated).square().mean()


class Signed:
    """A term that notes the weights it is used with."""

    def __init__(self, weight: tuple[float, float]) -> None:
        if weight[0] < 0:
            raise ValueError(f"its weight must not be negative, and it goes from {weight[0]:g} to {weight[1]:g}")

    def forward(self, generated: Tensor) -> Tensor:
        """Brightness."""
        return generated.mean()

    __call__ = forward


class Idle(nn.Module):
    """It would learn, and has nothing that could."""

    def forward(self, generated: Tensor) -> Tensor:
        """Brightness."""
        return generated.mean()

    def learn(self, generated_held: Tensor) -> Tensor:
        """Brightness."""
        return generated_held.mean()


class Bare:
    """It would learn, and is no module."""

    def forward(self, generated: Tensor) -> Tensor:
        """Brightness."""
        return generated.mean()

    learn = forward


def gan(terms: dict[str, Any], **train: Any) -> Model:
    """A tiny GAN whose generator has more terms."""
    source = {
        "extends": "gan",
        "data": {"size": 16},
        "latent": 5,
        "slots": {"generator": {"width": 4}, "critic": {"width": 4}},
        "phases": [{"generator": {"non_saturating": 1.0, **terms}, "critic": {"discriminate": 1.0}}],
        "train": {"batch": 4, "precision": "float32", **train},
    }
    return zoo.build(source, plugins=[HERE])


def reload(text: str, path: Path) -> Any:
    path.write_text(text)
    return load_recipe(path, (), load_registry((HERE,)))


# -- who learns --------------------------------------------------------------------------------------------


def test_a_terms_networks_learn_what_its_learn_says_and_nobody_else_does():
    """Against ``autograd.grad`` by hand at the old weights."""
    model = gan({"reader": 2.0})
    engine = Engine(model)
    _, gradients = engine.gradients(engine.plan(model.recipe.phases[0]), images(0, torch.float32))
    reader, plain = model.network("reader"), gan({})
    z = model.draw("train", 0, (), "z").normal(4, 5)
    generated = model.generator(z, torch.empty(4, 0))
    expected = torch.autograd.grad(3 * reader(generated.detach(), z), list(reader.parameters()))
    assert [key for key in gradients if key.startswith("reader")] == ["reader.guess.weight", "reader.guess.bias"]
    assert torch.allclose(gradients["reader.guess.weight"], expected[0], atol=1e-6)
    assert torch.allclose(gradients["reader.guess.bias"], expected[1], atol=1e-6)

    others = Engine(plain)
    _, without = others.gradients(others.plan(plain.recipe.phases[0]), images(0, torch.float32))
    weights = engine.players["generator"].parameters
    own = torch.autograd.grad(2 * reader(model.generator(z, torch.empty(4, 0)), z), list(weights.values()))
    for key, gradient in zip(weights, own, strict=True):
        assert torch.allclose(gradients[key], without[key] + gradient, atol=1e-5), key
    assert all(torch.equal(gradients[key], without[key]) for key in without if key.startswith("critic"))


def test_it_moves_with_an_optimiser_of_its_own():
    model = gan({"reader": 1.0}, optimizers={"reader": {"use": "sgd", "lr": 0.5}})
    engine, before = Engine(model), snapshot(model)
    _, gradients = engine.gradients(engine.plan(model.recipe.phases[0]), images(0, torch.float32))
    model.load_state_dict(before)  # taking gradients moved batch norm's statistics
    engine.step(lambda turn: images(turn, torch.float32))
    moved = before["owned.term_reader.guess.weight"] - 0.5 * gradients["reader.guess.weight"]
    assert torch.allclose(model.network("reader").guess.weight, moved)


def test_networks_without_a_learn_stay_as_they_are_and_let_gradients_through():
    model = gan({"still": 1.0})
    before = snapshot(model)
    engine = played(model, 2)
    moved = differing(before, snapshot(model))
    assert list(engine.players) == ["generator", "critic"]
    assert "owned.term_still.look.weight" in before
    assert not any(key.startswith("owned") for key in moved)
    assert any(key.startswith("generator") for key in moved)


def test_one_term_in_two_rows_is_one_network_and_one_row():
    source = gan({"reader": 1.0}).recipe.plain()
    source["phases"] = [{"generator": {"reader": 1.0}, "critic": {"discriminate": 1.0}}, {"generator": {"reader": 2.0}}]
    model = zoo.build(source, plugins=[HERE])
    engine = played(model, 1)
    assert list(model.owned) == ["term_reader"]
    assert list(engine.players) == ["generator", "critic", "reader"]
    assert [row.label for phase in model.recipe.phases for row in phase.played].count("reader") == 2


def test_it_starts_from_the_seed_and_its_name_alone():
    torch.manual_seed(1)
    first = gan({"reader": 1.0, "still": 1.0})
    torch.manual_seed(2)
    second = gan({"still": 1.0, "reader": 1.0})
    assert differing(snapshot(first), snapshot(second)) == []
    third = gan({"reader": 1.0, "again": {"use": "reader"}})
    assert not torch.equal(third.network("again").guess.weight, third.network("reader").guess.weight)


# -- runs --------------------------------------------------------------------------------------------------


def test_it_resumes_bit_for_bit(tmp_path):
    def step_on(engine: Engine, steps: int) -> Engine:
        for _ in range(steps):
            engine.step(in_batches(pixels(), 4, 0))
        return engine

    made = gan({"reader": 1.0, "still": 1.0}, ema=0.9)
    whole = step_on(Engine(made), 4)
    first = step_on(Engine(Model(made.recipe)), 2)
    tensors, plain = first.state()
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, tmp_path / "saved")
    second = Engine(Model(made.recipe))
    second.restore(load_file(tmp_path / "saved"), plain)
    step_on(second, 2)
    expected = whole.state()[0]
    assert "ema/owned.term_reader.guess.weight" in expected
    assert "optimizer/reader/0/exp_avg" in expected
    assert differing(expected, second.state()[0]) == []


def test_trained_weights_fit_a_model_that_no_engine_has_seen():
    trained = played(gan({"reader": 1.0, "still": 1.0}), 1).model
    fresh = Model(trained.recipe)
    fresh.load_state_dict(trained.state_dict())
    assert differing(snapshot(trained), snapshot(fresh)) == []
    assert fresh.sample(2).shape == (2, 3, 16, 16)


def test_a_recipe_that_was_written_says_the_same(tmp_path):
    recipe = gan({"reader": 1.0}, optimizers={"reader": {"lr": 0.01}}).recipe
    again = reload(write_recipe(recipe), tmp_path / "again.yaml")
    assert again.plain() == recipe.plain()
    assert again.train.optimizers["reader"].part.options["lr"] == 0.01


def test_explain_tells_its_row():
    recipe = gan({"reader": 1.0}).recipe
    lines = [line.split() for line in routes(recipe).splitlines()]
    assert lines[0] == ["phase", "who", "minimises", "generator", "critic", "reader"]
    assert ["1", "generator", "non_saturating", "+", "reader", "learns", "passes", "passes"] in lines
    assert ["1", "reader", "learn", ".", ".", "learns"] in lines
    assert "reader     reader     learns: 2 of 2 tensors" in explain(recipe)


# -- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"critic": {"use": "reader"}}, "owns networks that learn, and a slot has that name; call it something else"),
        ({"idle": 1.0}, r"has a learn\(\) and no parameters"),
        ({"bare": 1.0}, "is Bare, not an nn.Module"),
        ({"signed": -1.0}, "goes from -1 to -1"),
        ({"signed": {"weight": {"from": 1.0, "to": -0.5, "steps": 5}}}, "goes from -0.5 to 1"),
    ],
)
def test_what_is_refused(terms, message):
    with pytest.raises(RecipeError, match=message):
        gan(terms)


def test_two_networks_need_two_names(tmp_path, run_zoo: Zoo):
    text = """\
extends: gan
phases:
  - generator: {non_saturating: 1.0, reader: 1.0}
    critic: {discriminate: 1.0}
  - generator: {reader: {bias: false}}
"""
    (tmp_path / "two.yaml").write_text(text)
    (error,) = run_zoo("check", tmp_path / "two.yaml", "--plugin", HERE).errors
    assert "two.yaml:5:17: error: term 'reader' owns networks that learn" in error
    assert "another term of that name, line 3, has its own" in error


def test_a_term_may_ask_for_its_weights():
    assert played(gan({"signed": {"weight": {"from": 0.5, "to": 1.0, "steps": 3}}}), 1).step_index == 1
