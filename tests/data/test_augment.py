"""Augmentations: a function of (seed, epoch, index), whatever batch an image comes in."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import TINY, Run
from helpers.engine import in_batches
from torch import Tensor

from zoo.data.augment import augmentations
from zoo.draws import TicketDraw
from zoo.recipe import load_recipe
from zoo.types import to_model


def draw(tickets: Tensor, *key: object, dtype: torch.dtype = torch.float64) -> TicketDraw:
    return TicketDraw(tickets, *(key or ("test",)), dtype=dtype)


def numbered(count: int, size: int = 8) -> Tensor:
    """Images that differ, uint8 (N, 1, H, W)."""
    return torch.randint(256, (count, 1, size, size), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def test_splitmix64_is_the_published_one() -> None:
    """The first outputs for seed 0 of Vigna's reference program: the finaliser of 1, 2, 3 golden ratios."""
    from zoo.draws import _mix

    expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert [int(value) % 2**64 for value in _mix(torch.arange(1, 4))] == expected


def test_uniform_numbers_are_uniform_and_normal_ones_normal() -> None:
    n = 200_000
    u = draw(torch.arange(n)).uniform(n, 2)
    assert u.min() >= 0
    assert u.max() < 1
    counts = torch.histc(u.flatten(), 64, 0, 1)
    chi2 = ((counts - 2 * n / 64).square() / (2 * n / 64)).sum()
    assert abs(chi2 - 63) < 5 * math.sqrt(2 * 63)
    assert torch.corrcoef(u.T)[0, 1].abs() < 5 / math.sqrt(n)
    assert torch.corrcoef(torch.stack([u[:-1, 0], u[1:, 0]]))[0, 1].abs() < 5 / math.sqrt(n)
    z = draw(torch.arange(n)).normal(n)
    assert z.isfinite().all()
    for power, moment in ((1, 0), (2, 1), (3, 0), (4, 3)):
        spread = math.sqrt({1: 1, 2: 2, 3: 15, 4: 96}[power] / n)
        assert abs(z.pow(power).mean() - moment) < 5 * spread


def test_a_row_depends_on_its_ticket_key_and_count_alone() -> None:
    whole, part = draw(torch.arange(10)), draw(torch.tensor([7, 3]))
    assert torch.equal(whole.uniform(10, 3)[[7, 3]], part.uniform(2, 3))
    assert torch.equal(whole.normal(10)[[7, 3]], part.normal(2))  # the second draw, too
    one = draw(torch.arange(10))
    assert not torch.equal(one.uniform(10), one.uniform(10))
    assert not torch.equal(draw(torch.arange(10), "a").uniform(10), draw(torch.arange(10), "b").uniform(10))


def test_a_draw_that_is_not_by_image_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a row for each of its 4 images, not \[3\]"):
        draw(torch.arange(4)).uniform(3)


def made(pixels: Tensor, spec: object, batch: int = 4, seed: int = 0) -> Callable[[int], Tensor]:
    recipe = load_recipe({"extends": "vae", "seed": seed, "augment": spec})
    batches = in_batches(pixels, batch, seed, channels_last=False, augment=augmentations(recipe))
    return lambda turn: batches(turn)["x"]


def test_an_image_is_augmented_alike_in_batches_of_any_size() -> None:
    pixels, spec = numbered(12), ["flip", "crop"]
    small, large = made(pixels, spec, 3), made(pixels, spec, 12)
    for epoch in range(3):
        assert torch.equal(torch.cat([small(4 * epoch + i) for i in range(4)]), large(epoch))
    assert not torch.equal(large(0).sort(0)[0], large(1).sort(0)[0])  # each epoch anew


def test_flips_are_those_images_or_their_mirrors_half_and_half() -> None:
    pixels = numbered(400, 4)
    plain, flipped = made(pixels, [], 400)(0), made(pixels, ["flip"], 400)(0)
    mirrored = [torch.equal(b, a.flip(2)) for a, b in zip(plain, flipped, strict=True)]
    same = [torch.equal(b, a) for a, b in zip(plain, flipped, strict=True)]
    assert all(m or s for m, s in zip(mirrored, same, strict=True))
    assert abs(sum(mirrored) - 200) < 60
    assert torch.equal(made(pixels, {"flip": {"probability": 1}}, 400)(0), plain.flip(3))


@pytest.mark.parametrize("fill", ["reflect", "black"])
def test_a_crop_is_a_shift_and_every_shift_happens(fill: str) -> None:
    pixels = numbered(1, 6).repeat(600, 1, 1, 1)
    images = made(pixels, {"crop": {"padding": 2, "fill": fill}}, 600)(0)
    whole = to_model(pixels[:1])
    mode = {"mode": "reflect"} if fill == "reflect" else {"value": -1.0}
    padded = torch.nn.functional.pad(whole, (2,) * 4, **mode)[0]
    shifts = {(i, j): padded[:, i : i + 6, j : j + 6] for i in range(5) for j in range(5)}
    seen = [next(key for key, shift in shifts.items() if torch.equal(shift, image)) for image in images]
    assert set(seen) == set(shifts)


