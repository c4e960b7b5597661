"""A forward and a backward of every first-party network, and of some of timm's; what a backbone costs AVAE."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from zoo.engine.engine import Engine
from zoo.model.model import Model
from zoo.recipe import load_recipe
from zoo.recipe.contract import contract_of
from zoo.types import mapped

from .cases import built, photographs
from .measuring import CUDA, DEVICE, REPEATS, seconds
from .paired import paired
from .plan import NETWORKS


@pytest.mark.benchmark(timer=seconds)
def test_network(benchmark, network, measured):
    name, slot, part = NETWORKS[network]
    batch = 32 if measured else 2
    own = {} if part["use"].startswith("timm") else {"width": 64 if measured else 4}
    model = built(name, f"slots.{slot}={ {**part, **own} }".replace("'", ""), width=4, batch=batch, device=DEVICE)
    module = getattr(model, slot).train()
    contract = contract_of(model.recipe.slots[slot], model.recipe.sizes)
    inputs = [torch.randn(shape, device=DEVICE) for shape in contract.made_up(batch)]

    def both_ways() -> None:
        given = [tensor.detach().requires_grad_() for tensor in inputs]
        sums: list[Tensor] = []
        mapped(lambda tensor: sums.append(tensor.square().sum()) or tensor, module(*given))
        torch.autograd.grad(sum(sums), [*given, *module.parameters()], allow_unused=True)

    benchmark.group = f"a network both ways, 32 px, batch {batch}, float32"
    benchmark.extra_info["parameters"] = sum(p.numel() for p in module.parameters())
    benchmark.pedantic(both_ways, **REPEATS, warmup_rounds=1)


@pytest.mark.skipif(CUDA, reason="CPU times are compared")
def test_avae_with_a_backbone(backbone, measured, verdicts):
    def step(*overrides: str) -> tuple[Engine, Callable[[], object]]:
        sizes = () if measured else ("data.size=16", "train.batch=2")
        model = Model(load_recipe("avae", ["train.precision=float32", *sizes, *overrides]))
        engine, x = Engine(model), photographs(model)
        return engine, lambda: engine.step(lambda _: x)

    engine, ours = step(f"slots.encoder={{use: timm, model: {backbone}}}")
    found = paired(ours, step()[1], rounds=3 if measured else 2, least=0.0)
    if measured:
        count = sum(p.numel() for p in engine.model.encoder.parameters())
        ratios = {"value": found.median, "quartiles": found.quartiles}
        verdicts.note("backbones", group="AVAE with another encoder", name=backbone, parameters=count, **ratios)
