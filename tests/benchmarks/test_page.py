"""The page that a measured run writes: what was measured is in its place, what was not stays as it was."""

from __future__ import annotations

from .report import pairs, written

PAGE = """# Page
<!-- table: cpu machine -->
an old one
<!-- end -->
## On a GPU
<!-- table: gpu machine -->
none
<!-- end -->
"""
RATIO = {"group": "a / b", "name": "vae", "value": 0.5, "unit": "", "aim": None, "most": None, "verdict": "told"}


def test_a_table_takes_the_place_of_the_last_one_and_of_no_other():
    page = written(PAGE, "cpu", {"machine": "a CPU", "use": "a table without a place", "steps": ""})
    assert page == PAGE.replace("an old one", "a CPU")
    assert written(page, "gpu", {"machine": ""}) == page
    assert written(page, "gpu", {"machine": "an H200"}) == page.replace("none", "an H200")


def test_a_ratio_without_a_limit():
    assert "| a / b | vae | 0.500 |  |  |  |  | told |" in pairs([RATIO])
