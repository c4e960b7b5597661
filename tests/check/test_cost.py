"""What ``zoo explain`` says of costs, against hand counts."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from zoo.check.cost import costs
from zoo.engine.engine import Engine
from zoo.model.model import Model
from zoo.recipe import load_recipe

SMALL = ["data.size=16", "latent=5", "train.batch=4", "slots.encoder.width=4", "slots.decoder.width=4"]


def by_name(*overrides: str, name: str = "vae") -> dict:
    return {cost.name: cost for cost in costs(load_recipe(name, [*SMALL, *overrides]))}


def test_a_slots_flops_are_those_of_its_products():
    conv = 2 * (8 * 8 * 4 * 3 * 16 + 4 * 4 * 8 * 4 * 16)  # two 4x4 convolutions of stride 2
    assert by_name()["encoder"].flops == conv + 2 * (2 * 8 * 16 * 5)  # and two heads


def test_a_steps_flops_are_those_of_a_loop_by_hand():
    model = Model(load_recipe("vae", SMALL))
    x = torch.zeros(4, 3, 16, 16)
    with FlopCounterMode(display=False) as counter:
        posterior = model.encoder(x)
        rec = model.decoder(posterior.mean + posterior.sigma)
        (rec.square().sum() + posterior.mean.square().sum()).backward()
    assert by_name()["step"].flops * 4 == counter.get_total_flops()


def test_parameters_and_bytes():
    found, model = by_name(), Model(load_recipe("vae", SMALL))
    count = sum(p.numel() for p in model.decoder.parameters())
    assert (found["decoder"].parameters, found["decoder"].weights) == (count, 4 * count)
    assert found["step"].parameters == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(("optimizer", "moments"), [("adam", 2), ("sgd", 0), ("{use: sgd, momentum: 0.9}", 1)])
def test_optimizer_bytes(optimizer, moments):
    found = by_name(f"train.optimizer={optimizer}")
    assert found["encoder"].optimizer == moments * found["encoder"].weights


def test_activations_are_what_autograd_saves():
    recipe = load_recipe("vae", [*SMALL, "train.precision=float32"])
    engine = Engine(Model(recipe))
    saved: dict[int, tuple[torch.Tensor, int]] = {}

    def keep(tensor):
        if not tensor.is_leaf or not tensor.requires_grad:
            saved[tensor.untyped_storage()._cdata] = (tensor, tensor.untyped_storage().nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        engine.model.train()
        engine.gradients(engine.plan_now(0), torch.zeros(4, 3, 16, 16))
    assert by_name()["step"].activations * 4 == sum(size for _, size in saved.values())


def test_a_phase_that_repeats_or_rests_counts_so():
    def flops(timing: str) -> float:
        phase = f"phases=[{{rows: {{critic: {{discriminate: 1}}}}{timing}}}]"
        gan = [*SMALL[:3], "slots.generator.width=4", "slots.critic.width=4", phase]
        return next(c.flops for c in costs(load_recipe("gan", gan)) if c.name == "step")

    assert flops(", repeat: 3, every: 2") == 1.5 * flops("")
