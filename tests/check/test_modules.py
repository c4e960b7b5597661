"""Slots of kind ``module``: any network with a contract of its own, called anything; what is said of a wrong use."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers.maps import BATCH, SOURCE, images, made

from zoo.check.cost import costs
from zoo.check.probe import probe
from zoo.engine.engine import Engine
from zoo.errors import RecipeError
from zoo.model.model import Model

SLOTS = SOURCE["slots"] | {"doorman": {"kind": "module", "use": "gate"}, "judge": {"kind": "module", "use": "judge"}}
PLAYERS = "encoder + decoder + doorman + judge"


def gates(slots: dict[str, Any] | None = None, **content: Any) -> Model:
    """An autoencoder whose maps pass a gate, of which another module judges; both in float64."""
    painted = {"reconstruction": {"with": {"reconstruction": "painted"}}, "sure": 0.5}
    outputs = {"sample": "decoded_prior", "reconstruction": "painted", "posterior": "posterior"}
    whole = {"phases": [{PLAYERS: painted}], "outputs": outputs, "slots": SLOTS | (slots or {}), **content}
    return made(dtype=torch.float64, **whole)


def test_gradients_through_modules_are_those_of_torch() -> None:
    model = gates()
    engine = Engine(model, optimizers=False)
    played = engine.gradients(engine.plan_now(0), images(0), ())[1]
    found = {key.replace("/", ".", 1): gradient for key, gradient in played.items()}
    model.requires_grad_(True)
    net = model.encoder.net(images(0)).chunk(2, 1)[0]
    gate = torch.sigmoid(model.doorman.score(net))
    logs = model.judge.out((net * gate * gate).mean((2, 3))).log_softmax(1)
    error = images(0) - model.decoder(net * gate)
    loss = 0.5 * error.square().sum() / BATCH - 0.5 * (logs.exp() * logs).sum() / BATCH
    for slot in ("encoder", "decoder", "doorman", "judge"):
        for name, parameter in getattr(model, slot).named_parameters():
            (expected,) = torch.autograd.grad(loss, parameter, retain_graph=True)
            torch.testing.assert_close(found[f"{slot}.{name}"], expected, rtol=1e-9, atol=1e-12)


def test_they_are_probed_and_their_cost_is_told() -> None:
    recipe = gates().recipe
    assert {reach.player for reach in probe(recipe)[0]} == {"encoder", "decoder", "doorman", "judge"}
    found = {cost.name: cost for cost in costs(recipe)}
    assert found["doorman"].parameters == 5
    assert found["judge"].flops == 2 * 4 * 10
    assert found["doorman"].flops == 2 * 4 * 8 * 8  # of a map as it is handed


@pytest.mark.parametrize(
    ("slots", "said"),
    [
        (
            {"judge": {"kind": "module", "use": "judge", "classes": 3, "depth": 5}},
            "slot 'judge' (module 'judge') expects B x 5 x h x w (depth is 5, line 7) and is handed B x 4 x 8 x 8",
        ),
        (
            {"doorman": {"kind": "module", "use": "judge"}},
            "slot 'doorman' (module 'judge') takes 2 inputs ('B depth h w, B h w -> B classes') and is handed 1",
        ),
        (
            {"encoder": "tokens", "decoder": "tokens"},
            "slot 'doorman' (module 'gate') expects B x 4 x h x w (depth is 4, by default) and is handed B x 16 x 6",
        ),
        ({"judge": {"kind": "modul", "use": "judge"}}, "slot 'judge' has no kind 'modul'; did you mean 'module'?"),
        ({"judge": "judge"}, "slot 'judge' does not say what kind it is, and its name tells none; write judge: {kind:"),
        ({"judge": {"kind": "critic", "use": "judge"}}, "'judge' is a module, not a critic; choices: "),
    ],
)
def test_a_wrong_use_is_a_sentence(slots: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError) as error:
        probe(gates(slots).recipe)
    assert said in str(error.value)
