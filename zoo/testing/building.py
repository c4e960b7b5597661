"""Networks as the checks see them: built for sizes that they take, and handed made-up inputs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from zoo.recipe.contract import Contract, contract_of
from zoo.recipe.schema import Sizes
from zoo.testing.arrays import CPU, made_up
from zoo.testing.core import Case, ContractError, require

SIDES = (16, 32, 64, 8, 28, 128, 224, 256, 299)
"""Image sides that are tried, in this order, until two are found that the part takes."""
FIRST = ((3, 8, 4), (1, 8, 4), (3, 8, 0), (3, 64, 16))
SECOND = ((1, 16, 0), (1, 16, 4), (3, 16, 0), (3, 16, 4), (3, 8, 4))
"""Channels, latent and noise that go with them; the first that the part takes."""
BATCHES = (1, 3)


class Network:
    """A network that is built anew for every look at it, so that no check can spoil another."""

    def __init__(self, case: Case) -> None:
        self.case = case

    def __str__(self) -> str:
        return str(self.case)

    @cached_property
    def settings(self) -> tuple[Sizes, ...]:
        """Two sets of sizes that it can be built for; one where it takes no other.

        Raises:
            ContractError: with what it says of the sizes, if it takes none.
        """
        wanted = self.case.bench.sizes.get(self.case.key, SIDES)
        refusals: list[str] = []
        first = next(self._taken([Sizes(c, s, k, a) for s in wanted for c, k, a in FIRST], refusals), None)
        if first is None:
            cure = f"say which it takes: sizes={{'{self.case.key}': [48, 96]}}, or another example of options"
            raise ContractError(f"{self} takes none of {', '.join(map(str, wanted))} px: {refusals[-1]}. If so, {cure}")
        others = [s for s in wanted if s != first.size] if "size" in self.case.entry.signature.needs else [32]
        second = next(self._taken([Sizes(c, s, k, a) for s in others for c, k, a in SECOND], []), None)
        return (first, second) if second else (first,)

    def _taken(self, choices: list[Sizes], refusals: list[str]) -> Iterator[Sizes]:
        for sizes in choices:
            try:
                self.build(sizes, device="meta")
            except NotImplementedError:
                pass  # not on meta; the checks find out on the CPU
            except ValueError as error:
                refusals.append(str(error))
                continue
            yield sizes

    def build(self, sizes: Sizes, seed: int = 0, device: torch.device | str = CPU) -> nn.Module:
        """The network in evaluation mode, its weights a function of the seed."""
        with torch.random.fork_rng(devices=[]), torch.device(device):
            torch.manual_seed(seed)
            built = self.case.target(**self.case.part.arguments_for(sizes))
        require(isinstance(built, nn.Module), f"{self} is {type(built).__name__}; a slot is filled with an nn.Module")
        return built.eval()  # type: ignore[no-any-return]

    def contract(self, sizes: Sizes) -> Contract:
        """Its shapes in and out."""
        found = contract_of(self.case.part, sizes)
        assert found
        return found

    def inputs(
        self, sizes: Sizes, batch: int = 3, seed: int = 0, dtype: torch.dtype = torch.float32
    ) -> tuple[Tensor, ...]:
        """Made-up inputs that keep the contract."""
        shapes = self.contract(sizes).inputs
        return tuple(made_up(shape, batch, seed + 10 * i, dtype) for i, shape in enumerate(shapes))

    def fresh(self, seed: int = 0) -> nn.Module:
        """A new network of the first sizes."""
        return self.build(self.settings[0], seed)

    def look(self, module: nn.Module) -> Any:
        """What a network of the first sizes gives for made-up inputs."""
        return module(*self.inputs(self.settings[0]))
