"""``sprites``: what is drawn is what its factors say, and is the same wherever one begins."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import torch
from zoo_data import fields
from zoo_data.sprites import CHUNK, KNOWN, SHAPES, TEXTURES, Sprites, factors, rendered, sprites

SIZE = 64


@pytest.fixture(autouse=True)
def _kept(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))


def stream(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def drawn(count: int = 20, **fixed: float) -> np.ndarray:
    """Sprites in the middle of a plain black ground, some factors given; (N, S, S, 3)."""
    known = factors(count, "plain", stream())
    centred = {"x": 0.0, "y": 0.0, "ground_light": 0.0, **fixed}
    return rendered(
        {
            name: np.full_like(values, centred.get(name, 0)) if name in centred else values
            for name, values in known.items()
        },
        SIZE,
        stream(1),
    )


AREAS = {
    "circle": np.pi * 0.85**2,
    "square": 1.5**2,
    "triangle": 3 * np.sqrt(3) * 0.5**2,
    "star": np.pi * (0.7**2 + 0.3**2 / 2),
    "ring": 4 * np.pi * 0.68 * 0.24,
    "cross": 4 * 0.28 * (2 * 0.9 - 0.28),
}
"""Of shapes of radius 1."""


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_has_its_area_whichever_way_it_is_turned(shape: str) -> None:
    images = drawn(shape=[*SHAPES].index(shape), radius=0.8, texture=[*TEXTURES].index("stripes"))
    share = (images.max(-1) > 1e-6).mean((1, 2))  # of the square of side 2; edges are counted whole
    edge = 1.5 * 2 / SIZE * 0.8 * 6
    assert np.all(abs(share * 4 - 0.8**2 * AREAS[shape]) < edge)
    assert np.ptp(share) < 0.05


def test_colours_are_those_of_hue_saturation_and_value() -> None:
    """Where nothing is marked the ground is plain: its colour is that of the standard library."""
    known = factors(50, "plain", stream())
    corners = rendered(known, SIZE, stream())[:, 0, 0]
    lights = zip(known["ground_hue"], known["ground_light"], strict=True)
    np.testing.assert_allclose(corners, [colorsys.hsv_to_rgb(hue, 0.5, light) for hue, light in lights])


@pytest.mark.parametrize("texture", TEXTURES)
def test_a_texture_is_drawn_anew_each_time_and_marks_its_shape(texture: str) -> None:
    known = factors(40, "textured", stream()) | {"ground_texture": np.full(40, [*TEXTURES].index(texture))}
    one, other = (rendered(known, SIZE, stream(seed))[:, :6].mean(-1) for seed in (1, 2))
    light = one / one.mean((1, 2), keepdims=True)
    assert 0.05 < light.std() < 0.4
    marks = [part - part.mean((1, 2), keepdims=True) for part in (one, other)]
    assert abs(np.corrcoef(marks[0].ravel(), marks[1].ravel())[0, 1]) < 0.2


def test_a_sprite_is_the_same_wherever_one_begins() -> None:
    every = list(Sprites("train", CHUNK + 20, 16, 3, "both", 0).drawn())
    assert len(every) == CHUNK + 20
    for start in (0, 7, CHUNK - 1, CHUNK, CHUNK + 19):
        rest = list(Sprites("train", CHUNK + 20, 16, 3, "both", 0).drawn(start))
        assert np.array_equal(rest, every[start:])


def test_splits_and_seeds_are_others_and_counts_are_not() -> None:
    few, more, other = (sprites(size=16, train=train, test=5, seed=seed) for train, seed in ((8, 0), (12, 0), (8, 1)))
    assert torch.equal(few.train, more.train[:8])
    assert torch.equal(few.test, more.test)
    assert not torch.equal(few.train[:5], few.test)
    assert not torch.equal(few.train, other.train)
    assert few.train.shape == (8, 3, 16, 16)


def test_fields_are_the_factors_that_a_sprite_was_drawn_by() -> None:
    given = sprites(size=SIZE, train=CHUNK + 10, test=5, ground="plain", seed=2)
    first, then = (factors(CHUNK, "plain", np.random.default_rng((2, 0, chunk))) for chunk in (0, 1))
    for name in ("shape", "texture"):
        assert given.fields[name][0].tolist() == [*first[name], *then[name][:10]]
    for place, name in enumerate(KNOWN):
        expected = np.float32([*first[name], *then[name][:10]])
        assert given.fields["factors"][0][:, place].tolist() == expected.tolist()
    assert (tuple(SHAPES), tuple(TEXTURES)) == (fields.SHAPES, fields.TEXTURES)


def test_a_mask_is_where_the_ground_is_not() -> None:
    """A plain ground has one colour, its corner's; what is another one is the shape, or its edge, a pixel wide."""
    given = sprites(size=SIZE, train=60, test=5, ground="plain")
    images, masks = given.train.int(), given.fields["mask"][0]
    other = (images - images[:, :, :1, :1]).abs().amax(1) > 0
    assert (masks.dtype, masks.shape) == (torch.uint8, (60, SIZE, SIZE))
    assert not (masks.bool() & ~other).any()
    edge = (other & ~masks.bool()).sum((1, 2)).float()
    assert (edge < 0.25 * other.sum((1, 2))).all()
    inside = (given.fields["shape"][0] == [*SHAPES].index("circle")).nonzero().flatten()
    radii = factors(CHUNK, "plain", np.random.default_rng((0, 0, 0)))["radius"]
    for one in inside.tolist():
        assert masks[one].sum().item() == pytest.approx(AREAS["circle"] * (radii[one] * SIZE / 2) ** 2, rel=0.02)


def test_a_flat_sprite_has_the_colours_of_its_factors() -> None:
    """Two colours, by hand, and between them an edge a pixel wide."""
    given = sprites(size=SIZE, train=20, test=5, ground="textured")
    known, flat = factors(CHUNK, "textured", np.random.default_rng((0, 0, 0))), given.fields["flat"][0]
    for one in range(20):
        shape = 255 * np.array(colorsys.hsv_to_rgb(known["hue"][one], 0.75, 0.8))
        ground = 255 * np.array(colorsys.hsv_to_rgb(known["ground_hue"][one], 0.5, known["ground_light"][one]))
        pixels = flat[one].permute(1, 2, 0).reshape(-1, 3).numpy()
        far = [np.abs(pixels - colour).max(1) > 0.51 for colour in (shape, ground)]
        between = (far[0] & far[1]).mean()
        assert 0 < between < 0.2
        assert np.abs(pixels[far[1]] - shape).max(1).min() < 0.51
        assert not np.array_equal(flat[one], given.train[one])


def test_sprites_of_other_textures_are_the_same_but_for_these() -> None:
    stripes, dots = (sprites(size=16, train=12, test=5, textures=(name,)) for name in ("stripes", "dots"))
    for name in ("shape", "mask", "flat"):
        assert torch.equal(stripes.fields[name][0], dots.fields[name][0])
    assert (stripes.train != dots.train).flatten(1).any(1).all()
    labels = [set(one.fields["texture"][0].tolist()) for one in (stripes, dots)]
    assert labels == [{[*TEXTURES].index("stripes")}, {[*TEXTURES].index("dots")}]


def test_in_grey_it_is_the_luma() -> None:
    colour, grey = (sprites(size=16, channels=channels, train=4, test=1) for channels in (3, 1))
    luma = (colour.train.float() * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    assert (luma - grey.train.float()).abs().max() < 1.2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"train": 0}, "'train' is 0; choose at least 1 image"),
        ({"test": 0}, "'test'"),
    ],
)
def test_what_is_refused(options: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        sprites(**options)
