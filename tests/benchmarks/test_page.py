"""The page that a measured run writes: what was measured is in its place, what was not stays as it was."""

from __future__ import annotations

import pytest

from .report import NO_GPU, pairs, use, written

PAGE = """# Page
<!-- table: cpu machine -->
an old one
<!-- end -->
## On a GPU
<!-- table: gpu machine -->
<!-- end -->
<!-- table: gpu use -->
<!-- end -->
"""
RATIO = {"group": "a / b", "name": "vae", "value": 0.5, "unit": "", "aim": None, "most": None, "verdict": "told"}
USE = {
    "group": "32 px, batch 64",
    "name": "vae",
    "milliseconds": 0.5,
    "images_a_second": 128_000.0,
    "of_nominal": None,
    "of_matmul": 0.31,
    "least": 0.25,
    "of_floor": 0.4,
    "bound": "products",
    "host": 0.2,
    "verdict": "met",
}


def test_where_no_gpu_was_at_hand_the_page_says_so_once():
    page = written(PAGE, "cpu", {"machine": "a CPU", "use": ""})
    assert "an old one" not in page
    assert written(page, "cpu", {"machine": "a CPU"}) == page
    assert page.count(NO_GPU) == page.count("a CPU") == 1


@pytest.mark.parametrize("first", [PAGE, written(PAGE, "cpu", {})], ids=["empty", "untold"])
def test_a_gpu_takes_the_place_of_that_sentence(first):
    page = written(first, "gpu", {"machine": "an H200", "use": use([USE]), "paired": ""})
    assert NO_GPU not in page
    assert "an old one" in page
    assert "### Of what the device can do\n\n| images |" in page
    assert "| 0.5 | 128,000 |  | 31.0 % | 25.0 % | 40.0 % (products) | 20.0 % | met |" in page
    assert written(page, "cpu", {}) == page


def test_a_ratio_without_a_limit():
    assert "| a / b | vae | 0.500 |  |  |  |  | told |" in pairs([RATIO])