def test_the_recipe_says_it_and_a_resumed_run_draws_the_same(here: Path, run_zoo: Run) -> None:
    recipe = here / "tiny.yaml"
    recipe.write_text(TINY + "augment: [flip, {crop: {padding: 2}}]\n")
    assert run_zoo("build", recipe, "--out", "whole").code == 0
    assert run_zoo("build", recipe, "--out", "parts", "--set", "train.steps=2").code == 0
    assert run_zoo("build", recipe, "--out", "parts").code == 0
    assert Path("whole/model.safetensors").read_bytes() == Path("parts/model.safetensors").read_bytes()
    assert run_zoo("build", recipe, "--out", "plain", "--set", "augment=null").code == 0
    assert Path("whole/model.safetensors").read_bytes() != Path("plain/model.safetensors").read_bytes()


PLUGIN = """
from zoo import api

@api.hookimpl
def zoo_components():
    names = ("smaller", "blind", "greedy")
    return [api.Component("augmentation", name, f"my_augmentations:{name.title()}", "one") for name in names]

class Smaller:
    def forward(self, images): return images[:, :, 1:]

class Blind:
    def __init__(self, size, *, scale: float = 1.0): self.scale = scale / size
    def forward(self, images): return images * self.scale

class Greedy:
    def forward(self, images, posterior): return images
"""


@pytest.mark.usefixtures("here")
def test_a_wrong_one_is_told_with_its_place(run_zoo: Run) -> None:
    Path("my_augmentations.py").write_text(PLUGIN)
    Path("good.yaml").write_text(TINY + "augment: {blind: {scale: 8.0}}\n")
    assert run_zoo("check", "good.yaml", "--plugin", "my_augmentations.py").code == 0
    for line, sentence in {
        "augment: [flip, smaller]": "augmentation 'smaller' cannot be computed: it gives torch.float32 (2, 3, 7, 8), "
        "where the torch.float32 (2, 3, 8, 8) it was given is promised",
        "augment: {crop: {padding: 9}}": "'padding' is at least 1 and, with fill 'reflect', less than 8, not 9",
        "augment: [greedy]": "augmentation 'greedy' asks for 'posterior'; an augmentation is given 'images' and 'draw'",
        "augment: [flipp]": "there is no augmentation 'flipp'; did you mean 'flip'?",
        "augment: [flip, flip]": "two augmentations are called 'flip'",
        "augment: 3": "'augment' lists augmentations: names, or 'label: {use: NAME, ...}'",
    }.items():
        Path("bad.yaml").write_text(TINY + line + "\n")
        outcome = run_zoo("check", "bad.yaml", "--plugin", "my_augmentations.py")
        assert outcome.code == 2
        [error] = outcome.errors
        assert error.startswith("bad.yaml:7:"), error
        assert sentence in error


# -- stored larger than models see them ------------------------------------------------------------------------


def test_a_resized_crop_is_torchvisions() -> None:
    from torchvision.transforms.functional import resized_crop
    from zoo_augment.geometry import ResizedCrop

    images = torch.rand(16, 3, 24, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    crop = ResizedCrop(10, 12, scale=(0.1, 1.0), ratio=(0.5, 2.0))
    boxes = torch.stack(crop.boxes(images, draw(torch.arange(16)))).T.tolist()
    assert len({tuple(box) for box in boxes}) > 10
    assert max(box[3] for box in boxes) > 12 > min(box[3] for box in boxes)  # some are reduced
    expected = torch.stack(
        [resized_crop(i, *box, [10, 12], antialias=True) for i, box in zip(images, boxes, strict=True)]
    )
    torch.testing.assert_close(crop.forward(images, draw(torch.arange(16))), expected)
    masks = torch.randint(9, (16, 1, 24, 20), generator=torch.Generator().manual_seed(0))
    by_nearest = [
        torch.nn.functional.interpolate(m[None, :, t : t + h, a : a + w].double(), (10, 12), mode="nearest-exact")
        for m, (t, a, h, w) in zip(masks, boxes, strict=True)
    ]
    assert torch.equal(crop.forward(masks, draw(torch.arange(16))), torch.cat(by_nearest).long())
    volumes = images[:, :, None].repeat(1, 1, 2, 1, 1)
    torch.testing.assert_close(crop.forward(volumes, draw(torch.arange(16)))[:, :, 1], expected)


def test_parts_of_a_crop_are_as_large_as_the_options_say() -> None:
    from zoo_augment.geometry import ResizedCrop

    crop, images = ResizedCrop(8, 8, scale=(0.25, 0.5)), torch.empty(4000, 1, 200, 200)
    top, left, high, wide = (side.double() for side in crop.boxes(images, draw(torch.arange(4000))))
    share, ratio = high * wide / 200**2, wide / high
    assert (share.min() - 0.25).abs() < 0.01
    assert (share.max() - 0.5).abs() < 0.01
    assert (share.mean() - 0.375).abs() < 0.01
    assert (ratio.log().mean()).abs() < 0.01
    assert ratio.max() < 4 / 3 + 0.03
    assert (top + high).max() == 200
    assert ((top / (200 - high)).mean() - 0.5).abs() < 0.02
    assert torch.corrcoef(torch.stack([top / (200 - high), left / (200 - wide)]))[0, 1].abs() < 0.08
    for wrong in ({"scale": (0.5, 1.5)}, {"scale": (0.5, 0.2)}, {"ratio": (0.0, 1.0)}):
        with pytest.raises(ValueError, match=r"'scale' is \[low, high\] in \(0, 1\]"):
            ResizedCrop(8, 8, **wrong)
