"""What a recipe's model costs, counted on the ``meta`` device, where nothing is computed and no memory is taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from zoo.data.fields import blank
from zoo.engine.engine import Engine
from zoo.machine.torch_private import Products, take_step, without_compiler
from zoo.model.model import Model
from zoo.recipe.contract import contract_of
from zoo.recipe.schema import Optimizer, Part, Recipe
from zoo.types import mapped

MIB = 2**20


@dataclass(frozen=True)
class Cost:
    """What a slot, or a whole ``step``, costs, in numbers and bytes.

    Args:
        flops: of a forward for an image; of a step, every forward and backward for an image. A multiply and
            an add are two; only products (convolutions, linear layers, attention) count.
        activations: bytes that autograd keeps for the backward, for an image.
    """

    name: str
    parameters: int
    flops: float
    activations: float
    weights: int
    optimizer: int


def costs(recipe: Recipe) -> list[Cost]:
    """Each slot's cost, then the step's (every phase once, with its repeats, divided by ``every``)."""
    batch = recipe.train.batch
    engine = Engine(_model(recipe), optimizers=False)
    engine.model.train()
    x = blank(recipe, batch, engine.device)
    flops, kept = 0.0, 0.0
    with _noting_calls(engine.model) as calls:
        for phase in recipe.phases:
            plan = engine.plan(phase)
            count, saved = counted(lambda plan=plan: engine.gradients(plan, x, every_term=True))  # type: ignore[misc]
            flops += count * phase.repeat / phase.every / batch
            kept = max(kept, saved / batch)  # phases follow one another: the largest is the peak
    found = [_slot(engine, label, part, batch, calls.get(label)) for label, part in recipe.slots.items()]
    parts = [sum(getattr(cost, field) for cost in found) for field in ("parameters", "weights", "optimizer")]
    return [*found, Cost("step", parts[0], flops, kept, parts[1], parts[2])]


def _model(recipe: Recipe) -> Model:
    """On the ``meta`` device; where a component wants numbers there, on the CPU, which computes a batch."""
    try:
        return Model(recipe, "meta")
    except NotImplementedError:
        return Model(recipe, "cpu")


@contextmanager
def _noting_calls(model: Model) -> Iterator[dict[str, tuple[Any, ...]]]:
    """Notes what each slot is handed when it is first called inside."""
    calls: dict[str, tuple[Any, ...]] = {}

    def note(label: str, _: nn.Module, inputs: tuple[Any, ...]) -> None:
        calls.setdefault(label, mapped(Tensor.detach, inputs))

    with ExitStack() as hooks:
        for label in model.recipe.slots:
            hooks.enter_context(model.network(label).register_forward_pre_hook(partial(note, label)))
        yield calls


def _slot(engine: Engine, label: str, part: Part, batch: int, inputs: Sequence[Any] | None) -> Cost:
    """The cost of a slot called with ``inputs``; with what its contract says where None."""
    module: nn.Module = getattr(engine.model, label)
    parameters = list(module.parameters())
    weights = sum(p.numel() * p.element_size() for p in parameters)
    moments = {name: _moments(chosen) for name, chosen in engine.recipe.train.optimizers.items()}
    owned = [(moments[n], p) for n, player in engine.players.items() for p in player.parameters.values()]
    state = sum(int(m * p.numel() * p.element_size()) for m, p in owned if any(p is q for q in parameters))
    contract = contract_of(part, engine.recipe.sizes)
    flops, kept = 0, 0
    if contract:
        if inputs is None:
            inputs = [torch.zeros(shape, device=engine.device) for shape in contract.made_up(batch)]
        learning = [(parameter, parameter.requires_grad) for parameter in parameters]
        module.requires_grad_(True)
        flops, kept = counted(lambda: module(*inputs))
        batch = next((len(one) for one in inputs if isinstance(one, Tensor)), batch)
        for parameter, learns in learning:
            parameter.requires_grad_(learns)
    return Cost(label, sum(p.numel() for p in parameters), flops / batch, kept / batch, weights, state)


def counted(run: Callable[[], Any]) -> tuple[int, int]:
    """FLOPs of ``run``, and the bytes it saves for a backward."""
    with Products() as products:
        saved = saved_bytes(run)
    return products.total, saved


def saved_bytes(run: Callable[[], object]) -> int:
    """Runs something and counts the bytes that autograd saves for its backward, each storage once, no parameters."""
    storages: set[torch.UntypedStorage] = set()

    def keep(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter) and not (tensor.is_leaf and tensor.requires_grad):
            storages.add(tensor.untyped_storage())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        run()
    return sum(storage.nbytes() for storage in storages)


def _moments(chosen: Optimizer) -> float:
    """Numbers that an optimiser keeps for each parameter, found by stepping it once on 64 of them."""
    parameter = nn.Parameter(torch.zeros(64))
    with without_compiler():
        optimizer = chosen.part.load()([parameter], **chosen.part.arguments_for())
    parameter.grad = torch.zeros_like(parameter)
    take_step(optimizer)
    state = optimizer.state[parameter].values()
    return sum(v.numel() for v in state if isinstance(v, Tensor) and v.shape == parameter.shape) / parameter.numel()


def megabytes(size: float) -> str:
    """Bytes as MiB."""
    return f"{size / MIB:,.2f}"
