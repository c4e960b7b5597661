"""Models of images given their class: a step of each against one written by hand, and that each heeds the class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy

import pytest
import torch
from helpers.shelf import (
    assert_same,
    batch_of,
    by_hand,
    drawn,
    gradients,
    kl,
    sampled,
    small,
    softplus,
    squared,
)
from torch import Tensor
from torch.nn.utils import parametrize
from zoo_conditional.values import class_nll
from zoo_dcgan.classes import ClassNorm, ProjectionCritic, beside

from zoo import api
from zoo.engine.engine import Engine
from zoo.model.model import Model
from zoo.types import Batch


def fake_of(model: Model, batch: Batch) -> Tensor:
    """G(z, c), by hand."""
    count = len(batch["x"])
    z = drawn(model, "z").normal(count, 5)
    return model.generator(z, torch.zeros(count, 0, dtype=z.dtype), batch["label"])


def of_class(logits: Tensor, label: Tensor) -> Tensor:
    """mean -log p(c), by hand."""
    return -(logits.exp() / logits.exp().sum(1, keepdim=True))[torch.arange(len(label)), label].log().mean()


def test_a_conditional_vae_minimises_its_bound_given_the_class() -> None:
    model = small("cvae")
    batch = batch_of(model)

    def loss() -> Tensor:
        q = model.encoder(batch["x"], batch["label"])
        return squared(batch["x"], model.decoder(sampled(model, q), batch["label"])) + kl(q)

    assert_same(gradients(model, batch), by_hand(model, "encoder", "decoder", loss=loss))


def cgan(model: Model, batch: Batch) -> tuple[Tensor, Tensor]:
    real, fake = (model.critic(x, batch["label"]).logit for x in (batch["x"], fake_of(model, batch)))
    return softplus(-fake), softplus(-real) + softplus(fake)


def ac_gan(model: Model, batch: Batch) -> tuple[Tensor, Tensor]:
    real, fake = (model.critic(x) for x in (batch["x"], fake_of(model, batch)))
    of_real, of_fake = (of_class(told.taps["class"], batch["label"]) for told in (real, fake))
    return softplus(-fake.logit) + of_fake, softplus(-real.logit) + softplus(fake.logit) + of_real + of_fake


def projection_gan(model: Model, batch: Batch) -> tuple[Tensor, Tensor]:
    real, fake = (model.critic(x, batch["label"]).logit for x in (batch["x"], fake_of(model, batch)))
    return -fake.mean(), (1 - real).clamp(min=0).mean() + (1 + fake).clamp(min=0).mean()


GANS: Mapping[str, Callable[[Model, Batch], tuple[Tensor, Tensor]]] = {
    "cgan": cgan,
    "ac-gan": ac_gan,
    "projection-gan": projection_gan,
}
"""What the generator and the critic of each minimise."""


@pytest.mark.parametrize("name", GANS)
def test_a_gan_of_classes_plays_as_by_hand(name: str) -> None:
    """Of a copy each: weights under spectral norm are computed once, with one iteration."""
    model, expected = small(name), {}
    batch = batch_of(model)
    for number, slot in enumerate(("generator", "critic")):
        copied = deepcopy(model)
        with parametrize.cached():
            expected |= by_hand(copied, slot, loss=lambda c=copied, n=number: GANS[name](c, batch)[n])
    assert_same(gradients(model, batch), expected)


def test_a_class_beside_images_and_codes_is_one_of_as_many_channels() -> None:
    label = torch.tensor([2, 0])
    assert beside(torch.full((2, 1), 7.0), label, 3).tolist() == [[7, 0, 0, 1], [7, 1, 0, 0]]
    images = beside(torch.full((2, 1, 2, 3), 7.0), label, 3)
    assert images.shape == (2, 4, 2, 3)
    assert images.flatten(2).unique_consecutive(dim=2)[:, :, 0].tolist() == [[7, 0, 0, 1], [7, 1, 0, 0]]


def test_a_projection_adds_the_product_of_features_and_class() -> None:
    """Miyato & Koyama 2018, eq. 5: phi(h) alone of a vector that is 0, and psi(h) the sum over places."""
    critic, x = ProjectionCritic(3, 8, 4, width=2, norm="none"), torch.rand(5, 3, 8, 8) * 2 - 1
    label = torch.tensor([0, 1, 2, 3, 1])
    with torch.no_grad():
        critic.of_class.weight[1] = 0
        h = critic.stages[0](x)
        phi = critic.logit(h.permute(0, 2, 3, 1).flatten(1))[:, 0]
        vectors = critic.of_class.weight[label]
        by_hand = phi + (h.sum((2, 3)) * vectors).sum(1)
        torch.testing.assert_close(critic(x, label).logit, by_hand)
    torch.testing.assert_close(by_hand[label == 1], phi[label == 1])


def test_a_class_norm_scales_and_shifts_by_class() -> None:
    norm, x = ClassNorm(2, 3).double(), torch.randn(6, 2, 3, 3, dtype=torch.float64)
    label = torch.tensor([0, 0, 1, 1, 2, 2])
    plain = torch.nn.functional.batch_norm(x, None, None, training=True)
    torch.testing.assert_close(norm(x, label), plain)
    with torch.no_grad():
        norm.scale[1], norm.shift[2] = torch.tensor([2.0, 3.0]), torch.tensor([-1.0, 5.0])
    found = norm(x, label)
    torch.testing.assert_close(found[2:4], plain[2:4] * torch.tensor([2.0, 3.0]).view(1, 2, 1, 1))
    torch.testing.assert_close(found[4:], plain[4:] + torch.tensor([-1.0, 5.0]).view(1, 2, 1, 1))


def test_a_class_is_told_in_nats() -> None:
    """Even logits are log 4 nats; a class that is sure costs nothing, and a wrong one its distance."""
    label = torch.tensor([0, 3])
    told = [
        api.CriticOutput(torch.zeros(2), {"class": logits}) for logits in (torch.zeros(2, 4), 50 * torch.eye(4)[[0, 1]])
    ]
    torch.testing.assert_close(class_nll(told[0], label), torch.tensor(4.0).log())
    torch.testing.assert_close(class_nll(told[1], label), torch.tensor(25.0))
    with pytest.raises(ValueError, match="label: predicted"):
        class_nll(api.CriticOutput(torch.zeros(2)), label)


CLASSES, SIDE = 3, 8


def shades(count: int, label: Tensor, noise: torch.Generator) -> Tensor:
    """Images as bright as their class, all pixels alike but for a little noise."""
    grey = 0.6 * (label.double() - 1)
    return grey.view(-1, 1, 1, 1) + 0.1 * torch.randn(count, 1, SIDE, SIDE, generator=noise, dtype=torch.float64)


@pytest.mark.parametrize(
    ("name", "steps", "rate"),
    [("cvae", 60, 0.01), ("cgan", 150, 0.002), ("ac-gan", 150, 0.002), ("projection-gan", 150, 0.01)],
)
def test_samples_are_of_their_class(name: str, steps: int, rate: float) -> None:
    """Of three shades of grey: a class that networks or terms do not heed would give one grey for all."""
    sizes = (f"data.size={SIDE}", "data.channels=1", "latent=4", "train.batch=16", f"train.steps={steps}")
    model = small(name, *sizes, f"train.optimizer={{use: adam, lr: {rate}, betas: [0.5, 0.99]}}")
    engine, noise = Engine(model), torch.Generator().manual_seed(0)
    for _ in range(steps):
        label = torch.randint(CLASSES, (16,), generator=noise)
        engine.step(lambda _, label=label: {"x": shades(16, label, noise), "label": label})
    means = torch.stack([model.sample(16, given={"label": c}, seed=1).mean() for c in range(CLASSES)])
    assert (means - torch.tensor([-0.6, 0.0, 0.6])).abs().max() < 0.4, means
