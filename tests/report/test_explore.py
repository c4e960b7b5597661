"""``zoo explore``: a page on which a slider moves an image, as a browser sees it, and what its parts make."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from helpers.chromium import BINARY, Chromium
from PIL import Image

import zoo
from zoo.errors import RequestError
from zoo.report.explore import SLIDERS, Explored, launch, page
from zoo.types import to_pixels

SMALL = {"data": {"use": "sprites", "size": 16, "train": 32, "test": 16}, "latent": 12, "train.batch": 4}
TELLING = "there is no Chromium to look with"
MOVE = """(() => {
  const slider = [...document.querySelectorAll("input[type=range]")].filter(e => e.max == "3")[0];
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(slider, "3");
  for (const kind of ["input", "change", "pointerup"]) slider.dispatchEvent(new Event(kind, {bubbles: true}));
})()"""
SHOWN = "[...document.querySelectorAll('img')].map(i => i.src).filter(s => s.includes('/file=')).join()"


def model(name: str, **more: Any) -> Any:
    widths = {f"slots.{slot}.width": 4 for slot in zoo.build(name, overrides=SMALL).recipe.slots if slot != "prior"}
    return zoo.build(name, overrides={**SMALL, **widths, **more})


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"))


def enlarged(images: torch.Tensor) -> np.ndarray:
    """An image of 16 px as it is shown: each pixel 16 times as large."""
    return to_pixels(images)[0].permute(1, 2, 0).numpy().repeat(16, 0).repeat(16, 1)


@pytest.fixture(scope="module")
def avae() -> Explored:
    return Explored.of(model("avae", noise=3))


def test_sliders_are_of_the_numbers_that_vary_most(avae: Explored) -> None:
    variance = [of for _, of in avae.units]
    assert len(variance) == SLIDERS
    assert variance == sorted(variance, reverse=True)
    assert len({unit for unit, _ in avae.units}) == SLIDERS


def test_an_image_is_that_of_its_seed_code_and_noise(avae: Explored) -> None:
    still, unit = [0.0] * SLIDERS, avae.units[1][0]
    z, noise = avae.model.compute("z", "noise", batch=1, seed=5)
    assert (pixels(avae.sample(5, 1.0, still, {})) == enlarged(avae.model.sample(1, seed=5))).all()
    z[:, unit] += 1.5
    moved = avae.sample(5, 0.5, [0.0, 1.5, *still[2:]], {})
    assert (pixels(moved) == enlarged(avae.model.sample(z=z, noise=0.5 * noise))).all()


def test_a_picture_goes_through_every_output(avae: Explored) -> None:
    made = avae.again(Image.new("RGB", (40, 40), (200, 10, 10)))
    assert [name for _, name in made] == ["original", "decoded", "reconstruction"]
    assert tuple(pixels(made[0][0])[0, 0]) == (200, 10, 10)
    path = avae.path(Image.new("RGB", (16, 16), "red"), Image.new("RGB", (16, 16), "blue"), 0)
    assert tuple(pixels(path)[0, 0]) == (255, 0, 0)
    assert tuple(pixels(path)[0, -1]) == (0, 0, 255)


def test_a_class_is_given_by_name() -> None:
    data = {"use": "digits"}
    digits = {"data": data, "data.size": 16, "latent": 5, "train.batch": 4}
    built = zoo.build("cvae", overrides={**digits, "slots.encoder.width": 4, "slots.decoder.width": 4})
    explored = Explored.of(built)
    assert explored.labels == {"label": [str(digit) for digit in range(10)]}
    assert not explored.reads  # it needs a class beside an image
    three, four = (explored.sample(0, 1.0, [], {"label": name}) for name in ("3", "4"))
    assert (pixels(three) != pixels(four)).any()
    assert pixels(explored.sample(0, 1.0, [], {"colour": "red", "label": "3"})).tolist() == pixels(three).tolist()


def test_codes_are_moved_without_the_run_s_data(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(_: Any) -> None:
        raise RequestError("the data is elsewhere")

    monkeypatch.setattr("zoo.report.explore.load_images", lost)
    assert [unit for unit, _ in Explored.of(model("vae")).units] == list(range(SLIDERS))


def test_a_port_that_is_taken_and_a_library_that_is_absent_are_sentences(
    monkeypatch: pytest.MonkeyPatch, avae: Explored
) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(RequestError, match=r"pip install 'generative-zoo\[explore\]'"):
        page({"avae": avae.model})

    def launched(**chosen: Any) -> None:
        raise OSError(f"no free port in {chosen['server_port']}")

    monkeypatch.setattr("zoo.report.explore.page", lambda _: SimpleNamespace(launch=launched))
    with pytest.raises(RequestError, match=r"port 7860 of 127.0.0.1 cannot be had; --port 0"):
        launch({"avae": avae.model}, "127.0.0.1", 7860)


@pytest.mark.skipif(not BINARY and not os.environ.get("ZOO_NEEDS_CHROMIUM"), reason=TELLING)
@pytest.mark.parametrize(("runs", "width"), [(["one"], 400), (["one", "other"], 1400)])
def test_a_slider_moves_the_image_in_a_browser(runs: list[str], width: int, avae: Explored, here: Path) -> None:
    assert BINARY, TELLING
    for name in runs:
        zoo.save(avae.model, here / name)
    command = [sys.executable, "-m", "zoo", "explore", *runs, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as served, Chromium() as browser:
        try:
            address, *said = served.stdout.readline().split()
            assert " ".join(said) == f"shows {', '.join(runs)}; Ctrl-C ends it"
            assert address.startswith("http://127.0.0.1:")
            size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
            browser.call("Emulation.setDeviceMetricsOverride", **size)
            browser.call("Page.navigate", url=address)
            before = until(lambda: browser.run(SHOWN))
            assert before.count("/file=") == len(runs)
            assert browser.run("document.documentElement.scrollWidth - innerWidth") <= 0
            browser.run(MOVE)
            assert until(lambda: browser.run(SHOWN) != before)
        finally:
            served.kill()


def until(asked: Any, seconds: float = 60.0) -> Any:
    """What is asked, once it is something."""
    end = time.monotonic() + seconds
    while not (found := asked()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)
    return found
