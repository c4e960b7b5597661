"""Weights that are computed from others at each use, as under spectral norm: here once a play, for all its calls.

Spectral norm takes a step of its power iteration whenever a weight is computed in training. A critic that judges two
fakes beside the real images would take three a step, and keep three copies of each weight; Miyato et al. (2018,
algorithm 1) take one before each update.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from torch import nn
from torch.nn.utils import parametrize


def parametrised(networks: Iterable[nn.Module]) -> list[tuple[nn.Module, str]]:
    """The computed weights of networks: each a module and the weight's name there."""
    modules = dict.fromkeys(module for network in networks for module in network.modules())
    held = {module: getattr(module, "parametrizations", None) for module in modules}
    return [(module, name) for module, by in held.items() if isinstance(by, nn.ModuleDict) for name in by]


@contextmanager
def computed_once(learning: Sequence[tuple[nn.Module, str]]) -> Iterator[None]:
    """Inside, a parametrised weight is computed once, however often its network is called.

    Those of networks that learn are computed first: a call that only passes through a network would compute them
    without a step of spectral norm, and for nobody to learn from.
    """
    with parametrize.cached():
        for module, name in learning:
            getattr(module, name)  # stays inside ``cached``
        yield
