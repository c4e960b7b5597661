"""Signals and volumes: a step of the codec and of the autoencoder against ones by hand, and what is theirs alone."""

from __future__ import annotations

import math

import pytest
import torch
from helpers.shelf import assert_same, batch_of, by_hand, gradients, kl, sampled, small
from torch import Tensor
from zoo_grids import data
from zoo_grids.critics import Waves, folded, spectrum
from zoo_grids.networks import Conv3d
from zoo_grids.terms import feature_distance, log_mel, mel_filters

import zoo
from zoo import api
from zoo.data.batches import load_images
from zoo.data.fields import items

F64 = torch.float64
STEADY = "train.optimizer.rate=1"


def squares(logit: Tensor, of: float) -> Tensor:
    return 0.5 * (logit - of).square().mean()


def test_an_autoencoder_of_volumes_minimises_l1_and_then_fools_its_critic() -> None:
    model = small("kl-3d", STEADY)
    batch = batch_of(model)
    x = batch["x"]
    last = model.decoder.item[2].weight

    def loss(fooling: bool) -> Tensor:
        q = model.encoder(x)
        rec = model.decoder(sampled(model, q, step=1000 if fooling else 0))
        far = (x - rec).abs().sum() / len(x)
        if not fooling:
            return far + 1e-6 * kl(q)
        adv = squares(model.critic(rec).logit, 1)
        of = [torch.autograd.grad(one, last, retain_graph=True)[0].norm() for one in (far, adv)]
        return far + 1e-6 * kl(q) + 0.5 * min(1e4, float(of[0] / (of[1] + 1e-4))) * adv

    for step in (0, 1000):
        expected = by_hand(model, "encoder", "decoder", loss=lambda step=step: loss(step > 0))
        assert_same(gradients(model, batch, step=step), expected)

    def judged() -> Tensor:
        rec = model.decoder(sampled(model, model.encoder(x), step=1000)).detach()
        return squares(model.critic(x).logit, 1) + squares(model.critic(rec).logit, 0)

    assert_same(gradients(model, batch, phase=1, step=1000), by_hand(model, "critic", loss=judged))


def test_a_codec_s_step() -> None:
    model = small("codec", STEADY, "values.quantised=quantised")
    batch = batch_of(model)
    x = batch["x"]
    kept = {key: value.clone() for key, value in model.quantiser.state_dict().items()}

    def both(of: str) -> Tensor:
        model.quantiser.load_state_dict(kept)
        z = model.encoder(x).mean
        quantised = model.quantiser(z)
        rec = model.decoder(quantised.code)
        real, fake = model.critic(x), model.critic(rec)
        if of == "critic":
            return squares(real.logit, 1) + squares(model.critic(rec.detach()).logit, 0)
        taps = torch.stack([(real.taps[n].detach() - tap).abs().mean() for n, tap in fake.taps.items()])
        left, total = z, torch.zeros((), dtype=F64)
        for entry in quantised.entries.detach().unbind(1):
            total = total + (left - entry).square().mean()
            left = left - entry
        return 15 * log_mel(x, rec) + 2 * taps.mean() + squares(fake.logit, 1) + 0.25 * total

    found = gradients(model, batch)
    expected = by_hand(model, "encoder", "decoder", loss=lambda: both("codec"))
    assert_same(found, {**expected, **by_hand(model, "critic", loss=lambda: both("critic"))})


def test_ten_times_as_loud_is_one_apart_in_each_window() -> None:
    x = data.tones(train=3, test=1).train.double()[:, :, 500:1500] + 0.01 * torch.randn(3, 1, 1000, dtype=F64)
    windows, bands = (64, 256), (10, 24)
    assert float(log_mel(x, 10 * x, windows=windows, bands=bands)) == pytest.approx(2, abs=1e-6)
    assert float(log_mel(x, x, windows=windows, bands=bands)) == 0
    with pytest.raises(ValueError, match="2 windows have a number of bands each, and here are 1"):
        log_mel(x, x, windows=windows, bands=(10,))


