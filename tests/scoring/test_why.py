"""``--why`` names the change that was made, whichever it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zoo_metrics.inception
from conftest import Run
from helpers.inception import saved, small
from helpers.sets import folder, pixels

import zoo
from zoo.errors import RequestError
from zoo.scoring import screen, why
from zoo.scoring.why import target

N = 8


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two sets that are not square, and the small network in Inception's place."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("why")
    for name, seed, tint in (("a", 0, 0.2), ("b", 1, 0.0)):
        images = pixels(N, seed, 340, tint=tint)[:, :320].astype(int)
        noise = np.random.default_rng(seed).integers(-40, 41, images.shape)
        folder(root / name, (images + noise).clip(0, 255).astype(np.uint8))
    saved(root / "small.pth")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zoo_metrics.inception, "network", small)
        patch.setattr(screen, "ROUNDS", (4, 5))
        patch.setattr(screen, "ALIKE", 2)
        yield root
    torch.set_num_threads(threads)


PLANTED: dict[str, tuple[str, dict[str, Any], str]] = {
    "a filter": ("clean-fid", {"filter": "bilinear"}, "filter bilinear"),
    "a missing antialias": ("clean-fid", {"library": "torch", "antialias": False}, "antialias off, library torch"),
    "an antialias": ("torch-fidelity", {"library": "torch", "antialias": True}, "antialias on, library torch"),
    "BGR": ("torch-fidelity", {"order": "BGR"}, "order BGR"),
    "[0, 1] for [-1, 1]": ("torch-fidelity", {"scale": "unit"}, "scale unit"),
    "uint8 rounding": ("clean-fid", {"rounding": "nearest"}, "rounding nearest"),
    "n for n - 1": ("torch-fidelity", {"covariance": "n"}, "covariance n"),
    "a crop": ("torch-fidelity", {"crop": "square"}, "crop square"),
    "another program's resize": ("torch-fidelity", {"library": "pillow", "filter": "bicubic", "antialias": True},
                                 "filter bicubic, antialias on, library pillow"),
    "half of the images": ("torch-fidelity", {}, "the first 4 images of A"),
}  # fmt: skip
"""What was done otherwise -> the protocol, how, and what it is called."""


@pytest.mark.parametrize("planted", PLANTED)
def test_it_names_what_was_done(planted: str, root: Path, run_zoo: Run) -> None:
    protocol, change, said = PLANTED[planted]
    settings = {"pretrained": str(root / "small.pth")}
    how: dict[str, Any] = {"metrics": ["fid"], "protocol": protocol}
    base = zoo.score(root / "a", root / "b", **how, settings=settings)["fid"]["value"]
    n = 0 if change else N // 2
    other = zoo.score(root / "a", root / "b", **how, settings={**settings, "change": change or None}, n=n)["fid"][
        "value"
    ]
    numbers = [f"{base:.8g}", f"{other:.8g}"]
    options = ["--metrics", "fid", "--protocol", protocol, "--set", f"pretrained={root / 'small.pth'}", "--json"]
    done = run_zoo("score", "--why", *numbers, root / "a", root / "b", *options)
    assert done.code == 0
    found = json.loads(done.out)
    twins = {said, said.replace("library torch", "library pillow")}  # antialiased, both are the same resize
    assert found["cause"] in (twins if change.get("antialias") else {said})
    assert found["base"] == pytest.approx(base, rel=1e-6)
    cause = next(v for v in found["tried"] if v["change"] == found["cause"])
    assert cause["all_images"]
    assert cause["value"] == pytest.approx(other, rel=1e-5)


def test_it_says_so_where_nothing_explains_it(root: Path, run_zoo: Run) -> None:
    options = ["--metrics", "fid", "--set", f"pretrained={root / 'small.pth'}"]
    done = run_zoo("score", "--why", "0.5", "123.4", root / "a", root / "b", *options)
    assert done.code == 1
    assert "123.4 is what no single change here makes of it" in done.out
    assert "filter bicubic, antialias on, library pillow" in done.out
    assert "about" not in done.out
    assert "as filter bicubic, antialias on, library pillow" in done.out  # torch's resize makes the same features


def test_what_is_tried_on_a_few_images_is_near(root: Path, run_zoo: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no time to measure more, numbers are said to be about."""
    monkeypatch.setattr(why, "PATIENCE", -1.0)
    options = ["--metrics", "fid", "--set", f"pretrained={root / 'small.pth'}", "--json"]
    found = json.loads(run_zoo("score", "--why", "0.5", "123.4", root / "a", root / "b", *options).out)
    about = {v["change"]: v["value"] for v in found["tried"] if not v["all_images"]}
    assert len(about) > 10
    settings = {"pretrained": str(root / "small.pth"), "change": {"rounding": "down"}}
    true = zoo.score(root / "a", root / "b", metrics=["fid"], settings=settings)["fid"]["value"]
    assert about["rounding down"] == pytest.approx(true, rel=0.15)


@pytest.mark.usefixtures("here")
def test_two_passports(root: Path, here: Path, run_zoo: Run) -> None:
    options = ["--metrics", "fid", "--set", f"pretrained={root / 'small.pth'}"]
    for name, protocol in (("x", "torch-fidelity"), ("y", "stylegan")):
        done = run_zoo("score", root / "a", root / "b", *options, "--protocol", protocol, "--to", here / f"{name}.json")
        assert done.code == 0
    done = run_zoo("score", "--why", here / "x.json", f"{here}/y.json#fid", "--set", f"pretrained={root / 'small.pth'}")
    assert done.code == 0
    assert "how.covariance: n - 1 in one, n in the other" in done.out
    assert "is what it is with: covariance n" in done.out or "is what it is with: protocol stylegan" in done.out


def test_two_numbers_that_are_one(root: Path, here: Path, run_zoo: Run) -> None:
    options = ["--metrics", "fid", "--set", f"pretrained={root / 'small.pth'}"]
    assert run_zoo("score", root / "a", root / "b", *options, "--to", here / "x.json").code == 0
    done = run_zoo("score", "--why", here / "x.json", here / "x.json", "--set", f"pretrained={root / 'small.pth'}")
    assert done.code == 0
    assert "as asked, and so is the other number" in done.out


def test_what_is_no_number(here: Path) -> None:
    (here / "list.json").write_text("[]")
    (here / "empty.json").write_text("{}")
    for text in ("list.json", "empty.json", "absent.json", "zero"):
        with pytest.raises(RequestError, match=f"--why {text}: is neither a number nor a file that zoo score --to"):
            target(text)
    assert (target("1.90").within, target("0.5").within, target("3").within) == (0.005, 0.05, 0.5)
