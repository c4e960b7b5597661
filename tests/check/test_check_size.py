"""A recipe may not ask for more memory than there is, though what it asks for cannot be made on the meta device."""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY
from torch import nn

import zoo
import zoo.model.model
from zoo import api
from zoo.check.cost import costs
from zoo.errors import RecipeError, RequestError
from zoo.model.model import Model, build_part
from zoo.recipe.yaml.read import read

PARTS = Path(__file__)
HUGE = 10**13
"""40 TB of numbers, which no system here grants, should they ever be asked for."""


# -- parts ---------------------------------------------------------------------------------------------------


class Looking(nn.Module):
    """A decoder that reads its numbers, and makes something besides."""

    def __init__(self, channels: int, size: int, latent: int, *, reads: str = "item", makes: str = "nothing") -> None:
        super().__init__()
        self.shape = (channels, size, size)
        self.layer = nn.Linear(latent, channels * size * size)
        READS[reads](self.layer.weight.detach())
        self.made = MAKES[makes](torch.zeros(3))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.layer(z).tanh().unflatten(1, self.shape)


READS: dict[str, Callable[[torch.Tensor], Any]] = {
    "item": lambda x: x[0, 0].item(),
    "float": lambda x: float(x.sum()),
    "list": lambda x: x.tolist(),
    "numpy": lambda x: x.numpy(),
    "truth": lambda x: bool((x > 0).any()),
    "mask": lambda x: x[x > 0],
    "nothing": lambda _: None,
}
DECENT: dict[str, Callable[[torch.Tensor], Any]] = {
    "nothing": lambda _: None,
    "sparse": lambda _: torch.eye(3).to_sparse().coalesce(),
    "views": lambda x: x[:1].expand(HUGE),
    "one after the other": lambda _: [torch.empty(10**8).numel() for _ in range(40)][-1],
}
LARGE: dict[str, Callable[[torch.Tensor], Any]] = {
    "parameters": lambda _: nn.Linear(10**7, 10**7),
    "a buffer": lambda _: nn.Buffer(torch.zeros(HUGE)),
}
GREEDY: dict[str, Callable[[torch.Tensor], Any]] = {
    **LARGE,
    "empty": lambda _: torch.empty(HUGE),
    "full": lambda _: torch.full((HUGE,), 1.0),
    "repeat": lambda x: x.repeat(HUGE),
    "contiguous": lambda x: x[:1].expand(HUGE).contiguous(),
    "sum": lambda x: x[:1].expand(HUGE) + x[:1],
    "cat": lambda x: torch.cat([x[:1].expand(HUGE)] * 2),
    "resize": lambda x: x.resize_(HUGE),
    "generator": lambda _: torch.randn(HUGE, generator=torch.Generator()),
}
MAKES = {**DECENT, **GREEDY}


@api.hookimpl
def zoo_components() -> list[api.Component]:
    return [api.Component("decoder", "looking", f"{__name__}:Looking", "reads its numbers")]


def build(**options: str) -> Model:
    source = read(TINY, "tiny.yaml").plain()
    source["slots"]["decoder"] = {"use": "looking", **options}
    return zoo.build(source, plugins=[PARTS])


# -- recipes -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def _imported() -> None:
    build()


@pytest.fixture(autouse=True)
def _little_is_taken(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("ZOO_MEMORY", "2GB")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


@pytest.mark.promise(
    "A run from elsewhere runs no code, reads no file but its own, and asks for no more memory than it may."
)
@pytest.mark.parametrize("makes", LARGE)
def test_weights_that_cannot_fit_are_refused_before_they_take_memory(makes: str) -> None:
    said = r"its weights would take \d+ [TG]B, more than the 2 GB of memory here; make it smaller, or set ZOO_MEMORY=\d"
    with pytest.raises(RequestError, match=said):
        build(reads="nothing", makes=makes)


@pytest.mark.parametrize("reads", ["nothing", "item"])
@pytest.mark.parametrize("makes", sorted(GREEDY.keys() - LARGE.keys()))
def test_what_the_allocator_refuses_is_a_sentence_with_its_place(makes: str, reads: str) -> None:
    """On meta what is no weight costs nothing, and what reads its numbers cannot be made there."""
    with pytest.raises(RecipeError, match=r"decoder 'looking' of slot 'decoder': .*it asks for more memory than ther"):
        build(reads=reads, makes=makes)


@pytest.mark.parametrize("makes", DECENT)
def test_what_fits_goes_through(makes: str) -> None:
    assert build(makes=makes).sample(2).shape == (2, 3, 8, 8)


@pytest.mark.parametrize("reads", READS)
def test_a_network_may_read_its_numbers_in_any_way_while_it_is_made(reads: str) -> None:
    assert build(reads=reads).sample(2).shape == (2, 3, 8, 8)


def test_its_cost_is_counted_all_the_same() -> None:
    """On the CPU, where it computes; the layer's product is 2 K C H W, and no more is counted."""
    recipe = build().recipe
    found = {cost.name: cost for cost in costs(recipe)}
    assert found["decoder"].flops == 2 * recipe.sizes.latent * 3 * 8 * 8
    assert found["decoder"].parameters == (recipe.sizes.latent + 1) * 3 * 8 * 8


def test_what_cannot_be_made_at_all_is_a_problem_with_its_place() -> None:
    with pytest.raises(RecipeError, match=r"decoder 'looking' of slot 'decoder': KeyError\('nonsense'\)"):
        build(makes="nonsense")


def test_networks_are_made_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """For their size on meta, and where they are to be."""
    made: list[tuple[str, str]] = []

    def noted(recipe: Any, part: Any, device: Any = "cpu", owned: str = "") -> Any:
        made.append((owned or part.label, str(device)))
        return build_part(recipe, part, device, owned)

    monkeypatch.setattr(zoo.model.model, "build_part", noted)
    zoo.build(read(TINY, "tiny.yaml").plain())
    assert Counter(made) == Counter({(slot, device): 1 for slot, _ in made for device in ("meta", "cpu")})
