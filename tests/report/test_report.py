"""The report: it stands alone, shows what it was given, and draws whatever numbers come."""

from __future__ import annotations

import base64
import hashlib
import io
import math
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from zoo.report import Gallery, report_html
from zoo.report.charts import charts, spaced
from zoo.report.document import SCRIPT
from zoo.report.gallery import HEAVY, png_size
from zoo.report.markup import ABSENT, escaped, number
from zoo.report.page import time_of
from zoo.report.scale import Linear, Logarithmic, runs, step_axis, thinned, value_axis

PNG = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + (300).to_bytes(4, "big") + (200).to_bytes(4, "big") + b"rest"
HOSTILE = '<script>alert(\'1\')</script>" onload="x" &amp; \x00\ud800\u202e'
MINUS = "\N{MINUS SIGN}"
VOID = {"meta", "link", "img", "br"}
Attributes = dict[str, str]


class Page(HTMLParser):
    """A page taken apart: every tag with its attributes, all text; refuses tags that do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, Attributes]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.texts)

    def all(self, tag: str) -> list[Attributes]:
        return [attributes for name, attributes in self.tags if name == tag]


def record(step: int, losses: Mapping[str, Any], seconds: float = 1.0, speed: float = 100.0) -> dict[str, Any]:
    return {
        "step": step,
        "seen_images": step * 8,
        "seconds": seconds,
        "images_per_s": speed,
        "losses": losses,
    }


def page(**given: Any) -> str:
    content: dict[str, Any] = {
        "name": "avae",
        "recipe": "latent: 64\n",
        "routes": [["phase", "who", "minimises", "critic"], ["1", "critic", "discriminate", "learns"]],
        "records": [record(10, {"encoder + decoder/kl": 12.34, "critic/discriminate": -1.5})],
        "scores": {"mse": {"value": 0.0123456, "protocol": {"n": 10000, "split": "test"}}},
        "plugins": [{"plugin": "avae", "distribution": "generative-zoo", "version": "0.1.0", "state": "ok"}],
        "pictures": [Gallery("Samples", "Of the prior.", [[("", PNG)]])],
        "notes": [],
    }
    return report_html(**content | given)


def curves(values: Sequence[Any], key: str = "critic/t") -> str:
    return charts([record(10 * (i + 1), {key: value}) for i, value in enumerate(values)])


# -- it stands alone ---------------------------------------------------------------------------------------


def test_nothing_is_asked_of_anybody() -> None:
    html = page(frames={1: PNG})
    found = Page(html)
    loading = ("src", "href", "srcset", "action", "data", "poster", "xlink:href")
    assert all(a[key].startswith(("data:", "#")) for _, a in found.tags for key in loading if key in a)
    assert not {"iframe", "object", "base"} & {tag for tag, _ in found.tags}
    assert not re.search(r"https?:|url\(|@import|fetch\(|XMLHttp|import\(", html)


def test_the_policy_lets_nothing_in_but_what_is_inside_and_the_one_script() -> None:
    html = page()
    metas = {meta.get("http-equiv"): meta.get("content") for meta in Page(html).all("meta")}
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    assert metas["Content-Security-Policy"] == (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    )
    assert re.findall(r"<script>(.*?)</script>", html, re.DOTALL) == [SCRIPT]


def test_every_picture_is_embedded_byte_for_byte() -> None:
    rows = [[("original", PNG), ("decoded", PNG + b"2")], [("original", PNG + b"3")]]
    images = Page(page(pictures=[Gallery("R", "", rows)], frames={1000: PNG + b"4"})).all("img")
    assert [image["alt"] for image in images] == ["R: original", "R: decoded", "R: original", "Samples at step 1,000"]
    inside = [base64.b64decode(image["src"].removeprefix("data:image/png;base64,")) for image in images]
    assert inside == [PNG, PNG + b"2", PNG + b"3", PNG + b"4"]
    assert (images[0]["width"], images[0]["height"]) == ("300", "200")


def test_a_heavy_picture_is_embedded_lighter() -> None:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8)
    Image.fromarray(noise).save(buffer, "PNG")
    (image,) = Page(page(pictures=[Gallery("Samples", "", [[("", buffer.getvalue())]])])).all("img")
    inside = base64.b64decode(image["src"].removeprefix("data:image/webp;base64,"))
    assert len(inside) < HEAVY < len(buffer.getvalue())
    with Image.open(io.BytesIO(inside)) as picture:
        assert picture.size == (400, 400)


def test_a_long_picture_has_a_line_to_itself_and_is_not_pixelated() -> None:
    strip = PNG[:16] + (3000).to_bytes(4, "big") + PNG[20:]
    assert png_size(strip) == (3000, 200)
    found = Page(page(pictures=[Gallery("a", "", [[("", PNG)]]), Gallery("b", "", [[("", strip)]])]))
    assert [image.get("class") for image in found.all("img")] == [None, "fine"]
    assert [figure["class"] for figure in found.all("figure")][:2] == ["card gallery", "card gallery long"]


def test_what_is_no_png_is_not_embedded() -> None:
    found = Page(page(pictures=[Gallery("samples", "", [[("", b"<html>")]])]))
    assert not found.all("img")
    assert "This is no PNG file." in found.text


def test_importing_the_report_does_not_import_torch() -> None:
    code = "import sys, zoo.report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# -- it shows what it was given ------------------------------------------------------------------------------


def test_the_facts_are_those_of_the_records() -> None:
    speeds = (100.0, 300.0, 250.0)
    records = [record(500 * i, {}, 40.0 * i, speed) for i, speed in enumerate(speeds, 1)]
    text = Page(page(records=records)).text
    for fact in ("1,500", "12,000", "250", "2 min 00 s"):
        assert fact in text


def test_time_adds_up_over_every_time_the_training_was_taken_up() -> None:
    assert time_of([record(i, {}, s) for i, s in enumerate((10.0, 60.0, 5.0, 30.0, 2.0))]) == 92.0
    assert time_of([]) == 0.0


def test_a_term_is_named_with_its_last_value_at_its_row() -> None:
    records = [record(1, {"encoder + decoder/kl": 99.0}), record(2, {"encoder + decoder/kl": 12.3456})]
    found = Page(charts(records))
    assert "encoder + decoder" in found.texts
    assert [svg["aria-label"] for svg in found.all("svg")] == ["kl 12.35 at step 2"]
    assert "12.35" in found.texts


def test_a_score_is_shown_with_its_protocol() -> None:
    scores = {"fid": {"value": 23.4567891, "protocol": {"n": 10000, "split": "test", "of": {"x": "generated"}}}}
    found = Page(page(scores=scores))
    assert found.all("data") == [{"value": "23.4567891"}]
    for shown in ("fid", "23.457", "10,000 images, test split", "x: generated"):
        assert shown in found.texts


def test_recipe_routes_versions_and_notes_are_there() -> None:
    plugins = [{"plugin": "unet", "distribution": "zoo-unet", "version": "0.3", "state": "broken", "more": 1}]
    routes = [["phase", "who", "minimises", "critic", "decoder"], ["1", "critic", "discriminate", "learns", "."]]
    html = page(recipe="a: 1\nb: 2\n", routes=routes, plugins=plugins, versions={"Python": "3.14"}, notes=["look out"])
    found = Page(html)
    for shown in ("discriminate", "learns", "·", "unet", "zoo-unet", "0.3", "broken", "3.14", "look out"):
        assert shown in found.texts
    assert "a: 1\nb: 2\n" in "".join(found.texts)
    assert html.index("look out") < html.index("<h2>Pictures")


def test_what_else_a_metric_found_is_shown() -> None:
    found = Page(page(scores={"kl": {"value": 3, "protocol": {"n": 5}, "details": {"nats": [0.123456, 2.0]}}}))
    for shown in ("It also found:", "nats", "0.1235, 2"):
        assert shown in found.texts


def test_plugins_of_one_package_share_a_line() -> None:
    plugins = [{"plugin": name, "distribution": "d", "version": "1", "state": "ok"} for name in ("a", "b")]
    assert "a, b" in Page(page(plugins=plugins)).texts


def test_a_score_says_where_it_is_better() -> None:
    scores = {name: {"value": 1, "protocol": {"better": name}} for name in ("lower", "higher", "one", "elsewhere")}
    assert [abbr["title"] for abbr in Page(page(scores=scores)).all("abbr")] == [
        "lower is better",
        "higher is better",
        "nearer to 1 is better",
    ]


def test_every_link_leads_to_a_section() -> None:
    found = Page(page(frames={1: PNG}))
    ids = [f"#{section['id']}" for section in found.all("section")]
    assert [link["href"] for link in found.all("a")] == ids
    assert len(ids) == 7


def test_sections_without_content_are_left_out() -> None:
    nothing: dict[str, Any] = {"recipe": "", "routes": [], "records": [], "scores": {}, "plugins": []}
    found = Page(page(**nothing, pictures=[]))
    assert "No step has been recorded." in found.text
    assert [section["id"] for section in found.all("section")] == ["losses"]


def test_whatever_is_given_is_escaped() -> None:
    html = page(
        name=HOSTILE,
        recipe=HOSTILE,
        about=HOSTILE,
        routes=[[HOSTILE] * 4, [HOSTILE] * 4],
        versions={HOSTILE: HOSTILE},
        records=[record(1, {f"{HOSTILE}/{HOSTILE}": 1.0, HOSTILE: 2.0})],
        scores={HOSTILE: {"value": HOSTILE, "protocol": {HOSTILE: {HOSTILE: [HOSTILE]}, "n": HOSTILE}}},
        plugins=[dict.fromkeys(("plugin", "distribution", "version", "state"), HOSTILE)],
        pictures=[Gallery(HOSTILE, HOSTILE, [[(HOSTILE, PNG)]])],
        notes=[HOSTILE],
    )
    found = Page(html)
    assert len(found.all("script")) == 1
    assert not [attributes for _, attributes in found.tags if "onload" in attributes]
    html.encode()
    assert not re.search("[\x00\u202e]", html)


# -- it draws whatever numbers come --------------------------------------------------------------------------

EDGES: dict[str, Sequence[Any]] = {
    "constant": [2.5] * 9,
    "zero": [0.0] * 4,
    "single": [3.25],
    "negative": [-100.0 - i for i in range(30)],
    "huge": [10.0**i for i in range(0, 309, 4)],
    "both ends": [1.7e308, -1.7e308, 0.0],
    "tiny": [5e-324 * i for i in range(5)],
    "offset": [1e6 + i / 2 for i in range(30)],
    "no number at all": [math.nan, math.inf, None, "x"],
    "gaps": [1.0, math.nan, 2.0, -math.inf, 3.0, 4.0],
    "whole, beyond a float": [10**400, 1],
    "long": [math.sin(i) for i in range(5000)],
}


@pytest.mark.parametrize("values", EDGES.values(), ids=EDGES.keys())
def test_every_curve_is_well_formed_and_inside_its_drawing(values: Sequence[Any]) -> None:
    html = curves(values)
    Page(html)
    for svg in re.findall(r"<svg.*?</svg>", html):
        tree = ElementTree.fromstring(svg)
        _, _, width, height = map(float, tree.attrib["viewBox"].split())
        paths = [path.attrib["d"] for path in tree.iter("path") if path.attrib["class"] != "rule"]
        for x, y in re.findall(r"[ML](\S+) ([-\d.einfa]+)", "".join(paths)):
            assert 0 <= float(x) <= width
            assert 0 <= float(y) <= height
    assert not re.search(r"(?:top|left):\s*-?(?:nan|inf)", html)


def test_what_spans_decades_is_drawn_on_a_logarithmic_axis_of_its_own() -> None:
    row = [{"g/wide": 1000.0 * 0.9**i, "g/large": 800.0, "g/both": (-1.0) ** i * 900.0} for i in range(100)]
    labels = [svg["aria-label"] for svg in Page(charts([record(i, losses) for i, losses in enumerate(row)])).all("svg")]
    assert [re.findall(r"([a-z]+) [^;]* at", label) for label in labels] == [["wide"], ["large", "both"]]
    html = curves([1000.0 * 0.9**i for i in range(100)])
    assert "log scale" in html
    (line,) = re.findall(r'class="raw" d="M([^"]*)"', html)
    x, y = np.array([point.split() for point in line.split("L")], float).T
    assert np.ptp(np.diff(y) / np.diff(x)) < 0.2 * np.abs(np.diff(y) / np.diff(x)).mean()  # an exponential is straight


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0.5, 50.0], Logarithmic),
        ([0.6, 50.0], Linear),
        ([0.0, 50.0], Linear),
        ([-0.5, 50.0], Linear),
        ([1e9, *(20.0 + i % 3 for i in range(60))], Linear),
        ([*[2000.0, 300.0, 40.0, 7.0, 1.5] * 4, *[1.0] * 2000], Logarithmic),
    ],
)
def test_an_axis_is_logarithmic_for_positive_decades(values: list[float], kind: type) -> None:
    assert type(value_axis(values)) is kind


def test_a_logarithmic_axis_has_powers_of_ten() -> None:
    axis = value_axis([0.05, 3000.0], 8)
    assert [axis.label(tick) for tick in axis.ticks] == ["0.1", "1", "10", "100", "1,000"]
    assert axis.at(10) - axis.at(1) == pytest.approx(axis.at(1000) - axis.at(100))
    assert (axis.at(0), axis.at(-1), axis.at(1e300)) == (0, 0, 1)


def test_a_line_of_many_records_is_smoothed_and_its_records_are_behind_it() -> None:
    values = [math.sin(i) for i in range(100)]
    html = curves(values)
    assert "means over 5 records" in html
    for kind in ("raw", "line"):
        assert len(re.findall(rf'class="{kind}"', html)) == 1
    assert [thinned([(float(i), v) for i, v in enumerate(values)], 1, 5)[50][1]] == pytest.approx(
        [sum(values[48:53]) / 5]
    )
    assert "means over" not in curves(values[:30])


def test_a_name_carries_the_values_that_pointing_shows() -> None:
    (name,) = [span for span in Page(curves([1.0, -2.5, math.nan])).all("span") if "data-steps" in span]
    assert (name["data-steps"], name["data-values"]) == ("10 20 30", f"1 {MINUS}2.5 nan")
    (name,) = [span for span in Page(curves(EDGES["long"])).all("span") if "data-steps" in span]
    steps = name["data-steps"].split()
    assert len(steps) == len(name["data-values"].split()) <= 122
    assert (steps[0], steps[-1]) == ("10", "50000")


def test_a_long_curve_is_thinned_and_keeps_its_spread() -> None:
    html = curves(EDGES["long"])
    assert 'class="spread"' in html
    assert len(html) < 12_000
    assert 'class="spread"' not in curves(EDGES["negative"])


def test_a_curve_is_broken_where_a_value_is_not_finite_and_says_so() -> None:
    html = curves(EDGES["gaps"])
    line = re.search(r'class="line" d="([^"]*)"', html)
    assert line
    assert line[1].count("M") == 3
    assert "not finite: 2" in html


def test_a_wild_value_does_not_flatten_the_rest_and_is_told() -> None:
    values = [1e9, *(20.0 + i % 3 for i in range(60))]
    assert value_axis(values).high < 30
    assert "beyond the axis: up to 1e9" in curves(values)


def test_terms_of_one_size_share_an_axis_and_others_do_not() -> None:
    row = {"g/reconstruction": 3000.0, "g/kl": 20.0, "g/nll": 1200.0, "g/entropy": -9.0}
    labels = [svg["aria-label"] for svg in Page(charts([record(5, row)])).all("svg")]
    assert labels == [
        "reconstruction 3,000 at step 5; nll 1,200 at step 5",
        f"kl 20 at step 5; entropy {MINUS}9 at step 5",
    ]


def test_a_term_that_is_not_in_every_record_is_one_line() -> None:
    html = charts([record(i, {"c/always": 1.0} | ({"c/rare": 2.0} if i % 5 == 0 else {})) for i in range(1, 21)])
    lines = re.findall(r'class="line" d="([^"]*)"', html)
    assert sorted((line.count("M"), line.count("L")) for line in lines) == [(1, 3), (1, 19)]


def test_many_terms_stand_apart() -> None:
    html = charts([record(1, {f"g/term-{i}": 1.0 for i in range(12)})])
    tops = sorted(float(top) for top in re.findall(r'class="c\d[^"]*" style="top:([\d.]+)px"', html))
    assert len(tops) == 12
    assert all(later - earlier >= 17.9 for earlier, later in pairwise(tops))


def test_spaced_keeps_order_distance_and_bounds() -> None:
    assert spaced([50.0, 10.0, 90.0], 10, 100) == [50.0, 10.0, 90.0]
    assert spaced([99.0, 98.0, 99.0], 10, 100) == [85.0, 75.0, 95.0]


# -- numbers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (-0.0, "0"),
        (1234.5, "1,234"),
        (-1.5, f"{MINUS}1.5"),
        (0.00012345, "0.0001234"),
        (1.5e9, "1.5e9"),
        (2e-7, "2e-7"),
        (math.nan, "nan"),
        (-math.inf, f"{MINUS}inf"),
        (None, ABSENT),
        ("12", ABSENT),
    ],
)
def test_number(value: object, shown: str) -> None:
    assert number(value) == shown


def test_escaped_leaves_lines_and_other_alphabets_alone() -> None:
    assert escaped("привет\n\t<b>") == "привет\n\t&lt;b&gt;"


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0.0, 100.0], ["0", "50", "100"]),
        ([-1.0, 1.0], [f"{MINUS}1", "0", "1"]),
        ([80.0, 100.0], ["80", "90", "100"]),
        ([0.0, 0.085], ["0", "0.025", "0.050", "0.075"]),
        ([0.0, 3e9], ["0", "1e9", "2e9", "3e9"]),
        ([], ["0", "0.5", "1.0"]),
    ],
)
def test_ticks_are_round_and_told_apart(values: list[float], labels: list[str]) -> None:
    axis = value_axis(values)
    assert [axis.label(tick) for tick in axis.ticks] == labels


def test_steps_are_whole_and_begin_at_zero_unless_the_training_began_late() -> None:
    assert step_axis(1, 4).ticks == [0, 1, 2, 3, 4]
    assert step_axis(50, 50).low == 0
    assert step_axis(50, 20000).ticks == [0, 5000, 10000, 15000, 20000]
    assert step_axis(9000, 10000).low == 9000


def test_thinning_keeps_the_ends_and_the_extremes() -> None:
    points = [(float(i), float(i % 7)) for i in range(100)]
    groups = thinned(next(iter(runs(points))), 10)
    assert (groups[0][0], groups[-1][0]) == (0.0, 99.0)
    assert {(low, high) for _, _, low, high in groups} == {(0.0, 6.0)}
