"""UNIT and MUNIT: a step of each against one written by hand, the norm that is of a style, and what they learn."""

from __future__ import annotations

import torch
from helpers.shelf import assert_same, batch_of, drawn, expected, gradients, l1, small, softplus
from helpers.toys import learned
from torch import Tensor
from zoo_translation.contents import StyledBlocks, Styles

from zoo.model.model import Model
from zoo.types import Batch

SIDE = 8


# -- UNIT ----------------------------------------------------------------------------------------------------


def noisy(m: Model, mean: Tensor, name: str) -> Tensor:
    return mean + drawn(m, name).normal(*mean.shape)


def read(m: Model, domain: str, image: Tensor) -> Tensor:
    return m.shared_encoder(getattr(m, f"{domain}_encoder")(image))


def written(m: Model, domain: str, code: Tensor) -> Tensor:
    return getattr(m, f"{domain}_decoder")(m.shared_decoder(code))


def crossed(m: Model, b: Batch) -> tuple[Tensor, Tensor]:
    """What x became, and what y became."""
    codes = [noisy(m, read(m, domain, b[domain]), f"{domain}_code") for domain in "xy"]
    return written(m, "y", codes[0]), written(m, "x", codes[1])


def unit(m: Model, b: Batch) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for here, there, moved in (("x", "y", crossed(m, b)[0]), ("y", "x", crossed(m, b)[1])):
        mean, again = read(m, here, b[here]), read(m, there, moved)
        total = total + softplus(-getattr(m, f"{there}_critic")(moved).logit)
        total = total + 0.01 * (mean.square().mean() / 2 + again.square().mean() / 2)
        rebuilt = written(m, here, noisy(m, mean, f"{here}_code"))
        back = written(m, here, noisy(m, again, f"{there}_of_{here}_code"))
        total = total + 10 * (l1(rebuilt, b[here]) + l1(back, b[here]))
    return total


def test_unit_reads_both_domains_into_one_space() -> None:
    model = small("unit")
    batch = batch_of(model)
    networks = " + ".join(f"{d}_{n}" for d in ("x", "y", "shared") for n in ("encoder", "decoder"))
    wanted = expected(
        model,
        batch,
        {
            networks: unit,
            "y_critic": lambda m, b: softplus(-m.y_critic(b["y"]).logit) + softplus(m.y_critic(crossed(m, b)[0]).logit),
            "x_critic": lambda m, b: softplus(-m.x_critic(b["x"]).logit) + softplus(m.x_critic(crossed(m, b)[1]).logit),
        },
    )
    assert_same(gradients(model, batch), wanted)


# -- MUNIT ---------------------------------------------------------------------------------------------------


def restyled(m: Model, b: Batch) -> tuple[Tensor, Tensor]:
    """x in a drawn style of y, and y in one of x."""
    contents, styles = (m.x_encoder(b["x"]), m.y_encoder(b["y"])), style(m, b)
    return m.y_decoder(contents[0], styles["y"]), m.x_decoder(contents[1], styles["x"])


def style(m: Model, b: Batch) -> dict[str, Tensor]:
    return {domain: drawn(m, f"{domain}_style_drawn").normal(len(b["x"]), 5) for domain in "xy"}


def munit(m: Model, b: Batch) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for here, there, moved in (("x", "y", restyled(m, b)[0]), ("y", "x", restyled(m, b)[1])):
        content = getattr(m, f"{here}_encoder")(b[here])
        own = getattr(m, f"{here}_style_encoder")(b[here])
        total = total + (getattr(m, f"{there}_critic")(moved).logit - 1).square().mean()
        total = total + 10 * l1(getattr(m, f"{here}_decoder")(content, own), b[here])
        total = total + l1(getattr(m, f"{there}_encoder")(moved), content)
        total = total + l1(getattr(m, f"{there}_style_encoder")(moved), style(m, b)[there])
    return total


def squares(real: Tensor, fake: Tensor) -> Tensor:
    return (real - 1).square().mean() + fake.square().mean()


def test_munit_parts_an_image_into_content_and_style() -> None:
    model = small("munit", "slots.x_style_encoder.halvings=1", "slots.y_style_encoder.halvings=1")
    batch = batch_of(model)
    networks = " + ".join(f"{d}_{n}" for d in "xy" for n in ("encoder", "style_encoder", "decoder"))
    wanted = expected(
        model,
        batch,
        {
            networks: munit,
            "y_critic": lambda m, b: squares(m.y_critic(b["y"]).logit, m.y_critic(restyled(m, b)[0]).logit),
            "x_critic": lambda m, b: squares(m.x_critic(b["x"]).logit, m.x_critic(restyled(m, b)[1]).logit),
        },
    )
    assert_same(gradients(model, batch), wanted)


