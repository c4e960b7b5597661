"""Images written by hand, beside what a viewer shows of them: no library stands between a test and its bytes."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
"""Colour type of PNG -> bits of a sample (PNG 1.2, table 11.1)."""
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
"""First row and column, steps down and across, of each pass of an interlaced PNG."""


@dataclass(frozen=True)
class Png:
    """A PNG to be written.

    Args:
        colour: its colour type: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGB and alpha.
        depth: bits of a sample.
        interlaced: in seven passes.
        clear: whether one value is transparent (``tRNS``); in a palette, each entry to a degree.
        side: of the square.
        seed: of its samples.
    """

    colour: int
    depth: int
    interlaced: bool
    clear: bool
    side: int
    seed: int

    @property
    def samples(self) -> np.ndarray:
        """(side, side, samples), below 2^depth."""
        top = min(1 << self.depth, len(self.palette)) if self.colour == 3 else 1 << self.depth
        shape = (self.side, self.side, SAMPLES[self.colour])
        return np.random.default_rng(self.seed).integers(0, top, shape, np.int64)

    @property
    def palette(self) -> np.ndarray:
        """Red, green, blue and alpha of each entry."""
        return np.random.default_rng(self.seed + 1).integers(0, 256, (min(1 << self.depth, 20), 4), np.int64)

    @property
    def key(self) -> np.ndarray:
        """The transparent value: that of the first pixel."""
        return self.samples[0, 0]

    def shown(self) -> np.ndarray:
        """What a viewer shows on white: (3, side, side), 0 to 255, not rounded."""
        values = self.samples
        if self.colour == 3:
            entries = self.palette[values[..., 0]].astype(float)
            colours, alpha = entries[..., :3], entries[..., 3:] / 255 if self.clear else 1.0
        else:
            scaled = values * (255 / ((1 << self.depth) - 1))
            has_alpha = self.colour in {4, 6}
            colours = np.broadcast_to(
                scaled[..., : -1 if has_alpha else None], (self.side, self.side, 3 if self.colour in {2, 6} else 1)
            )
            alpha = scaled[..., -1:] / 255 if has_alpha else 1.0
            if self.clear and not has_alpha:
                alpha = (values != self.key).any(-1, keepdims=True).astype(float)
        shown = np.broadcast_to(colours * alpha + 255 * (1 - alpha), (self.side, self.side, 3))
        return shown.transpose(2, 0, 1)

    def write(self) -> bytes:
        """The file."""
        head = struct.pack(">IIBBBBB", self.side, self.side, self.depth, self.colour, 0, 0, self.interlaced)
        chunks = [(b"IHDR", head)]
        if self.colour == 3:
            chunks.append((b"PLTE", self.palette[:, :3].astype(np.uint8).tobytes()))
        if self.clear and self.colour in {0, 2}:
            chunks.append((b"tRNS", self.key.astype(">u2").tobytes()))
        elif self.clear and self.colour == 3:
            chunks.append((b"tRNS", self.palette[:, 3].astype(np.uint8).tobytes()))
        passes = ADAM7 if self.interlaced else ((0, 0, 1, 1),)
        rows = b"".join(self._rows(self.samples[top::down, left::across]) for top, left, down, across in passes)
        chunks += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
        return SIGNATURE + b"".join(png_chunk(*chunk) for chunk in chunks)

    def _rows(self, samples: np.ndarray) -> bytes:
        """Unfiltered; rows of no pixels are not written."""
        if not samples.size:
            return b""
        flat = samples.reshape(len(samples), -1)
        if self.depth == 16:
            packed = flat.astype(">u2").view(np.uint8)
        elif self.depth == 8:
            packed = flat.astype(np.uint8)
        else:
            bits = flat[..., None] >> np.arange(self.depth)[::-1] & 1
            packed = np.packbits(bits.reshape(len(flat), -1).astype(np.uint8), axis=1)
        return np.pad(packed, ((0, 0), (1, 0))).tobytes()


def png_chunk(name: bytes, content: bytes) -> bytes:
    """One chunk with its checksum."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says how large it is and ends early."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        SIGNATURE + png_chunk(b"IHDR", head) + png_chunk(b"IDAT", zlib.compress(bytes(1000))) + png_chunk(b"IEND", b"")
    )


def as_stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    """How a camera stores an upright picture (H, W, ...) under an EXIF orientation (EXIF 2.32, 4.6.4 A).

    The orientation says where row 0 and column 0 of what is stored lie in the picture: 1 top left, 2 top right,
    3 bottom right, 4 bottom left, 5 left top, 6 right top, 7 right bottom, 8 left bottom.
    """
    if orientation >= 5:  # rows run along the picture's columns
        upright = upright.swapaxes(0, 1)
        flips = {5: (), 6: (0,), 7: (0, 1), 8: (1,)}[orientation]
    else:
        flips = {1: (), 2: (1,), 3: (0, 1), 4: (0,)}[orientation]
    return np.flip(upright, flips) if flips else upright
