"""What of a network is kept with its weights: tied ones once, views each, and what could not be read again is refused
before anything is trained."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

import zoo
from zoo import api
from zoo.errors import RecipeError
from zoo.recipe import load_recipe, registry_for
from zoo.training.build import build_run

HERE = Path(__file__)
NAMES = ("tied", "views", "expanded", "sparse", "complex", "float8", "lazy", "lazy-itself", "extra", "passing")


@api.hookimpl
def zoo_components() -> list[api.Component]:
    classes = {name: "".join(map(str.title, name.split("-"))) for name in NAMES}
    return [api.Component("encoder", name, f"{HERE.stem}:{of}", "a toy") for name, of in classes.items()]


class Toy(nn.Module):
    """Two layers, and what a subclass adds."""

    def __init__(self, channels: int, size: int, latent: int) -> None:
        super().__init__()
        self.first = nn.Linear(channels * size**2, latent)
        self.second, self.third = nn.Linear(latent, latent), nn.Linear(latent, latent)
        self.add()

    def add(self) -> None:
        """Nothing more."""

    def forward(self, x: Tensor) -> Any:
        mean = self.second(self.first(x.flatten(1)))
        return api.Gaussian(mean, self.third(mean))


class Tied(Toy):
    def add(self) -> None:
        self.third.weight, self.again = self.second.weight, self.second


class Views(Toy):
    def add(self) -> None:
        whole = torch.arange(6.0)
        for name, buffer in {"whole": whole, "head": whole[:3], "tail": whole[3:]}.items():
            self.register_buffer(name, buffer)


class Expanded(Toy):
    def add(self) -> None:
        self.register_buffer("ones", torch.ones(1).expand(4))
        self.register_buffer("passing", torch.ones(1).expand(4), persistent=False)


class Sparse(Toy):
    def add(self) -> None:
        self.register_buffer("edges", torch.eye(3).to_sparse())


class Complex(Toy):
    def add(self) -> None:
        self.register_buffer("turns", torch.zeros(3, dtype=torch.complex64))


class Float8(Toy):
    def add(self) -> None:
        self.register_buffer("small", torch.ones(3).to(torch.float8_e4m3fn))
        self.register_buffer("odd", torch.ones(3).to(torch.float8_e4m3fnuz))


class Lazy(Toy):
    def add(self) -> None:
        self.third = nn.LazyLinear(self.third.out_features)


class LazyItself(nn.LazyLinear):
    def __init__(self, latent: int) -> None:
        super().__init__(latent)


class Extra(Toy):
    def get_extra_state(self) -> dict[str, int]:
        return {"seen": 1}

    def set_extra_state(self, state: dict[str, int]) -> None:
        """Forgets it."""


class Passing(Toy):
    """What is not kept may be anything; float8 that is written may be kept."""

    def add(self) -> None:
        self.register_buffer("small", torch.ones(3).to(torch.float8_e4m3fn))
        for name in ("sparse", "complex"):
            self.register_buffer(
                name, torch.eye(3).to_sparse() if name == "sparse" else torch.ones(1) * 1j, persistent=False
            )


def recipe(encoder: str) -> dict[str, Any]:
    return {
        "extends": "vae",
        "name": encoder,
        "data": {"use": "digits", "size": 8},
        "latent": 4,
        "slots": {"encoder": encoder, "decoder": {"use": "dcgan", "width": 4}},
        "train": {"steps": 4, "batch": 4, "save_every": 2, "ema": 0.5, "precision": "float32"},
        "watch": [],
    }


@pytest.mark.usefixtures("here")
def test_tied_weights_are_written_once_and_come_back_tied() -> None:
    registry = registry_for({}, (HERE,))
    made = load_recipe(recipe("tied"), (), registry)
    build_run(made, registry, out=Path("run"), device="cpu", stop_after="train")
    for name in ("model", "ema", "state/step-00000002"):
        with safe_open(f"run/{name}.safetensors", "pt") as file:
            names = [key.rpartition("encoder.")[2] for key in file.keys() if "encoder" in key and "optim" not in key]  # noqa: SIM118
        expected = {"first.weight", "first.bias", "second.weight", "second.bias", "third.bias"}
        assert set(names) == expected
    for weights in ("raw", "ema"):
        encoder = zoo.load("run", weights=weights, plugins=[HERE]).encoder
        assert encoder.third.weight is encoder.second.weight
        with safe_open(f"run/{'model' if weights == 'raw' else 'ema'}.safetensors", "pt") as file:
            assert torch.equal(encoder.third.weight, file.get_tensor("encoder.second.weight"))
    done = Path("run/model.safetensors").read_bytes()
    for name in ("model.safetensors", "ema.safetensors", "state/step-00000004.json", "state/step-00000004.safetensors"):
        Path("run", name).unlink()
    build_run(made, registry, out=Path("run"), device="cpu", stop_after="train")  # from step 2
    assert Path("run/model.safetensors").read_bytes() == done


def test_a_tie_holds_wherever_a_state_is_taken() -> None:
    """Copied, pickled, within a module of the user's, and from a file that says both names."""
    model = zoo.build(recipe("tied"), plugins=[HERE])
    for one in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert one.encoder.third.weight is one.encoder.second.weight
        assert one.state_dict().keys() == model.state_dict().keys()
        assert "encoder.third.weight" not in one.state_dict()
    outer = nn.ModuleDict({"inner": model})
    state = {name: torch.zeros_like(tensor) for name, tensor in outer.state_dict().items()}
    assert "inner.encoder.third.weight" not in state
    outer.load_state_dict(state)
    assert not model.encoder.third.weight.any()
    model.load_state_dict({**model.state_dict(), "encoder.third.weight": torch.zeros(4, 4)})
    model.encoder.third.weight = nn.Parameter(torch.ones(4, 4))
    assert model.state_dict()["encoder.third.weight"].all(), "once they are two, both are kept"


