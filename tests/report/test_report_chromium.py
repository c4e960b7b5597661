"""Pages as a reader's browser has them: nothing asked of anybody, everything drawn, readable wide and narrow."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import TINY
from helpers.chromium import BINARY, Chromium

from zoo.cli import main

MEGABYTES = 3.0
WINDOWS = [(width, dark) for width in (1400, 400) for dark in (False, True)]
TELLING = "Chromium is not installed; on Debian: apt install chromium"
NEEDED = bool(os.environ.get("ZOO_NEEDS_CHROMIUM"))
pytestmark = pytest.mark.skipif(not BINARY and not NEEDED, reason=TELLING)

LARGER = TINY.replace("size: 8, train: 64, test: 8", "size: 32, train: 64, test: 16").replace("steps: 3", "steps: 40")
"""As many images in the pictures as a usual run has, of the usual size, and lines long enough to be smoothed."""
BARE = """\
extends: gan
data: {use: digits, size: 8, test: 1}
latent: 1
evaluate: null
outputs: {sample: null}
slots: {generator: {width: 4}, critic: {width: 4}}
train: {steps: 1, batch: 2, ema: 0.0}
"""
PARTS = ["--data", "digits", "--set", "data.size=8", "--set", "data.test=20", "--set", "latent=4"]
PARTS += ["--set", "train.steps=1", "--set", "train.batch=4", "--set", "train.ema=0"]
PARTS += [word for slot in ("encoder", "decoder", "generator", "critic") for word in ("--set", f"slots.{slot}.width=4")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    assert BINARY, TELLING
    with Chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run with all there can be."""
    return built(tmp_path_factory.mktemp("run"), LARGER)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of one with hardly anything."""
    return built(tmp_path_factory.mktemp("bare"), BARE)


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a comparison."""
    folder = tmp_path_factory.mktemp("comparison")
    page = folder / "table.html"
    assert main(["compare", "gan", "avae", *PARTS, "--out", str(folder / "runs"), "--to", str(page)]) == 0
    return page


def built(folder: Path, text: str) -> Path:
    (folder / "recipe.yaml").write_text(text)
    assert main(["build", str(folder / "recipe.yaml"), "--out", str(folder / "run")]) == 0
    return folder / "run" / "report.html"


@pytest.mark.parametrize("name", ["run", "bare", "comparison"])
def test_a_page_is_whole_in_every_window(browser: Chromium, request: pytest.FixtureRequest, name: str) -> None:
    page, papers = request.getfixturevalue(name), set()
    for width, dark in WINDOWS:
        seen = browser.look(page, width=width, dark=dark)
        assert seen.console == []
        assert seen.requests == []
        assert (seen.state["blank"], seen.state["unnamed"]) == ([], 0)
        assert (seen.state["over"], seen.state["wide"]) == (0, []), f"at {width} px"
        papers.add((seen.state["paper"], seen.state["ink"]))
    assert len(papers) == 2, "light and dark look the same"


def test_a_run_shows_everything_there_is(browser: Chromium, run: Path) -> None:
    seen = browser.look(run, width=1400)
    titles = browser.run("[...document.querySelectorAll('h3')].map(e => e.textContent)")
    assert titles == [
        "Samples",
        "Reconstructions",
        "Interpolations",
        "Traversals",
        "Same code, other noise",
        "Nearest training images",
    ]
    assert seen.state["images"] == 1 + 6 + 1 + 4 + 1 + 4 + 5  # one for each labelled row; five frames of the film
    assert run.stat().st_size < MEGABYTES * 1e6


def test_a_run_without_samples_or_encoder_shows_what_is_left(browser: Chromium, bare: Path) -> None:
    assert browser.look(bare, width=400).state["images"] == 0
    sections = browser.run("[...document.querySelectorAll('h2')].map(e => e.textContent)")
    assert sections == ["Losses", "Who learns from what", "Recipe", "Versions"]


def test_pointing_at_a_step_shows_the_losses_there(browser: Chromium, run: Path) -> None:
    browser.look(run, width=1400)
    records = [json.loads(line) for line in (run.parent / "metrics.jsonl").read_text().splitlines()]
    value = "document.querySelector('.names [title=kl] b').textContent"
    last = browser.run(value)
    browser.run("document.querySelector('#losses .charts').scrollIntoView({behavior: 'instant'})")
    box = json.loads(browser.run("JSON.stringify(document.querySelector('#losses .band svg').getBoundingClientRect())"))
    browser.point(box["x"] + box["width"] * 10 / 40, box["y"] + box["height"] / 2)
    assert float(last) == pytest.approx(records[-1]["losses"]["encoder + decoder/kl"], rel=1e-3)
    assert float(browser.run(value)) == pytest.approx(records[9]["losses"]["encoder + decoder/kl"], rel=1e-3)
    assert browser.run("[...document.querySelectorAll('#losses .at')].map(e => e.textContent)") == ["10"] * 3
    browser.point(1, 1)
    assert browser.run(value) == last
    assert browser.run("[...document.querySelectorAll('.cursor, .at')].every(e => e.hidden)")


def test_the_browser_notices_what_these_tests_look_for(browser: Chromium, tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text(
        "<title>bad</title><link rel=icon href='data:,'><img src='http://127.0.0.1:9/x.png'>"
        "<script>console.warn('a')</script><div style='width:2000px'>wide</div>"
    )
    seen = browser.look(page, width=400)
    assert seen.requests == ["http://127.0.0.1:9/x.png"]
    assert len(seen.console) >= 2  # the warning, and the failed request
    assert (seen.state["blank"], seen.state["unnamed"]) == ([""], 1)
    assert seen.state["over"] > 1000
    assert seen.state["wide"]
