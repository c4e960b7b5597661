"""Does ``zoo score --why`` find what was done otherwise? ``python tests/scoring/planted.py [NAMES] [--images 2000]``.

Photographs of 288 x 256 px that were blurred and given noise, as an autoencoder might, beside others: their
``fd-lite0`` is measured as asked and with one step otherwise, and each pair of numbers is explained; the features
of the reference are known from the first. It prints what was named, and the seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
from helpers.sets import folder
from PIL import Image, ImageFilter
from zoo_data.photos import installed_photographs

import zoo
from zoo.machine.process import own_process

SIDE = (288, 256)
PLANTED: dict[str, tuple[Mapping[str, Any], int]] = {
    "antialias off": ({"antialias": False}, 0),
    "antialias off, library tensorflow": ({"library": "tensorflow", "antialias": False}, 0),
    "filter bicubic, library pillow": ({"library": "pillow", "filter": "bicubic"}, 0),
    "filter lanczos, library pillow": ({"library": "pillow", "filter": "lanczos"}, 0),
    "filter nearest, antialias off": ({"filter": "nearest", "antialias": False}, 0),
    "order BGR": ({"order": "BGR"}, 0),
    "scale unit": ({"scale": "unit"}, 0),
    "rounding down": ({"rounding": "down"}, 0),
    "crop square": ({"crop": "square"}, 0),
    "the first": ({}, 2),
}
"""How the change is called (of fewer images the start) -> it, and by what the number of images is divided."""


def main() -> int:
    """The number of those that were named rightly in two minutes is printed; 1 if it is not all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"choices: {', '.join(PLANTED)}")
    parser.add_argument("--images", type=int, default=2000)
    args = parser.parse_args()
    right = 0
    with own_process(), TemporaryDirectory() as root, patch.dict(os.environ, ZOO_CACHE=f"{root}/cache"):
        a, b = (cropped(Path(root) / name, args.images, seed, spoilt=name == "a") for seed, name in enumerate("ab"))
        how: dict[str, Any] = {"metrics": ["fd-lite0"]}
        base = zoo.score(a, b, **how)["fd-lite0"]["value"]
        for name in args.names or PLANTED:
            change, part = PLANTED[name]
            settings = {"change": change} if change else {}
            other = zoo.score(a, b, **how, settings=settings, n=args.images // part if part else 0)["fd-lite0"]["value"]
            seconds, cause = explained(a, b, f"{base:.8g}", f"{other:.8g}")
            found = str(cause).startswith(name) if part else cause == name
            right += found and seconds < 120
            print(
                f"{name}: {base:.2f} -> {other:.2f}; {'found' if found else f'MISSED: {cause}'}, {seconds:.0f} s",
                flush=True,
            )
    print(f"{right} of {len(args.names or PLANTED)}")
    return int(right < len(args.names or PLANTED))


def cropped(path: Path, n: int, seed: int, spoilt: bool) -> Path:
    """A folder of crops."""
    random = np.random.default_rng(seed)
    sources = [Image.open(one.path).convert("RGB") for one in installed_photographs()[0]]
    sources = [one for one in sources if one.width > SIDE[0] and one.height > SIDE[1]]
    images = []
    for _ in range(n):
        source = sources[random.integers(len(sources))]
        x, y = (random.integers(whole - part) for whole, part in zip(source.size, SIDE, strict=True))
        image = source.crop((x, y, x + SIDE[0], y + SIDE[1]))
        if spoilt:
            noise = random.normal(0, 4, (SIDE[1], SIDE[0], 3))
            image = Image.fromarray(
                (np.asarray(image.filter(ImageFilter.GaussianBlur(1))) + noise).clip(0, 255).astype(np.uint8)
            )
        images.append(np.asarray(image))
    return folder(path, np.stack(images))


def explained(a: Path, b: Path, *numbers: str) -> tuple[float, str | None]:
    """Seconds, and what the command names."""
    start = time.monotonic()
    command = [sys.executable, "-m", "zoo", "score", "--why", *numbers, a, b, "--metrics", "fd-lite0", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return time.monotonic() - start, json.loads(done.stdout)["cause"]


if __name__ == "__main__":
    raise SystemExit(main())
