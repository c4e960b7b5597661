"""Weights that are computed from others at each use, as under spectral norm: here once a play, for all its calls.

Spectral norm takes a step of its power iteration whenever a weight is computed in training. A critic that judges two
fakes beside the real images would take three a step, and keep three copies of each weight; Miyato et al. (2018,
algorithm 1) take one before each update.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from torch import nn
from torch.nn.utils import parametrize

from zoo.engine.gathering import Place, gathered, places_of, whole_of


@dataclass(frozen=True)
class Parametrised:
    """A weight that is computed.

    Args:
        module: whose it is.
        name: its name there.
        shards: where what it is computed from is shared out among processes.
    """

    module: nn.Module
    name: str
    shards: tuple[Place, ...]

    def compute(self) -> None:
        """Computes it; inside ``parametrize.cached()`` it stays."""
        with gathered(self.shards, None):
            getattr(self.module, self.name)


def parametrised(networks: Iterable[nn.Module]) -> list[Parametrised]:
    """The computed weights of networks."""
    found = []
    for module in dict.fromkeys(module for network in networks for module in network.modules()):
        if isinstance(held := getattr(module, "parametrizations", None), nn.ModuleDict):
            shards = tuple((owner, name) for owner, name in places_of(module) if whole_of(owner._parameters[name]))
            found += [Parametrised(module, name, shards) for name in held]
    return found


@contextmanager
def computed_once(learning: Sequence[Parametrised]) -> Iterator[None]:
    """Inside, a parametrised weight is computed once, however often its network is called.

    Args:
        learning: those of networks that learn, computed first: a call that only passes through a network would compute
            them without a step of spectral norm, and for nobody to learn from.
    """
    with parametrize.cached():
        for weight in learning:
            weight.compute()
        yield
