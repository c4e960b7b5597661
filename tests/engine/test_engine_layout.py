"""Layout and type: fused optimisers walk gradients and weights as flat memory, whatever the strides."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers.engine import assert_close, images, small, snapshot
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from zoo.engine.engine import Batches, Engine
from zoo.model.model import Model

LAST, FIRST = "train.channels_last=true", "train.channels_last=false"
EPS = "train.optimizer.eps=1.0e-5"


def unfused(engine: Engine) -> Engine:
    """The same engine with torch's plain optimisers."""
    for player in engine.players.values():
        for group in player.optimizer.param_groups:
            group.update(fused=False, foreach=False)
        player.optimizer._step_supports_amp_scaling = False
    return engine


def channels_last(turn: int) -> Tensor:
    return images(turn).contiguous(memory_format=torch.channels_last)


def stepped(model: Model, batches: Batches = channels_last, plain: bool = False, steps: int = 3) -> dict[str, Tensor]:
    engine = unfused(Engine(model)) if plain else Engine(model)
    for _ in range(steps):
        engine.step(images if plain else batches)
    return snapshot(model)


@pytest.mark.parametrize(("weights", "batches"), [(LAST, channels_last), (LAST, images), (FIRST, channels_last)])
@pytest.mark.parametrize("name", ["vae", "avae"])
def test_fused_in_any_layout_is_plain_contiguous(name, weights, batches):
    assert_close(stepped(small(name, weights, EPS), batches), stepped(small(name, FIRST, EPS), plain=True))


@pytest.mark.parametrize("use", ["adamw", "sgd"])
def test_other_fused_optimisers_too(use):
    momentum = ", momentum: 0.9" if use == "sgd" else ", eps: 1.0e-5"
    optimizer = f"train.optimizer={{use: {use}, lr: 0.0001{momentum}}}"
    assert_close(stepped(small("vae", LAST, optimizer)), stepped(small("vae", FIRST, optimizer), plain=True))


def test_momentum_that_begins_later_than_others():
    """Torch's fused step takes all buffers to be there or none."""
    sgd = "train.optimizer={use: sgd, lr: 0.0001, momentum: 0.9}"
    late = "phases.0.critic.discriminate={from: 1, to: 1, start: 1}"
    assert_close(stepped(small("gan", LAST, sgd, late)), stepped(small("gan", FIRST, sgd, late), plain=True))


def test_players_set_alike_move_in_one_go_and_others_by_themselves():
    """What each keeps is its own all the same."""
    engine = Engine(small("avae", "train.optimizers={critic: {lr: 0.001}}"))
    engine.step(images)
    own = {name: id(player.optimizer) for name, player in engine.players.items()}
    assert len({own["encoder"], own["decoder"], own["generator"]}) == 1
    assert own["critic"] != own["encoder"]
    for player in engine.players.values():
        assert list(player.moved.values()) == list(player.parameters.values())
        assert len(player.state()) == 3 * len(player.parameters)


def test_the_trap_is_there_weights_and_state_lie_channels_last():
    model = small("vae", LAST)
    engine = Engine(model)
    engine.step(channels_last)
    weight = model.encoder.trunk[1][0].weight
    moment = engine.players["encoder"].optimizer.state[weight]["exp_avg"]
    assert isinstance(model.encoder.trunk[1][0], nn.Conv2d)
    assert not weight.is_contiguous()
    assert weight.stride() == moment.stride()


@pytest.mark.parametrize("optimizer", ["{use: adam, eps: 1.0e-5}", "{use: sgd, lr: 0.0001, momentum: 0.9}"])
def test_a_restored_checkpoint_keeps_the_layout(tmp_path: Path, optimizer):
    use = f"train.optimizer={optimizer}"
    first, second = Engine(small("avae", LAST, use, "train.ema=0.9")), Engine(small("avae", LAST, use, "train.ema=0.9"))
    for _ in range(2):
        first.step(channels_last)
    tensors, plain = first.state()
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, tmp_path / "checkpoint")
    second.restore(load_file(tmp_path / "checkpoint"), plain)
    for engine in (first, second):
        engine.step(channels_last)
    assert all(torch.equal(a, second.state()[0][key]) for key, a in first.state()[0].items())
    assert_close(snapshot(second.model), stepped(small("avae", FIRST, use), plain=True))


# -- type --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["vae", "avae"])
def test_bfloat16_is_close_to_float32_and_leaves_weights_and_losses_in_it(name):
    engines = [Engine(small(name, f"train.precision={p}", dtype=torch.float32)) for p in ("float32", "bfloat16")]
    full, half = (engine.step(lambda turn: images(turn, torch.float32)) for engine in engines)
    assert {t.dtype for t in [*half.values(), *engines[1].model.parameters()]} == {torch.float32}
    for row, loss in full.items():
        torch.testing.assert_close(half[row], loss, rtol=0.05, atol=0.02)
        assert not torch.equal(half[row], loss)


def test_gradients_in_bfloat16_point_the_same_way():
    found = []
    for precision in ("float32", "bfloat16"):
        engine = Engine(small("avae", f"train.precision={precision}", dtype=torch.float32))
        found.append(engine.gradients(engine.plan_now(0), images(0, torch.float32))[1])
    for slot in ("encoder", "decoder", "generator", "critic"):
        full, half = (torch.cat([g[k].flatten() for k in g if k.startswith(slot)]) for g in found)
        assert torch.cosine_similarity(full, half, dim=0) > 0.98