@pytest.mark.parametrize("encoder", ["views", "expanded", "passing"])
@pytest.mark.usefixtures("here")
def test_buffers_that_share_memory_or_are_not_kept_train_and_load(encoder: str) -> None:
    registry = registry_for({}, (HERE,))
    build_run(load_recipe(recipe(encoder), (), registry), registry, out=Path("run"), device="cpu", stop_after="train")
    trained = zoo.load("run", plugins=[HERE]).encoder.state_dict()
    fresh = zoo.build(recipe(encoder), plugins=[HERE]).encoder.state_dict()
    buffers = {
        "whole": torch.arange(6.0),
        "head": torch.arange(3.0),
        "tail": torch.arange(3.0, 6),
        "ones": torch.ones(4),
    }
    for name in buffers.keys() & trained.keys():
        assert torch.equal(trained[name], buffers[name])
    assert not torch.equal(trained["first.weight"], fresh["first.weight"])


@pytest.mark.parametrize(
    ("encoder", "said"),
    [
        ("sparse", "has a buffer 'edges' that is sparse_coo, which no file of weights holds; register it with"),
        ("complex", "has a buffer 'turns' that is torch.complex64, which no file of weights holds; register it with"),
        ("float8", "has a buffer 'odd' that is torch.float8_e4m3fnuz, which no file of weights holds; register"),
        ("lazy", "has a LazyLinear 'third', which has no weights before it has seen a batch; give it its sizes"),
        ("lazy-itself", "is a LazyItself: it has no weights before it has seen a batch; give it its sizes"),
        ("extra", "has '_extra_state' in its state, dict, and weights are tensors; make it a buffer"),
    ],
)
def test_what_could_not_be_kept_is_refused_before_anything_is_trained(encoder: str, said: str) -> None:
    with pytest.raises(RecipeError) as refused:
        zoo.build(recipe(encoder), plugins=[HERE])
    (problem,) = refused.value.problems
    assert problem.message.startswith(f"encoder '{encoder}' {said}")


def test_tied_parts_cannot_be_players_of_one_phase() -> None:
    both = {"encoder.second": {"kl": 1.0}, "encoder.third": {"kl": 1.0}}
    with pytest.raises(
        RecipeError, match=r"'encoder\.second' and 'encoder\.third' share weights, which would be moved"
    ):
        zoo.build({**recipe("tied"), "phases": [both]}, plugins=[HERE])
    zoo.build({**recipe("tied"), "phases": [{player: terms} for player, terms in both.items()]}, plugins=[HERE])