def test_mel_bands_are_triangles_evenly_spread_in_mel() -> None:
    filters = mel_filters(4001, 20, 8000, torch.zeros(1, dtype=F64))
    top = filters.argmax(1).double()  # in Hz: 4,001 frequencies up to 4,000
    mel = 2595 * (1 + top / 700).log10()
    whole = 2595 * math.log10(1 + 4000 / 700)
    torch.testing.assert_close(mel, whole * torch.arange(1, 21, dtype=F64) / 21, rtol=0, atol=1)
    inner = filters[:, int(top[0]) + 1 : int(top[-1])]
    torch.testing.assert_close(inner.sum(0), torch.ones_like(inner[0]), rtol=0, atol=1e-9)


def test_a_tone_is_where_its_spectrum_says() -> None:
    wave = torch.sin(2 * math.pi * 1000 / 8000 * torch.arange(1024, dtype=F64))[None, None]
    parts = spectrum(wave, 64)  # bands of 125 Hz
    assert parts.shape == (1, 2, 33, 65)
    assert int(parts.square().sum(1).mean(2).argmax()) == 8
    assert torch.equal(folded(wave, 3)[0, 0, :341].flatten(), wave[0, 0, :1023])


def test_each_of_the_critics_has_the_same_weight() -> None:
    critic = Waves(1, periods=(2, 3), windows=(16,), width=2, layers=1).double()
    for number, one in enumerate(critic.critics):
        one[-1].weight.data.zero_()
        one[-1].bias.data.fill_(3.0**number)
    assert critic(torch.randn(2, 1, 64, dtype=F64)).logit.mean().item() == pytest.approx((1 + 3 + 9) / 3)


def test_features_are_compared_layer_by_layer() -> None:
    logit = torch.zeros(2)
    real = api.CriticOutput(logit, {"a": torch.zeros(2, 3), "b": torch.zeros(2, 1)})
    fake = api.CriticOutput(logit, {"a": torch.full((2, 3), 0.5), "b": torch.full((2, 1), -2.0)})
    assert float(feature_distance(real, fake)) == 1.25
    with pytest.raises(ValueError, match="shows no hidden layers"):
        feature_distance(api.CriticOutput(logit, {}), fake)


def test_data_are_what_they_say() -> None:
    tones = data.tones(length=800, train=30, test=10)
    assert tones.train.shape == (30, 1, 800)
    assert float(tones.train.abs().amax(2).min()) == pytest.approx(0.9, abs=1e-5)
    assert torch.equal(data.tones(length=800, train=5, test=10).test, tones.test)
    solids = data.solids(train=40, test=10).train.float() / 255
    assert solids.shape == (40, 1, 16, 16, 16)
    inside = (solids > 0.2).float().flatten(1).mean(1)
    assert 0.01 < float(inside.min()) < float(inside.max()) < 0.6
    assert float(solids[:, :, [0, -1], [0, -1], [0, -1]].max()) == 0  # corners are empty
    with pytest.raises(ValueError, match="option 'side' is 0; choose 1 or more"):
        data.solids(side=0)


def test_volumes_smaller_than_a_kernel_have_the_gradient_in_bfloat16_that_they_have_in_full() -> None:
    layer, x = Conv3d(16, 16, 3, padding=1), torch.randn(4, 16, 2, 2, 2, generator=torch.Generator().manual_seed(1))
    found = []
    for less in (False, True):
        spoilt = [torch.full((16 * 16 * 27 + n,), float("nan")) for n in range(8)]
        del spoilt
        with torch.autocast("cpu", torch.bfloat16, enabled=less):
            y = layer(x)
        found.append(torch.autograd.grad(y.float().square().sum(), layer.weight)[0])
    torch.testing.assert_close(found[1], found[0], rtol=0.02, atol=0.02)


def test_an_autoencoder_of_volumes_learns_to_reconstruct() -> None:
    small = {"data.side": 8, "data.train": 200, "data.test": 50, "train.steps": 150, "train.ema": 0}
    widths = {"slots.encoder.width": 8, "slots.decoder.width": 8, "train.optimizer": {"use": "adam", "lr": 3e-3}}
    model = zoo.build("kl-3d", overrides={**small, **widths, "train.precision": "float32"})
    zoo.train(model, progress=False)
    x = items(load_images(model.recipe), "test", model.recipe, 0, 50)["x"]
    error = (model.reconstruct(x) - x).square().mean()
    assert float(error / x.var()) < 0.4
