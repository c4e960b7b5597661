"""Coloured shapes filled with textures, drawn as they are asked for: texture lies on no sheet of few dimensions."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from zoo import api
from zoo_data.decode import Square, View
from zoo_data.pack import noted, pack, pack_splits
from zoo_data.pixels import Size, check_common, sides_of
from zoo_data.read import read_plain
from zoo_data.sources import Items, Source

VERSION = 1
"""Of how sprites are drawn; another one is another entry of the cache."""

CHUNK = 250
"""Sprites that are drawn together, each chunk from a stream of its own."""

STRANDS = 12
"""Waves of nearly one direction whose sum is hair."""

KNOWN = ("x", "y", "radius", "hue", "ground_hue", "ground_light", "shape")
"""What the field ``factors`` has of each sprite: what can be seen of it in a small image."""

Bend = float | np.ndarray
Factors = dict[str, np.ndarray]
"""Name -> what it is of each sprite, (N,)."""


def sprites(
    *,
    size: Size = 32,
    channels: Literal[1, 3] = 3,
    train: int = 20000,
    test: int = 1000,
    ground: Literal["plain", "textured", "both"] = "both",
    textures: tuple[Literal["stripes", "checks", "dots", "waves", "hair", "grain"], ...] = (),
    seed: int = 0,
) -> api.Examples:
    """A shape of one of six kinds at a place, of a size, a turn and a colour, filled with one of six textures, on a
    ground that is plain or textured too. No two are alike: where a stripe, a hair or a grain lies is drawn anew.
    With each image come its ``shape`` and ``texture``, as labels, the ``mask`` of the shape, ``flat``, the same without
    textures, and ``factors``: x, y, radius, hue, hue and light of the ground, and shape.

    Sprites that differ in ``textures`` alone are of the same shapes, places and colours one by one: two domains, whose
    pairs are known.

    Args:
        size: image side in pixels, or [height, width]; textures need 16 or more to be seen.
        channels: 3, or 1 (luma).
        train: number of training images.
        test: number of test images; they are the same whatever ``train`` is.
        ground: what is behind the shape: ``plain``, ``textured``, or either with a probability of a half.
        textures: those that there are; none for all of them. Where their number does not divide six, the first ones are
            met more often.
        seed: which ones.

    Raises:
        ValueError: for a value outside its range.
        OSError: when the cache cannot be written.
    """
    check_common("sprites", size=size, channels=channels, seed=seed)
    for option, count in (("train", train), ("test", test)):
        if count < 1:
            raise ValueError(f"sprites: option '{option}' is {count}; choose at least 1 image.")
    drawings = (
        Sprites("train", train, size, channels, ground, seed, textures),
        Sprites("test", test, size, channels, ground, seed, textures),
    )
    sources = (_source(drawing) for drawing in drawings)
    return pack_splits(*sources, View(size, channels, "none"), workers=1, on_error="error")


sprites.read = read_plain


@dataclass(frozen=True)
class Sprites:
    """The sprites of a split, ``train`` or ``test``; every field changes some."""

    split: Literal["train", "test"]
    count: int
    size: Size
    channels: int
    ground: Literal["plain", "textured", "both"]
    seed: int
    textures: tuple[str, ...] = ()

    def drawn(self, start: int = 0) -> Iterator[np.ndarray]:
        """Each sprite from a position on, uint8 (C, H, W)."""
        return self._each(start, self._pixels)

    def flat(self, start: int = 0) -> Iterator[np.ndarray]:
        """The same without textures."""
        bare = dict.fromkeys(("texture", "ground_texture"), np.full(CHUNK, -1))
        return self._each(start, lambda known, rng: self._pixels({**known, **bare}, rng))

    def _pixels(self, known: Factors, rng: np.random.Generator) -> np.ndarray:
        images = rendered(known, self.size, rng)
        if self.channels == 1:
            images = images @ np.array([0.299, 0.587, 0.114])[:, None]  # BT.601
        return (images * 255 + 0.5).astype(np.uint8).transpose(0, 3, 1, 2)

    def masks(self, start: int = 0) -> Iterator[np.ndarray]:
        """Which pixels each sprite's shape covers half of at least, from a position on, uint8 (1, H, W)."""
        return self._each(start, lambda known, _: (covered(known, self.size) >= 0.5).astype(np.uint8)[:, None])

    def labels(self, factor: str) -> Tensor:
        """A factor that is a place in ``SHAPES`` or ``TEXTURES``, of each sprite, int64 (N,)."""
        return torch.from_numpy(np.stack([*self._each(0, lambda known, _: known[factor])]))

    def known(self) -> Tensor:
        """The factors of ``KNOWN`` of each sprite, float32 (N, 7)."""
        rows = self._each(0, lambda known, _: np.stack([known[name] for name in KNOWN], 1))
        return torch.from_numpy(np.stack([*rows])).float()

    def _each(self, start: int, of: Callable[[Factors, np.random.Generator], np.ndarray]) -> Iterator[np.ndarray]:
        for chunk in range(start // CHUNK, -(-self.count // CHUNK)):
            rng = np.random.default_rng((self.seed, ("train", "test").index(self.split), chunk))
            known = factors(CHUNK, self.ground, rng, self.textures)
            yield from of(known, rng)[max(start - chunk * CHUNK, 0) : self.count - chunk * CHUNK]


def factors(count: int, ground: str, rng: np.random.Generator, textures: tuple[str, ...] = ()) -> Factors:
    """What is known of some sprites: lengths in halves of the shorter side, angles in radians, the rest from 0 to 1.

    ``shape``, ``texture`` and ``ground_texture`` are places in ``SHAPES`` and ``TEXTURES``;
    ``ground_texture`` is -1 where the ground is plain.
    """
    plain = {"plain": 1.0, "textured": 0.0, "both": 0.5}[ground]
    kinds = np.array([list(TEXTURES).index(name) for name in textures or TEXTURES])
    kinds = np.resize(kinds, len(TEXTURES))  # as many numbers are drawn whatever there is to choose from
    grounds = kinds[rng.integers(len(TEXTURES), size=count)]
    return {
        "shape": rng.integers(len(SHAPES), size=count),
        "x": rng.uniform(-0.2, 0.2, count),
        "y": rng.uniform(-0.2, 0.2, count),
        "radius": rng.uniform(0.6, 0.85, count),
        "turn": rng.uniform(0, 2 * np.pi, count),
        "hue": rng.uniform(0, 1, count),
        "texture": kinds[rng.integers(len(TEXTURES), size=count)],
        "direction": rng.uniform(0, np.pi, count),
        "ground_hue": rng.uniform(0, 1, count),
        "ground_light": rng.uniform(0.25, 0.6, count),
        "ground_texture": np.where(rng.uniform(size=count) < plain, -1, grounds),
        "ground_direction": rng.uniform(0, np.pi, count),
    }


def rendered(known: Factors, size: Size, rng: np.random.Generator) -> np.ndarray:
    """Sprites of these factors, (N, H, W, 3) from 0 to 1; ``rng`` draws where the parts of textures lie."""
    x, y = places(size)
    inside = covered(known, size)[..., None]
    shapes = _colour(known["hue"], 0.75, 0.8) * (1 + 0.35 * _marks(known["texture"], known["direction"], x, y, rng))
    marks = _marks(known["ground_texture"], known["ground_direction"], x, y, rng)
    grounds = _colour(known["ground_hue"], 0.5, known["ground_light"]) * (1 + 0.35 * marks)
    return np.clip(inside * shapes + (1 - inside) * grounds, 0, 1)


def covered(known: Factors, size: Size) -> np.ndarray:
    """How much of each pixel lies inside the shape, (N, H, W) from 0 to 1: an edge is a pixel wide."""
    return np.clip(0.5 - _outside(known, *places(size)) * min(sides_of(size)) / 2, 0, 1)


def places(size: Size) -> tuple[np.ndarray, np.ndarray]:
    """x (1, 1, W) and y (1, H, 1) of the pixels' centres, from -1 to 1 along the shorter side."""
    short = min(sides_of(size))
    down, across = ((np.arange(side) + 0.5) / short * 2 - side / short for side in sides_of(size))
    return across[None, None, :], down[None, :, None]


def _colour(hue: np.ndarray, saturation: float, value: np.ndarray | float) -> np.ndarray:
    """(N, 1, 1, 3) of hue, saturation and value (Smith 1978)."""
    around = (np.array([5, 3, 1]) + hue[:, None] * 6) % 6
    share = np.clip(np.minimum(around, 4 - around), 0, 1)
    return (np.reshape(value, (-1, 1)) * (1 - saturation * share))[:, None, None]


def _outside(known: Factors, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How far each pixel is outside the shape, (N, H, W); negative inside."""
    sides = y.shape[1], x.shape[2]
    high, wide = (side / min(sides) for side in sides)
    distances = np.empty((len(known["x"]), *sides))
    for kind, distance in enumerate(SHAPES.values()):
        of = known["shape"] == kind
        right, down = x - _each(known["x"][of]) * wide, y - _each(known["y"][of]) * high
        cosine, sine, r = (_each(part[of]) for part in (np.cos(known["turn"]), np.sin(known["turn"]), known["radius"]))
        distances[of] = distance(cosine * right + sine * down, cosine * down - sine * right, r)
    return distances


def _marks(
    kinds: np.ndarray, directions: np.ndarray, x: np.ndarray, y: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Marks of textures from -1 to 1, (N, H, W, 1); 0 where the kind is none."""
    marks = np.zeros((len(kinds), y.shape[1], x.shape[2], 1))
    for kind, texture in enumerate(TEXTURES.values()):
        of = kinds == kind
        marks[of, :, :, 0] = texture(Waves(directions[of], x, y, rng))
    return marks


@dataclass(frozen=True)
class Waves:
    """Draws waves over N images, for textures to be made of."""

    directions: np.ndarray
    x: np.ndarray
    y: np.ndarray
    rng: np.random.Generator

    def wave(
        self, turn: float | np.ndarray = 0.0, least: float = 0.25, most: float = 0.4, bend: Bend = 0.0
    ) -> np.ndarray:
        """From -1 to 1, (N, H, W), turned away from each direction; a period is 4 to 6 pixels of 32 unless said."""
        count = len(self.directions)
        angles, periods = self.directions + turn, self.rng.uniform(least, most, count)
        along = self.x * _each(np.cos(angles)) + self.y * _each(np.sin(angles)) + bend
        return np.sin(along * _each(2 * np.pi / periods) + _each(self.rng.uniform(0, 2 * np.pi, count)))


def _hair(waves: Waves) -> np.ndarray:
    count = len(waves.directions)
    strands = (waves.wave(waves.rng.normal(0, 0.12, count), 0.14, 0.5) for _ in range(STRANDS))
    return np.clip(sum(strands) / np.sqrt(STRANDS / 2), -1, 1)


def _grain(waves: Waves) -> np.ndarray:
    shape = len(waves.directions), waves.y.shape[1], waves.x.shape[2]
    return np.clip(waves.rng.normal(0, 0.6, shape), -1, 1)


def _triangle(x: np.ndarray, y: np.ndarray, r: np.ndarray) -> np.ndarray:
    angles = np.pi / 2 + np.arange(3) * 2 * np.pi / 3
    return np.max([x * np.cos(a) + y * np.sin(a) for a in angles], axis=0) - 0.5 * r


SHAPES: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "circle": lambda x, y, r: np.hypot(x, y) - 0.85 * r,
    "square": lambda x, y, r: np.maximum(abs(x), abs(y)) - 0.75 * r,
    "triangle": _triangle,
    "star": lambda x, y, r: np.hypot(x, y) - r * (0.7 + 0.3 * np.cos(5 * np.arctan2(y, x))),
    "ring": lambda x, y, r: abs(np.hypot(x, y) - 0.68 * r) - 0.24 * r,
    "cross": lambda x, y, r: np.maximum(np.minimum(abs(x), abs(y)) - 0.28 * r, np.maximum(abs(x), abs(y)) - 0.9 * r),
}
"""How far a point is outside a shape of radius r that is not turned, in the middle."""

TEXTURES: dict[str, Callable[[Waves], np.ndarray]] = {
    "stripes": lambda waves: np.tanh(3 * waves.wave()),
    "checks": lambda waves: np.tanh(4 * waves.wave() * waves.wave(np.pi / 2)),
    "dots": lambda waves: np.tanh(4 * (waves.wave() + waves.wave(np.pi / 2) - 0.9)),
    "waves": lambda waves: np.tanh(3 * waves.wave(bend=0.12 * waves.wave(np.pi / 2, 0.9, 0.9))),
    "hair": _hair,
    "grain": _grain,
}


def _each(values: np.ndarray) -> np.ndarray:
    """(N,) -> (N, 1, 1)."""
    return values[:, None, None]


def _source(drawing: Sprites) -> Source:
    def source(split: str, drawn: Callable[[int], Iterator[np.ndarray]], **fields: Callable[..., Tensor]) -> Source:
        def items(start: int) -> Items:
            return ((f"sprite {index}", Square(one)) for index, one in enumerate(drawn(start), start))

        return Source("sprites", split, drawing.count, items, [VERSION, asdict(drawing)], "sprites", fields)

    masks, flat = source(f"{drawing.split}-masks", drawing.masks), source(f"{drawing.split}-flat", drawing.flat)
    return source(
        drawing.split,
        drawing.drawn,
        shape=lambda _: drawing.labels("shape"),
        texture=lambda _: drawing.labels("texture"),
        factors=lambda _: drawing.known(),
        mask=lambda _: noted(pack(masks, View(drawing.size, 1, "none"), 1))[:, 0],
        flat=lambda _: noted(pack(flat, View(drawing.size, drawing.channels, "none"), 1)),
    )
