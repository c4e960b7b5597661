"""Image-to-image translation: a step of each system against one written by hand, its parts, and what it learns."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from helpers.shelf import Loss, assert_same, batch_of, drawn, expected, gradients, l1, small, softplus
from helpers.toys import learned
from torch import Tensor
from torch.nn.functional import instance_norm
from zoo_translation.pool import Pool
from zoo_translation.residual import Blocks, Translator
from zoo_translation.unet import UNet

from zoo.draws import Draw, Shard
from zoo.model.model import Model
from zoo.types import Batch

# -- pix2pix -------------------------------------------------------------------------------------------------


def painted(model: Model, batch: Batch) -> Tensor:
    y = batch["flat"]
    return model.generator(y, 2.0 * (drawn(model, "dropped").uniform(len(y), model.generator.numbers) >= 0.5))


def told(model: Model, image: Tensor, batch: Batch) -> Tensor:
    return model.critic(torch.cat([image, batch["flat"]], 1)).logit


def test_pix2pix_plays_on_pairs_and_pays_for_each_number() -> None:
    model = small("pix2pix")
    batch = batch_of(model)

    def generator(m: Model, b: Batch) -> Tensor:
        image = painted(m, b)
        return softplus(-told(m, image, b)) + 100 * l1(b["x"], image)

    def critic(m: Model, b: Batch) -> Tensor:
        return 0.5 * (softplus(-told(m, b["x"], b)) + softplus(told(m, painted(m, b), b)))

    losses = {"generator": generator, "critic": critic}
    assert_same(gradients(model, batch), expected(model, batch, losses))


def test_a_unet_drops_the_features_that_its_numbers_say() -> None:
    """Of all dropped, nothing of the innermost level is left; of none, each counts twice."""
    net, image = UNet(3, 16, width=2, drops=1, norm="none").double().eval(), torch.rand(2, 3, 16, 16).double() * 2 - 1
    assert net.numbers == 16
    seen: list[Tensor] = []
    net.up[1].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    keep = torch.zeros(2, 16).double()
    keep[:, 3] = 2
    for numbers in (keep, torch.full_like(keep, 2)):
        net(image, numbers)
    features = 8  # of the level above the innermost: 4 times width
    assert seen[0][:, [i for i in range(features) if i != 3]].eq(0).all()
    assert torch.equal(seen[0][:, 3], seen[1][:, 3])
    assert torch.equal(seen[0][:, features:], seen[1][:, features:])


@pytest.mark.parametrize("size", [8, 16, (16, 24), 48])
def test_a_unet_halves_the_side_as_often_as_it_comes_out_even(size: int | tuple[int, int]) -> None:
    sides = (size, size) if isinstance(size, int) else size
    net = UNet(3, size, takes=2, width=2, drops=1)
    image = torch.rand(2, 2, *sides)
    assert net(image, torch.rand(2, net.numbers)).shape == (2, 3, *sides)
    assert len(net.down) == {8: 3, 16: 4, (16, 24): 3, 48: 4}[size]


def test_grey_images_need_no_option() -> None:
    grey = torch.rand(2, 1, 16, 16)
    for net in (UNet(1, 16, width=2), Translator(1, 16, width=2, halvings=1, blocks=1)):
        assert net(grey).shape == grey.shape


def test_what_a_unet_cannot_be_is_told() -> None:
    with pytest.raises(ValueError, match="cannot be halved 5 times"):
        UNet(3, 16, levels=5)
    with pytest.raises(ValueError, match="4 levels are to lose features, and there are 3"):
        UNet(3, 16, drops=4)
    with pytest.raises(ValueError, match="cannot be halved 3 times to 4 px"):
        Translator(3, 16, halvings=3)


def test_a_residual_block_adds_to_what_it_is_given() -> None:
    net, x = Blocks(width=2, halvings=1, blocks=1).double(), torch.rand(2, 4, 5, 5, dtype=torch.float64)
    first, second = net.blocks[0][0], net.blocks[0][3]
    expected = x + instance_norm(second(instance_norm(first(x)).clamp(min=0)))
    torch.testing.assert_close(net(x), expected)


# -- the pool ------------------------------------------------------------------------------------------------


def numbers(step: int, rows: int, shard: Shard | None = None) -> Draw:
    device, dtype = torch.device("cpu"), torch.float64
    return Draw(step, device=device, dtype=dtype, shard=shard or Shard(), rows=rows)


def numbered(*values: int) -> Tensor:
    """Images of one number each."""
    return torch.tensor(values, dtype=torch.float64).view(-1, 1, 1, 1)


def test_a_pool_is_filled_and_then_swaps_half_of_what_comes() -> None:
    pool, size, count = Pool(1, 1, 1, size=6).double(), 6, 4
    everything, swapped, steps = set[int](), 0, 200
    for step in range(steps):
        images = numbered(*range(step * count, (step + 1) * count))
        before = pool.images.flatten().tolist()
        given = pool(images, numbers(step, count)).flatten().tolist()
        after = pool.images.flatten().tolist()
        if step == 0:
            assert (given, after[:count]) == (images.flatten().tolist(), images.flatten().tolist())
        if step == 1:  # two places were free, and all are taken
            assert (given, after) == (images.flatten().tolist(), list(range(size)))
        if step > 1:
            old = [one for one, own in zip(given, images.flatten().tolist(), strict=True) if one != own]
            assert set(old) <= set(before)
            assert len(set(old)) == len(old)
            assert set(after) == set(before) - set(old) | {o for o in images.flatten().tolist() if o not in given}
            swapped += len(old)
        everything |= set(map(int, given))
    assert swapped / (count * (steps - 2)) == pytest.approx(0.5, abs=0.05)


def test_a_pool_is_still_outside_of_a_training() -> None:
    pool, images = Pool(1, 1, 1, size=2).double(), numbered(1, 2)
    pool.eval()
    assert torch.equal(pool(images, numbers(0, 2)), images)
    assert not pool.images.any()
    with pytest.raises(ValueError, match="the pool has images"):
        pool(torch.zeros(2, 3, 1, 1), numbers(0, 2))


@pytest.mark.parametrize(("ranks", "count"), [(2, 2), (2, 4), (4, 1)])
def test_a_pool_is_that_of_one_process(ranks: int, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean over processes, which the engine takes of buffers that changed, and what each was given."""
    whole, shares = Pool(1, 1, 1, size=5).double(), [Pool(1, 1, 1, size=5).double() for _ in range(ranks)]
    for step in range(20):
        images = numbered(*range(1 + step * ranks * count, 1 + (step + 1) * ranks * count))
        given = []
        for rank, pool in enumerate(shares):
            monkeypatch.setattr("zoo_translation.pool._share", lambda rank=rank: (rank, ranks))
            shard = Shard(rank, ranks)
            given += pool(shard.of(images), numbers(step, count, shard)).flatten().tolist()
        mean = torch.stack([pool.images for pool in shares]).mean(0)
        monkeypatch.setattr("zoo_translation.pool._share", lambda: (0, 1))
        alone = whole(images, numbers(step, ranks * count)).flatten().tolist()
        assert given == alone
        for pool in shares:
            pool.images.copy_(mean)
        assert torch.equal(mean, whole.images)


