"""The digits that scikit-learn ships (Alpaydin & Kaynak 1998, in the UCI repository)."""

import gzip
import hashlib
import zlib
from typing import Literal

import numpy as np
import torch

from zoo import api
from zoo_data.decode import View
from zoo_data.files import installed
from zoo_data.pack import pack
from zoo_data.pixels import Size, check_common
from zoo_data.read import read_plain
from zoo_data.sources import Items, Source

FILE = "datasets/data/digits.csv.gz"
"""In scikit-learn, whose import would take a second: a line for each digit, 64 pixels and its label."""

COUNT = 1797
SIDE = 8

WHITE = 16
"""The brightest value in the set: each pixel counts the inked points of a 4 x 4 block."""

CURE = "reinstall scikit-learn from its wheel"


def digits(*, size: Size = 32, channels: Literal[1, 3] = 1, test: int = 297, seed: int = 0) -> api.Examples:
    """All 1,797 digits, light ink on black, resized from 8 x 8 (bicubic; smaller sizes are antialiased), and a label.

    Args:
        size: image side in pixels, or [height, width].
        channels: 1, or 3 equal ones.
        test: how many digits, drawn at random, are held out; the others are for training.
        seed: which ones are held out.

    Raises:
        ValueError: for a value outside its range.
        OSError: when scikit-learn's file is missing or cannot be read; when the cache cannot be written.
    """
    check_common("digits", size=size, channels=channels, seed=seed)
    if not 1 <= test < COUNT:
        raise ValueError(f"digits: option 'test' is {test}; choose from 1 to {COUNT - 1} held-out digits.")
    content = _content()
    packed = pack(_source(content, seed), View(size, channels, "none"), workers=1)
    labels = torch.from_numpy(_rows(content)[_order(seed), -1])
    fields = {"label": (labels[test:], labels[:test])}
    return api.Examples(packed.pixels[test:], packed.pixels[:test], packed.notes, fields)


digits.read = read_plain


def _content() -> bytes:
    """Reads scikit-learn's file."""
    path = installed("sklearn", FILE)
    if path is None:
        raise FileNotFoundError(f"digits: sklearn/{FILE} is not installed; {CURE}.")
    try:
        return path.read_bytes()
    except OSError as error:
        raise OSError(f"digits: {path} cannot be read ({error.strerror}); {CURE}.") from None


def _source(content: bytes, seed: int) -> Source:
    """All digits, in the order of the seed: those held out come first."""

    def items(start: int) -> Items:
        blocks = _rows(content)[:, :-1].reshape(COUNT, SIDE, SIDE)
        for which in _order(seed)[start:]:
            yield f"digit {which}", np.rint(blocks[which] * (255 / WHITE)).astype(np.uint8)

    identity = [hashlib.blake2b(content).hexdigest(), seed]
    return Source("digits", "all", COUNT, items, identity, "digits in scikit-learn")


def _order(seed: int) -> np.ndarray:
    """Which digit comes first, and so on."""
    return np.random.default_rng(seed).permutation(COUNT)


def _rows(content: bytes) -> np.ndarray:
    """uint8 (1797, 65): 64 pixels of 0 to 16 and the label."""
    try:
        rows = np.loadtxt(gzip.decompress(content).decode().splitlines(), np.uint8, delimiter=",")
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise ValueError(f"digits: scikit-learn's {FILE} is damaged ({error}); {CURE}.") from None
    if rows.shape != (COUNT, SIDE**2 + 1):
        raise ValueError(f"digits: scikit-learn's {FILE} holds a table {rows.shape}, not 1,797 x 65; {CURE}.")
    return rows
