"""The critic ``timm-frozen``: its features never move, and its heads count alike."""

from __future__ import annotations

import pytest
import torch
from helpers.timm import MODEL, pictures
from torch.nn.functional import interpolate
from zoo_timm.frozen import Frozen


def frozen(**options: object) -> Frozen:
    torch.manual_seed(0)
    return Frozen(3, 32, **{"model": MODEL, "pretrained": False, "width": 4, **options}).double()


def test_heads_by_hand() -> None:
    critic, x = frozen(taps=3, stem="small").eval(), pictures(2).double()
    stages = critic.trunk.network.forward_intermediates(x)[1]
    names = [f"stage{i}" for i in range(1, len(stages) + 1)]
    assert critic.taps == tuple(names[i] for i in (0, 2, 4))
    mixed = [mix(stages[i]) for mix, i in zip(critic.mixed, (0, 2, 4), strict=True)]
    for i in (1, 0):
        up = interpolate(mixed[i + 1], size=mixed[i].shape[2:], mode="bilinear")
        mixed[i] = mixed[i] + critic.added[i](up)
    maps = [head(f) for head, f in zip(critic.heads, mixed, strict=True)]
    logit = critic(x).logit
    assert [m.shape for m in maps] == [maps[-1].shape] * 3, "each ends at the side of the last stage"
    torch.testing.assert_close(logit, torch.cat(maps, 1))


def test_nothing_but_heads_learns_or_moves() -> None:
    critic = frozen().train()
    before = {key: value.clone() for key, value in critic.trunk.state_dict().items()}
    learning = {name for name, p in critic.named_parameters() if p.requires_grad}
    assert learning
    assert {name.split(".")[0] for name in learning} == {"heads"}
    x = pictures(2).double().requires_grad_()
    (slope,) = torch.autograd.grad(critic(x).logit.sum(), x)
    assert slope.any()
    assert all(torch.equal(before[key], value) for key, value in critic.trunk.state_dict().items())


def test_blocks_of_a_vit_have_heads_too() -> None:
    critic = frozen(model="test_vit", mixing="none", taps=2, patch=8)
    assert critic(pictures(2).double()).logit.shape == (2, 2, 4, 4)
    with pytest.raises(ValueError, match="taps 0 is none"):
        frozen(taps=0)
