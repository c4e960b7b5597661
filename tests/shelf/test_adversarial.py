"""Adversarial systems: a step of each against one written by hand, and what each learns of a small world."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from helpers.shelf import assert_same, batch_of, by_hand, drawn, gradients, small, softplus
from torch import Tensor
from torch.nn.functional import relu
from torch.nn.utils import parametrize
from zoo_losses.augmented import augmented

import zoo
from zoo.data.batches import Batches, load_images
from zoo.engine.engine import Engine
from zoo.model.model import Model

Draw = tuple[int, ...]
"""Which of the repetitions of a step's phase it is."""


def expected(model: Model, slot: str, loss: Callable[[Model], Tensor], still: str = "") -> Mapping[str, Tensor]:
    """A gradient by hand, of a copy: weights under spectral norm are computed once, with one iteration.

    Args:
        model: whose copy it is.
        slot: that learns.
        loss: what it minimises.
        still: a slot that plays in no row of the phase, whose weights take no iteration.
    """
    copied = deepcopy(model)

    def of_copy() -> Tensor:
        if still:
            getattr(copied, still).eval()
        return loss(copied)

    with parametrize.cached():
        return by_hand(copied, slot, loss=of_copy)


def fakes(model: Model, count: int, draw: Draw = (), step: int = 0) -> Tensor:
    """G(z, z_a) of the numbers that the engine draws."""
    z = drawn(model, "z", draw, step).normal(count, model.recipe.latent)
    return model.generator(z, z[:, :0])


def slope(model: Model, points: Tensor) -> Tensor:
    """dC/dx, recorded, (B, C, H, W)."""
    points = points.detach().clone().requires_grad_()
    return torch.autograd.grad(model.critic(points).logit.sum(), points, create_graph=True)[0]


# -- losses --------------------------------------------------------------------------------------------------

Loss = Callable[[Tensor, Tensor], Tensor]
"""Of the logits of real and of generated images."""

PAIRS: dict[str, tuple[Loss, Loss]] = {
    "hinge-gan": (lambda x, g: relu(1 - x).mean() + relu(1 + g).mean(), lambda _, g: -g.mean()),
    "lsgan": (lambda x, g: ((x - 1) ** 2).mean() / 2 + (g**2).mean() / 2, lambda _, g: ((g - 1) ** 2).mean() / 2),
    "r1-gan": (lambda x, g: softplus(-x) + softplus(g), lambda _, g: softplus(-g)),
    "relativistic-gan": (lambda x, g: softplus(g - x), lambda x, g: softplus(x - g)),
}
"""What the critic and what the generator minimises, where both move together in the first phase."""


@pytest.mark.parametrize("name", PAIRS)
def test_a_step_of_both_is_the_one_by_hand(name: str) -> None:
    model = small(name)
    batch = batch_of(model)
    x = batch["x"]
    of_critic, of_generator = (
        lambda copy, loss=loss: loss(copy.critic(x).logit, copy.critic(fakes(copy, len(x))).logit)
        for loss in PAIRS[name]
    )
    wanted = {**expected(model, "critic", of_critic), **expected(model, "generator", of_generator)}
    assert_same(gradients(model, batch), wanted)


def wgan_critic(copy: Model, x: Tensor, draw: Draw) -> Tensor:
    fake = fakes(copy, len(x), draw)
    u = drawn(copy, "interpolates", draw).uniform(len(x), 1, 1, 1)
    norms = slope(copy, u * x + (1 - u) * fake).square().sum((1, 2, 3)).sqrt()
    return copy.critic(fake).logit.mean() - copy.critic(x).logit.mean() + 10 * ((norms - 1) ** 2).mean()


def sn_critic(copy: Model, x: Tensor, draw: Draw) -> Tensor:
    return hinge(copy, x, fakes(copy, len(x), draw))


ALONE: dict[str, Callable[[Model, Tensor, Draw], Tensor]] = {"sn-gan": sn_critic, "wgan-gp": wgan_critic}
"""What the critic minimises in a first phase of its own, on a batch of its own."""


@pytest.mark.parametrize("name", ALONE)
def test_a_step_of_the_critic_and_one_of_the_generator_are_those_by_hand(name: str) -> None:
    model, draw = small(name), (0, 3)
    batch = batch_of(model)
    x = batch["x"]
    wanted = expected(model, "critic", lambda copy: ALONE[name](copy, x, draw))
    assert_same(gradients(model, batch, draw=draw), wanted)
    wanted = expected(model, "generator", lambda copy: -copy.critic(fakes(copy, len(x))).logit.mean(), "critic")
    assert_same(gradients(model, batch, phase=1), wanted)


