"""What was observed, for the problems to be read from: losses, steps, passes. Plain numbers; no tensor is kept."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from zoo.auditing.flow import DeadTerm
from zoo.auditing.networks import Network
from zoo.auditing.places import Place


@dataclass(eq=False)
class Loss:
    """A loss of the script: a line that called ``backward`` or ``autograd.grad``, and the line that made the loss."""

    name: str
    place: Place
    kind: str
    calls: int = 0
    depends: Counter[Network] = field(default_factory=Counter)
    """How many calls each network went into; the next: its gradient reached or passed; gave it a gradient."""
    passes: Counter[Network] = field(default_factory=Counter)
    gives: Counter[Network] = field(default_factory=Counter)
    used: Counter[Network] = field(default_factory=Counter)
    """How many of its gradients an optimiser stepped a network with."""
    dead: Counter[DeadTerm] = field(default_factory=Counter)
    not_finite: list[tuple[int, str]] = field(default_factory=list)
    """Which calls were not finite, and where that came from."""
    frozen_past: dict[Network, tuple[Place, int]] = field(default_factory=dict)
    """Networks whose weights were changed, past torch's counters, between its forward pass and its backward."""
    refused: str = ""
    """What torch said where it refused to go backward for a change in place."""
    zero: Counter[Network] = field(default_factory=Counter)
    """How many of the gradients it gave a network were exactly zero."""


@dataclass
class Part:
    """What one loss brought to a step of one network."""

    loss: Loss
    norm: float
    leftover: bool
    """Its gradient was left by a loss that another optimiser had already stepped with."""
    stale: bool
    """This optimiser had already stepped with it."""


@dataclass
class Step:
    """One step of an optimiser."""

    place: Place
    parts: dict[Network, list[Part]]
    cosines: dict[Network, dict[tuple[Loss, Loss], float]]
    fresh: bool
    """Whether there was a gradient it had not stepped with yet."""
    empty: bool
    """Whether there was no gradient at all."""
    zeroed: list[Network]
    """Networks that a loss had given a gradient, which was zeroed before the step."""
    rate: float


@dataclass(eq=False)
class Optimizer:
    """An optimiser of the script."""

    name: str
    kind: str
    networks: list[Network] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    place: Place = field(default_factory=lambda: Place("?", 0))
    moved: dict[Network, list[Any]] = field(default_factory=dict)
    """Of sampled weights: whether each ever moved, and how often it had a gradient."""
    dtype: str = ""


@dataclass
class Stepped:
    """A scheduler's steps between two of its optimiser's."""

    name: str
    place: Place
    between: list[int] = field(default_factory=list)
    now: int = 0


@dataclass
class Passes:
    """A network's passes that moved statistics: all, and those whose result no loss was made of."""

    what: str
    all: int = 0
    idle: Counter[Place] = field(default_factory=Counter)


@dataclass
class Average:
    """An average of a network's weights, as the script names it."""

    name: str
    place: Place
    network: Network
    shares_memory: bool = False
    looks: int = 0
    unchanged: int = 0
    copied: int = 0


@dataclass
class Record:
    """All that was observed."""

    losses: dict[Any, Loss] = field(default_factory=dict)
    optimizers: dict[int, Optimizer] = field(default_factory=dict)
    networks: list[Network] = field(default_factory=list)
    schedulers: dict[int, Stepped] = field(default_factory=dict)
    feeds: set[tuple[Network, Network]] = field(default_factory=set)
    """Networks whose output, with its gradient, went into another."""
    judges: set[Network] = field(default_factory=set)
    """Networks that give something no larger than they are given, as critics do and decoders do not."""
    calls: dict[Network, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """How a network was called: ``train`` or ``eval``."""
    called_at: dict[Network, Place] = field(default_factory=dict)
    frozen_modes: dict[Network, tuple[str, Place, int]] = field(default_factory=dict)
    around: dict[tuple[str, Network], tuple[Place, int]] = field(default_factory=dict)
    statistics: dict[Network, Passes] = field(default_factory=dict)
    averages: list[Average] = field(default_factory=list)
    counters: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """Values of a script's counters, each with the number of steps of all optimisers then."""
    batches: int = 0
    """How often the script took new data between two steps of any optimisers."""
    counter_places: dict[str, Place] = field(default_factory=dict)
    swapped: dict[Place, int] = field(default_factory=dict)
    mse_swapped: dict[Place, int] = field(default_factory=dict)
    moved_by_hand: set[Network] = field(default_factory=set)
    """Networks whose weights changed though no optimiser stepped them."""
    gradless: dict[Network, list[str]] = field(default_factory=dict)
    """Parameters that optimisers hold, which take a gradient and never got one; by network."""
    unheld: dict[Network, list[str]] = field(default_factory=dict)
    """Parameters that got gradients and are in no optimiser."""
    diverged: dict[str, list[str]] = field(default_factory=dict)
    """Networks that have other weights on other ranks."""
    ranks: int = 1
    idle_optimizers: list[tuple[str, Place, list[Network]]] = field(default_factory=list)
    """Optimisers that never stepped, where they were made, and what they hold."""
    bits: Callable[[int], Iterable[tuple[Network, int]]] = lambda _: ()
    """The networks that the bits of a term stand for."""
    notes: list[str] = field(default_factory=list)