def test_a_styled_norm_gives_features_the_mean_and_deviation_that_it_is_handed() -> None:
    """Huang & Belongie 2017, eq. 8, of a block by hand: the second norm has scale 3 and shift 0.5, and no ReLU."""
    net, x = StyledBlocks(width=2, halvings=0, blocks=1).double(), torch.rand(2, 2, 6, 6, dtype=torch.float64)
    factors = torch.zeros(2, 1, 2, 2, 2, dtype=torch.float64)
    factors[:, 0, 1, 0], factors[:, 0, 1, 1] = 2.0, 0.5
    added = net(x, factors.flatten(1)) - x
    torch.testing.assert_close(added.mean((2, 3)), torch.full((2, 2), 0.5, dtype=torch.float64))
    torch.testing.assert_close(
        added.std((2, 3), correction=0), torch.full((2, 2), 3.0, dtype=torch.float64), rtol=1e-3, atol=0
    )
    first, second = net.blocks[0]

    def normed(maps: Tensor) -> Tensor:
        deviation = (maps.var((2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
        return (maps - maps.mean((2, 3), keepdim=True)) / deviation

    torch.testing.assert_close(added, 3 * normed(second(normed(first(x)).clamp(min=0))) + 0.5)


def test_a_style_is_of_no_place() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net, image = Styles(3, 3, width=2, halvings=2).double(), torch.rand(2, 3, 16, 16, dtype=torch.float64)
    tiled = torch.cat([image, image], 3)
    apart = (net(tiled) - net(image)).abs().max()
    assert net(image).shape == (2, 3)
    assert apart < 0.1 * net(image).std()  # it differs by borders alone


# -- learning ------------------------------------------------------------------------------------------------


def scenes(turn: int, bright: Tensor, count: int = 8) -> Tensor:
    """Images of which each channel is brighter on the left or on the right, and all of them by ``bright``."""
    signs = torch.rand(count, 3, 1, 1, generator=torch.Generator().manual_seed(turn), dtype=torch.float64) - 0.5
    return (0.3 * signs.sign() * torch.linspace(-1, 1, SIDE).sign()).expand(-1, -1, SIDE, -1) + bright


def of_range(turn: int, low: float, high: float, count: int = 8) -> Tensor:
    """Numbers between two, one an image."""
    numbers = torch.rand(count, 1, 1, 1, generator=torch.Generator().manual_seed(turn), dtype=torch.float64)
    return low + (high - low) * numbers


def test_unit_learns_the_other_domain_and_the_way_back() -> None:
    """Domain y is brighter by 0.6, and never paired."""
    low, high = torch.tensor(-0.3), torch.tensor(0.3)
    model = learned("unit", 80, lambda turn: {"x": scenes(turn, low), "y": scenes(turn + 500, high)}, SIDE)
    x = scenes(1000, low)
    made, again = model.compute("y_of_x", "x_again", given={"x": x, "y": x + 0.6}, seed=1)
    assert abs(float(made.mean()) - 0.3) < 0.25
    assert float((again - x).abs().mean()) < 0.2


def test_munit_s_style_is_what_the_other_domain_varies_in() -> None:
    """Images y are as bright as they like: a drawn style says how bright, and the content tells x again."""
    low = torch.tensor(-0.3)

    def batch(turn: int) -> Batch:
        return {"x": scenes(turn, low), "y": scenes(turn + 500, of_range(turn + 900, 0.0, 0.6))}

    few = (f"slots.{domain}_style_encoder.halvings=1" for domain in "xy")
    model = learned("munit", 100, batch, SIDE, "latent=1", *few)
    x = scenes(1000, low)
    styles = [model.compute("y_of_x", given={"x": x, "y": x}, seed=seed)[0] for seed in range(8)]
    bright = torch.stack([made.mean((1, 2, 3)) for made in styles])
    assert abs(float(bright.mean()) - 0.3) < 0.25
    assert float(bright.std(0).mean()) > 0.05
    (again,) = model.compute("x_again", given={"x": x, "y": x}, seed=1)
    assert float((again - x).abs().mean()) < 0.2  # .14; .35 where contents are to differ