@pytest.mark.parametrize("name", ALONE)
def test_five_steps_of_the_critic_are_on_batches_of_their_own(name: str) -> None:
    model, seen = small(name), []
    batches = Batches.of(model.recipe, load_images(model.recipe), "cpu", torch.float64)
    Engine(model).step(lambda turn: seen.append(turn) or batches(turn))
    assert seen == [0, 1, 2, 3, 4, 5]


def squared_slopes(copy: Model, *points: Tensor) -> Tensor:
    """1/2 |dC/dx|^2, at each of some points, summed."""
    return sum(slope(copy, x).square().sum() / 2 / len(x) for x in points)


@pytest.mark.parametrize(("step", "gamma"), [(0, 0.05), (5, 0.0275), (10, 0.005)])
def test_r3gan_is_flat_on_both_sides_the_less_the_later(step: int, gamma: float) -> None:
    model = small("r3gan", "train.steps=10")
    for p in model.parameters():  # blocks are the identity at first
        p.data += 0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(1), dtype=p.dtype)
    batch = batch_of(model)
    x = batch["x"]

    def pair(copy: Model, sign: int) -> Tensor:
        return softplus(sign * (copy.critic(fakes(copy, len(x), step=step)).logit - copy.critic(x).logit))

    def of_critic(copy: Model) -> Tensor:
        return pair(copy, 1) + gamma * squared_slopes(copy, x, fakes(copy, len(x), step=step))

    wanted = {**expected(model, "critic", of_critic), **expected(model, "generator", lambda copy: pair(copy, -1))}
    assert_same(gradients(model, batch, step=step), wanted)


def hinge(copy: Model, x: Tensor, g: Tensor) -> Tensor:
    return relu(1 - copy.critic(x).logit).mean() + relu(1 + copy.critic(g).logit).mean()


def test_lecam_pulls_the_critic_to_the_averages_of_steps_before() -> None:
    model = small("lecam-gan")
    before, batch = batch_of(model, turn=1), batch_of(model)
    x = batch["x"]
    model.critic.eval()
    real, fake = (model.critic(images).logit.mean().detach() for images in (before["x"], fakes(model, len(x))))

    def loss(copy: Model) -> Tensor:
        g = fakes(copy, len(x))
        far = relu(copy.critic(x).logit - fake).square().mean() + relu(real - copy.critic(g).logit).square().mean()
        return hinge(copy, x, g) + 0.05 * far

    (lecam,) = (part for part in model.modules() if hasattr(part, "averages"))
    lecam.averages.copy_(0.01 * torch.stack([real, fake]))
    lecam.seen.fill_(0.01)
    wanted = expected(model, "critic", loss)
    found = gradients(model, batch)
    assert_same({key: found[key] for key in wanted}, wanted)


@pytest.mark.parametrize("name", ["diffaugment-gan", "projected-gan"])
def test_the_critic_of_diffaugment_sees_no_image_as_it_is(name: str) -> None:
    """Features of a projected critic are no players: of it the heads alone learn, by the mean of all logits."""
    model = small(name)
    batch = batch_of(model)
    x = batch["x"]

    def through(images: Tensor, name: str) -> Tensor:
        return augmented(images, drawn(model, name), ("colour", "translation", "cutout"))

    def of_critic(copy: Model) -> Tensor:
        return hinge(copy, through(x, "augmented_x"), through(fakes(copy, len(x)), "augmented_generated"))

    def of_generator(copy: Model) -> Tensor:
        return -copy.critic(through(fakes(copy, len(x)), "augmented_generated")).logit.mean()

    learning = {name for name, p in model.named_parameters() if p.requires_grad}
    wanted = {**expected(model, "critic", of_critic), **expected(model, "generator", of_generator)}
    assert_same(gradients(model, batch), {key: value for key, value in wanted.items() if key in learning})
    assert {key for key in learning if key.startswith("critic.trunk")} == set()
    assert model.sample(2).shape == (2, 3, 16, 16)


def test_the_critic_of_cr_gan_says_of_moved_images_what_it_says_of_them() -> None:
    model = small("cr-gan")
    batch = batch_of(model)
    x = batch["x"]

    def loss(copy: Model) -> Tensor:
        moved = augmented(x, drawn(model, "augmented_x"), ("translation",))
        gap = (copy.critic(x).logit - copy.critic(moved).logit).square().mean()
        return hinge(copy, x, fakes(copy, len(x))) + 10 * gap

    wanted = expected(model, "critic", loss)
    found = gradients(model, batch)
    assert_same({key: found[key] for key in wanted}, wanted)


