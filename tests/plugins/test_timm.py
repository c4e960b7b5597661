"""The plugin zoo_timm: any timm model as an encoder or a critic."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Iterator

import pytest
import timm
import torch
import zoo_timm
from safetensors.torch import save_file
from zoo_timm.critic import Critic, JointCritic
from zoo_timm.encoder import Encoder

from zoo import api

# A small member of each of 13 families, and the smallest side worth trying.
SAMPLE = {
    "test_resnet": 32,
    "resnet18": 32,
    "test_vit": 32,
    "test_convnext": 32,
    "test_efficientnet": 32,
    "mobilenetv3_small_050": 32,
    "regnetx_002": 32,
    "test_byobnet": 32,
    "test_nfnet": 32,
    "test_mambaout": 32,
    "test_maxvit": 32,
    "dla46_c": 32,
    "swin_tiny_patch4_window7_224": 32,
    "ghostnet_050": 32,
}


def images(size: int, channels: int = 3, batch: int = 2) -> torch.Tensor:
    return torch.rand(batch, channels, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1


def unreached(loss: torch.Tensor, module: torch.nn.Module) -> list[str]:
    """Names of the parameters that ``loss`` does not reach."""
    named = dict(module.named_parameters())
    grads = torch.autograd.grad(loss, list(named.values()), allow_unused=True, retain_graph=True)
    assert all(g is None or g.isfinite().all() for g in grads)
    return [n for n, g in zip(named, grads, strict=True) if g is None]


@pytest.fixture(autouse=True)
def _seeded_on_one_thread() -> Iterator[None]:
    """Networks this small only wait for each other's threads."""
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("component", zoo_timm.zoo_components(), ids=lambda c: f"{c.kind}-{c.name}")
def test_components_name_what_exists(component: api.Component) -> None:
    module, _, name = component.target.partition(":")
    target = getattr(importlib.import_module(module), name)
    assert isinstance(target, type) or component.kind == "value"


@pytest.mark.parametrize("model", SAMPLE)
def test_encoder_reaches_every_parameter(model: str) -> None:
    encoder = Encoder(3, SAMPLE[model], 8, model=model)
    q = encoder(images(SAMPLE[model]))
    assert isinstance(q, api.Gaussian)
    assert q.mean.shape == q.log_sigma.shape == (2, 8)
    assert unreached(q.mean.sum() + q.log_sigma.sum(), encoder) == []


@pytest.mark.parametrize("model", SAMPLE)
def test_critic_gives_logits_and_taps_and_reaches_every_parameter(model: str) -> None:
    critic = Critic(3, SAMPLE[model], model=model)
    out = critic(images(SAMPLE[model]))
    assert out.logit.shape == (2,)
    assert list(out.taps) == [f"stage{i}" for i in range(1, len(out.taps) + 1)] == list(critic.trunk.taps)
    assert all(tap.ndim == 4 and len(tap) == 2 and tap.requires_grad for tap in out.taps.values())
    assert unreached(out.logit.sum(), critic) == []


@pytest.mark.parametrize("norm", ["keep", "group", "spectral", "none"])
@pytest.mark.parametrize("model", ["test_resnet", "test_vit", "test_convnext", "test_byobnet"])
def test_gradient_penalty_through_a_critic(model: str, norm: str) -> None:
    critic = Critic(3, 32, model=model, norm=norm).double()
    x = images(32).double().requires_grad_()
    (grad,) = torch.autograd.grad(critic(x).logit.sum(), x, create_graph=True)
    penalty = grad.square().sum()
    weights = [p for p in critic.parameters() if p.ndim > 1]
    grads = torch.autograd.grad(penalty, weights, allow_unused=True)
    assert sum(float(g.abs().sum()) for g in grads if g is not None) > 0


@pytest.mark.parametrize("model", ["test_resnet", "test_efficientnet", "test_vit"])
def test_second_row_over_one_graph_sees_the_same_gradient(model: str) -> None:
    encoder = Encoder(3, 32, 8, model=model)
    parameters = list(encoder.parameters())
    loss = encoder(images(32)).mean.square().sum()
    first = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    second = torch.autograd.grad(loss, parameters, allow_unused=True)
    assert all(a is b is None or torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_group_norm_makes_logits_independent_of_the_batch() -> None:
    critic = Critic(3, 32, model="test_resnet").double()
    x = images(32, batch=3).double()
    torch.testing.assert_close(critic(x).logit[:1], critic(x[:1]).logit)


def test_spectral_norm_bounds_every_weight() -> None:
    critic = Critic(3, 32, model="test_resnet", norm="spectral")
    critic(images(32))
    layers = [m for m in critic.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    assert layers
    for layer in layers:
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2) < 1.3  # power iteration is approximate
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in critic.modules())


def test_joint_critic_scores_pairs() -> None:
    critic = JointCritic(3, 32, 5, model="test_resnet", hidden=16)
    out = critic(images(32), torch.randn(2, 5))
    assert out.logit.shape == (2,)
    assert out.taps["joint"].shape == (2, 16)
    assert unreached(out.logit.sum(), critic) == []