# -- CycleGAN ------------------------------------------------------------------------------------------------


def there(m: Model, b: Batch) -> tuple[Tensor, Tensor]:
    return m.y_generator(b["x"]), m.x_generator(b["y"])


def cycle_generators(m: Model, b: Batch) -> Tensor:
    x, y = b["x"], b["y"]
    y_of_x, x_of_y = there(m, b)
    fooled = (m.y_critic(y_of_x).logit - 1).square().mean() + (m.x_critic(x_of_y).logit - 1).square().mean()
    cycle = l1(m.x_generator(y_of_x), x) + l1(m.y_generator(x_of_y), y)
    return fooled + 10 * cycle + 5 * (l1(m.x_generator(x), x) + l1(m.y_generator(y), y))


def half(real: Tensor, fake: Tensor) -> Tensor:
    return ((real - 1).square().mean() + fake.square().mean()) / 2


CYCLEGAN: Mapping[str, Loss] = {
    "y_generator + x_generator": cycle_generators,
    "y_critic": lambda m, b: half(m.y_critic(b["y"]).logit, m.y_critic(there(m, b)[0].detach()).logit),
    "x_critic": lambda m, b: half(m.x_critic(b["x"]).logit, m.x_critic(there(m, b)[1].detach()).logit),
}
"""Of a first step, in which the pool is empty."""


def test_cyclegan_goes_there_and_back() -> None:
    model = small("cyclegan")
    batch = batch_of(model)
    wanted = expected(model, batch, CYCLEGAN)  # first: a step moves the vectors of spectral norm
    assert_same(gradients(model, batch), wanted)


def test_cyclegan_critics_see_what_is_in_the_pool() -> None:
    """After steps that filled it, a critic's fakes are those that the pool gives."""
    model = small("cyclegan", "values.y_pooled.size=3", "values.x_pooled.size=3")
    batch = batch_of(model)
    model.owned.value_y_pooled.images.copy_(torch.rand(3, 3, 16, 16, dtype=torch.float64))
    model.owned.value_y_pooled.turn.fill_(5)

    def critic(m: Model, b: Batch) -> Tensor:
        fakes = m.owned.value_y_pooled(there(m, b)[0].detach(), drawn(m, "y_pooled"))
        assert not torch.equal(fakes, there(m, b)[0])
        return half(m.y_critic(b["y"]).logit, m.y_critic(fakes).logit)

    wanted = expected(model, batch, {"y_critic": critic})
    found = gradients(model, batch)
    assert_same({key: value for key, value in found.items() if key in wanted}, wanted)


# -- learning ------------------------------------------------------------------------------------------------

SIDE = 8


def scenes(turn: int, count: int = 8) -> Tensor:
    """Images of which each channel is brighter on the left or on the right."""
    signs = torch.rand(count, 3, 1, 1, generator=torch.Generator().manual_seed(turn), dtype=torch.float64) - 0.5
    return (0.3 * signs.sign() * torch.linspace(-1, 1, SIDE).sign()).expand(-1, -1, SIDE, -1).contiguous()


def test_pix2pix_learns_what_pairs_have_in_common() -> None:
    """y is the negative of x; what does not heed its y is 0.3 from x."""

    def batch(turn: int) -> Batch:
        return {"x": scenes(turn), "flat": -scenes(turn)}

    model = learned("pix2pix", 120, batch, SIDE, "slots.generator.drops=1", "slots.generator.norm=none")
    x = scenes(1000)
    (made,) = model.compute("translated", given={"flat": -x}, seed=1)
    assert (made - x).abs().mean() < 0.15


def test_cyclegan_learns_the_other_domain_and_the_way_back() -> None:
    """Domain y is brighter by 0.6, and never paired; what forgets its image is 0.3 from it."""

    def batch(turn: int) -> Batch:
        return {"x": scenes(turn) - 0.3, "y": scenes(turn + 500) + 0.3}

    few = (f"slots.{domain}_generator.blocks=1" for domain in "xy")
    model = learned("cyclegan", 100, batch, SIDE, *few)
    x = scenes(1000) - 0.3
    made, again = model.compute("y_of_x", "x_again", given={"x": x, "y": x + 0.6}, seed=1)
    assert made.mean() == pytest.approx(0.3, abs=0.25)
    assert (again - x).abs().mean() < 0.2