def test_r1_is_16_times_as_strong_every_16_steps() -> None:
    model = small("r1-gan")
    batch = batch_of(model)
    x = batch["x"]
    wanted = expected(model, "critic", lambda copy: 16 * squared_slopes(copy, x))
    assert_same(gradients(model, batch, phase=1), wanted)
    assert model.recipe.phases[1].every == 16


# -- StyleGAN2 -----------------------------------------------------------------------------------------------


def style_fakes(copy: Model, count: int) -> tuple[Tensor, Tensor]:
    """G of mixed styles, and these, of the numbers that the engine draws."""
    one, other = (copy.mapping(drawn(copy, name).normal(count, copy.recipe.latent)) for name in ("z", "other_z"))
    mixes, where = drawn(copy, "styles").uniform(count, 2).unbind(1)
    rows, layers = [], copy.generator.styles
    for i in range(count):
        first = 1 + int(where[i] * (layers - 1)) if mixes[i] < 0.9 else layers
        rows.append(torch.stack([one[i] if layer < first else other[i] for layer in range(layers)]))
    styles = torch.stack(rows)
    return copy.generator(styles, drawn(copy, "generated").normal(count, *copy.generator.noise)), styles


def test_stylegan2_takes_its_losses_its_lazy_penalties_and_mixed_styles() -> None:
    model = small("stylegan2-lite", "train.batch=8")
    batch = batch_of(model)
    x = batch["x"]

    def path_length(copy: Model) -> Tensor:
        draw = drawn(copy, "style_slopes")
        styles = style_fakes(copy, len(x))[1]
        images = copy.generator(styles, draw.normal(len(x), *copy.generator.noise))
        y = draw.normal(*images.shape) / 16
        (slopes,) = torch.autograd.grad((images * y).sum(), styles, create_graph=True)
        lengths = slopes.square().sum(2).mean(1).sqrt()
        return 8 * (lengths - lengths.mean().detach()).square().mean()

    def generator(copy: Model) -> Tensor:
        return softplus(-copy.critic(style_fakes(copy, len(x))[0]).logit)

    def critic(copy: Model) -> Tensor:
        return softplus(-copy.critic(x).logit) + softplus(copy.critic(style_fakes(copy, len(x))[0]).logit)

    slots = ("generator", "mapping")
    wanted = {**expected(model, "critic", critic)}
    for slot in slots:
        wanted |= expected(model, slot, generator)
    assert_same(gradients(model, batch), wanted)
    wanted = expected(model, "critic", lambda copy: 16 * squared_slopes(copy, x))
    assert_same(gradients(model, batch, phase=1), wanted)
    wanted = {key: value for slot in slots for key, value in expected(model, slot, path_length).items()}
    assert_same(gradients(model, batch, phase=2), wanted)
    assert [phase.every for phase in model.recipe.phases] == [1, 16, 4]


# -- learning ------------------------------------------------------------------------------------------------

CLOUD = Path(__file__).parents[1] / "parts" / "cloud_parts.py"
STEPS = {
    "hinge-gan": 500,
    "lsgan": 500,
    "wgan-gp": 120,
    "sn-gan": 120,
    "r1-gan": 500,
    "relativistic-gan": 500,
    "r3gan": 250,
}
"""About a second of each."""


def distance_of_cloud(name: str, steps: int) -> float:
    """|difference of means|^2 + |difference of deviations|^2 of samples and points of the plane, after a training."""
    small = {"use": "mlp", "width": 32}
    source = {"extends": name, "data": "cloud", "latent": 2, "slots": {"generator": small, "critic": small}}
    rates = ("train.optimizer.lr=0.001", "train.optimizers={critic: {lr: 0.003}}")
    plain = (f"train.steps={steps}", "train.batch=64", "train.ema=0.9", "train.precision=float32", "evaluate=[]")
    model = zoo.build(source, overrides=[*rates, *plain], plugins=[CLOUD])
    images = load_images(model.recipe)
    zoo.train(model, images, steps=steps, progress=False)
    samples = model.sample(2048)
    errors = [of(samples) - of(images.train) for of in (lambda x: x.mean(0), lambda x: x.std(0))]
    return float(sum(error.square().sum() for error in errors))


@pytest.mark.parametrize(("name", "steps"), STEPS.items())
def test_it_learns_a_cloud_of_points(name: str, steps: int) -> None:
    assert distance_of_cloud(name, 1) > 1.0
    assert distance_of_cloud(name, steps) < 0.2