def test_copy_of_a_critic_has_taps_of_its_own() -> None:
    critic = Critic(3, 32, model="test_resnet")
    critic(images(32))
    twin = copy.deepcopy(critic).double()
    assert all(tap.dtype == torch.float64 for tap in twin(images(32).double()).taps.values())


@pytest.mark.parametrize("part", [Encoder, Critic, JointCritic])
def test_assembles_and_runs_without_memory(part: type) -> None:
    with torch.device("meta"):
        module = part(3, 32, model="test_vit") if part is Critic else part(3, 32, 5, model="test_vit")
        code = (torch.empty(2, 5),) if part is JointCritic else ()
        out = module(torch.empty(2, 3, 32, 32), *code)
    assert (out.mean if part is Encoder else out.logit).is_meta


def test_gray_images() -> None:
    assert Encoder(1, 28, 4, model="test_resnet")(images(28, channels=1)).mean.shape == (2, 4)


def test_global_sigma_is_one_for_every_image() -> None:
    q = Encoder(3, 32, 4, model="test_resnet", sigma="global")(images(32))
    assert torch.equal(q.sigma, torch.ones(2, 4))


def test_flat_features_keep_places_and_leave_nothing_idle() -> None:
    encoder = Encoder(3, 32, 4, model="mobilenetv3_small_050", pool="flatten")
    learners = {n: p for n, p in encoder.named_parameters() if p.requires_grad and "log_sigma" not in n}
    torch.autograd.grad(encoder(images(32)).mean.sum(), list(learners.values()))
    assert not encoder.trunk.network.conv_head.weight.requires_grad


def test_small_stem_keeps_resolution() -> None:
    tap = {s: Critic(3, 32, model="resnet18", stem=s)(images(32)).taps["stage1"] for s in ("keep", "small")}
    assert tap["keep"].shape[-1] == 16
    assert tap["small"].shape[-1] == 32


def test_dropout_is_off() -> None:
    encoder = Encoder(3, 32, 4, model="ghostnet_050").train()
    x = images(32)
    assert torch.equal(encoder(x).mean, encoder(x).mean)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_pretrained_weights_from_a_file(tmp_path, suffix: str) -> None:
    source = timm.create_model("test_resnet", in_chans=3)  # with its classifier, as timm saves models
    path = tmp_path / f"weights{suffix}"
    state = source.state_dict()
    torch.save(state, path) if suffix == ".pt" else save_file(state, path)
    encoder = Encoder(3, 64, 4, model="test_resnet", pretrained=str(path)).eval()
    mean, std = (torch.tensor(source.pretrained_cfg[k]).view(-1, 1, 1) for k in ("mean", "std"))
    x = images(64)
    want = source.eval().forward_head(source.forward_features(((x + 1) / 2 - mean) / std), pre_logits=True)
    torch.testing.assert_close(encoder.trunk(x), want)


def test_pretrained_weights_fit_gray_images_and_another_size(tmp_path) -> None:
    path = tmp_path / "vit.pt"
    torch.save(timm.create_model("test_vit").state_dict(), path)
    assert Encoder(1, 64, 4, model="test_vit", pretrained=str(path))(images(64, 1)).mean.shape == (2, 4)


def test_weights_of_another_model_are_refused(tmp_path) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"conv1.weight": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match=r"weights .*'test_resnet'.* (lack|cannot be loaded)"):
        Encoder(3, 64, 4, model="test_resnet", pretrained=str(path))


def test_missing_file_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'nowhere\.pt' does not exist"):
        Encoder(3, 64, 4, model="test_resnet", pretrained="nowhere.pt")


def test_pretrained_critic_keeps_its_batch_norms() -> None:
    with pytest.raises(ValueError, match="use norm: keep"):
        Critic(3, 32, model="test_resnet", pretrained=True, norm="spectral")


def test_unknown_model_gets_a_suggestion() -> None:
    with pytest.raises(ValueError, match=r"no model 'resnet81'; did you mean .*'resnet18'"):
        Encoder(3, 32, 4, model="resnet81")


def test_model_that_cannot_take_the_size_says_why_and_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"^timm model 'inception_v3' cannot take 8 x 8 images: .*use size 299"):
        Encoder(3, 8, 4, model="inception_v3", stem="keep")


def test_small_stem_of_a_patch_model_is_refused() -> None:
    with pytest.raises(ValueError, match="no strided convolution"):
        Encoder(3, 32, 4, model="test_vit", stem="small")


def test_patch_of_a_model_without_patches_is_refused() -> None:
    with pytest.raises(ValueError, match=r"has no patches.*leave patch out"):
        Encoder(3, 32, 4, model="test_resnet", patch=4)


def test_patches_that_do_not_tile_the_image_are_refused() -> None:
    with pytest.raises(ValueError, match=r"patches of 16 pixels do not tile.*divisor of 40"):
        Encoder(3, 40, 4, model="test_vit")


def test_smaller_patches_give_more_places() -> None:
    assert Critic(3, 32, model="test_vit", patch=4)(images(32)).taps["stage1"].shape[-2:] == (8, 8)
