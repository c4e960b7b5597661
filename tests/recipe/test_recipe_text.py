"""Reading and writing recipes: YAML 1.2 scalars, places, every way a text can be wrong, and round trips."""

from __future__ import annotations

import json
import math
import os
import random
import re
import string
import time
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.errors import Position, RecipeError, RequestError
from zoo.recipe.yaml.node import LARGEST
from zoo.recipe.yaml.read import MAX_BYTES, MAX_DEPTH, MAX_NODES, MAX_PROBLEMS, read, read_value, write

RECIPE = """\
# avae.yaml
extends: avae
data: {use: fashion-mnist, size: 32}
slots:
  encoder: {use: timm, model: resnet18}
phases:
  - encoder + decoder: {reconstruction: 1.0, kl: 1}
    generator:         {entropy: off}
train: {steps: 20000, optimizer: {use: adam, lr: 2e-4, betas: [0.5, 0.999]}}
"""


def value_of(text: str) -> Any:
    return read(f"a: {text}", "r.yaml").plain()["a"]


def problems_of(text: str | bytes) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        read(text, "r.yaml")
    assert all(p.position.line >= 1 and p.position.column >= 1 for p in caught.value.problems)
    return str(caught.value).splitlines()


# -- what scalars mean ---------------------------------------------------------------------------------------

SCALARS = [
    *((text, None) for text in ("", "~", "null", "Null", "NULL")),
    *((text, True) for text in ("true", "True", "TRUE")),
    *((text, False) for text in ("false", "False", "FALSE")),
    *(("0", 0), ("-7", -7), ("+7", 7), ("0o17", 15), ("0x1F", 31), ("010", 10)),
    *(("1e-4", 1e-4), (".5", 0.5), ("1.", 1.0), ("-2.5E+3", -2500.0), ("1e5", 1e5)),
    *((".inf", math.inf), ("-.Inf", -math.inf), ("+.INF", math.inf)),
]
TEXTS = [
    *("on", "off", "yes", "no", "Y", "n", "On", "tRUE", "nULL", "1:30", "2001-12-14", "0b11", "1_000"),
    *("-0x1F", "1e", ".e5", ".", "+", "inf", "nan", "1.2.3", "0o8", "-.nan"),
]


@pytest.mark.parametrize(("text", "value"), SCALARS)
def test_plain_scalars_follow_the_core_schema(text: str, value: object) -> None:
    read_back = value_of(text)
    assert read_back == value
    assert type(read_back) is type(value)


@pytest.mark.parametrize("text", TEXTS)
def test_everything_else_is_text(text: str) -> None:
    assert value_of(text) == text


def test_nan_is_a_number() -> None:
    assert math.isnan(value_of(".nan"))


@pytest.mark.parametrize("text", ["", "null", "true", "1", "1e-4", ".inf", "off", "<<"])
def test_quoted_is_always_text(text: str) -> None:
    assert value_of(f"'{text}'") == value_of(f'"{text}"') == text
    assert read(f"'{text}': 1", "r.yaml").plain() == {text: 1}


def test_a_block_of_text_is_text() -> None:
    assert value_of("|\n  12\n  13\n") == "12\n13\n"


def test_a_word_that_yaml_1_1_takes_for_a_boolean_can_be_a_key() -> None:
    assert read("off: 1\nyes: 2\nn: 3", "r.yaml").plain() == {"off": 1, "yes": 2, "n": 3}


# -- where things stand --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "line", "column"),
    [
        ((), 2, 1),
        (("extends",), 2, 1),
        (("slots", "encoder", "model"), 5, 24),
        (("slots", "encoder", "modle"), 5, 3),  # not there: its nearest ancestor
        (("slots", 0), 4, 1),
        (("phases",), 6, 1),
        (("phases", 0), 7, 5),
        (("phases", 1, "generator"), 6, 1),
        (("phases", 0, "encoder + decoder", "kl"), 7, 46),
        (("train", "optimizer", "betas", 1), 9, 69),
    ],
)
def test_every_path_has_a_place(path: tuple[str | int, ...], line: int, column: int) -> None:
    assert read(RECIPE, "avae.yaml").at(path) == Position("avae.yaml", line, column)


def test_a_value_has_a_place_of_its_own() -> None:
    node = read(RECIPE, "avae.yaml").get(("slots", "encoder", "model"))
    assert node is not None
    assert (node.value, str(node.position)) == ("resnet18", "avae.yaml:5:31")
    assert read(RECIPE, "avae.yaml").get(("slots", "encoder", "modle")) is None


@pytest.mark.parametrize("encode", [str, str.encode, lambda t: b"\xef\xbb\xbf" + t.encode(), "\ufeff".__add__])
def test_text_utf8_and_a_byte_order_mark_read_alike(encode: Any) -> None:
    node = read(encode("é: ü\nb: 1"), "r.yaml")
    assert node.plain() == {"é": "ü", "b": 1}
    assert node.at(("é",)) == Position("r.yaml", 1, 1)
    assert node.value["é"].position == Position("r.yaml", 1, 4)


def test_windows_line_ends_do_not_move_places() -> None:
    assert read(RECIPE.replace("\n", "\r\n"), "r.yaml").at(("train",)).line == 9


def test_an_alias_is_the_node_it_names() -> None:
    node = read("a: &x {lr: 1}\nb: *x\n", "r.yaml")
    assert node.plain() == {"a": {"lr": 1}, "b": {"lr": 1}}
    assert node.at(("b", "lr")) == Position("r.yaml", 1, 8)


def test_without_forgets_an_entry_and_its_place() -> None:
    node = read("a: 1\nb: 2", "r.yaml").without("a", "c")
    assert node.plain() == {"b": 2}
    assert set(node.keys) == {"b"}


# -- what is wrong, and where --------------------------------------------------------------------------------

WRONG = {
    "a: [1, 2": "r.yaml:2:1: error: expected ',' or ']' in the list that begins at line 1",
    "a: {b: 1": "r.yaml:2:1: error: expected ',' or '}' in the mapping that begins at line 1",
    "a: b: c": "r.yaml:1:5: error: a ':' is out of place here; check the indentation, or quote text",
    "a: 1\nb\nc: 2": "r.yaml:2:1: error: expected 'key: value' here; the ':' is missing",
    "a:\n  b: 1\n c: 2": "r.yaml:3:2: error: expected a key here; check the indentation",
    "a:\n\t- b": "r.yaml:2:1: error: a tab is no indentation; indent with spaces",
    "a: @x": "r.yaml:1:4: error: a value cannot begin with this character",
    "a: 1\nb: 'x": "r.yaml:2:4: error: this quote is never closed",
    'a: "\\q"': "r.yaml:1:5: error: unknown escape after '\\'",
    "{a: 1}}": "r.yaml:1:7: error: this does not belong to what stands before it",
    "a: 1\nb\n": "r.yaml:2:1: error: expected 'key: value' here; the ':' is missing",
    "a: &": "r.yaml:1:5: error: this is not YAML: ",
    "%YAML 3.0\n---\na: 1": "r.yaml:1:1: error: this version of YAML is unknown",
    "a: 1\nb: 2\na: 3": "r.yaml:3:1: error: key 'a' is already given at r.yaml:1:1; keep one of the two",
    "1: a": "r.yaml:1:1: error: a key is text, and '1' is an integer; quote it: '1'",
    "true: a": "r.yaml:1:1: error: a key is text, and 'true' is true or false; quote it: 'true'",
    "~: a": "r.yaml:1:1: error: a key is text, and '~' is null; quote it: '~'",
    "? \n: a": "r.yaml:1:2: error: a key is text, and '' is null; write one before the ':'",
    "[a]: 1": "r.yaml:1:1: error: a key is text, not an alias, a list or a mapping",
    "a: &x b\n*x : 1": "r.yaml:2:1: error: a key is text, not an alias, a list or a mapping",
    "a: !!python/object/apply:os.system [ls]": "r.yaml:1:4: error: tag 'tag:yaml.org,2002:python/object",
    "a: !foo b": "r.yaml:1:4: error: tag '!foo' is not part of a recipe; remove it",
    "a: !!str b": "r.yaml:1:4: error: tag 'tag:yaml.org,2002:str' is not part of a recipe",
    "a: ! b": "r.yaml:1:4: error: tag '!' is not part of a recipe",
    "!!map {a: 1}": "r.yaml:1:1: error: tag 'tag:yaml.org,2002:map' is not",
    "a: !x!y b": "r.yaml:1:4: error: tags are not part of a recipe",
    "a: &x {b: 1}\nc:\n  <<: *x": "r.yaml:3:3: error: merge keys '<<' are not part of a recipe",
    "a: 1\n---\nb: 2": "r.yaml:2:1: error: a second document begins here; a recipe is one document",
    "": "r.yaml:1:1: error: the recipe is empty",
    "# nothing\n": "r.yaml:1:1: error: the recipe is empty",
    "---\n": "r.yaml:1:1: error: the recipe is empty",
    "- a": "r.yaml:1:1: error: a recipe is a mapping of 'key: value' lines, not a list",
    "avae": "r.yaml:1:1: error: a recipe is a mapping of 'key: value' lines, not text",
    "a: 1\nb: x\0": "r.yaml:2:5: error: control character U+0000; remove it, or write it as an escape",
    "a: \x1b[31m": "r.yaml:1:4: error: control character U+001B",
    "a: \ud800": "r.yaml:1:4: error: control character U+D800",
    "a: x\u2028b: 2": "r.yaml:1:5: error: control character U+2028",
    "# c\n%TAG !x! tag:x\n---\na: 1": "r.yaml:2:1: error: tags are not part of a recipe; remove the %TAG",
    "a: *x": "r.yaml:1:4: error: alias '*x' has no finished anchor '&x' before it",
    "a: &x [*x]": "r.yaml:1:8: error: alias '*x' has no finished anchor '&x' before it",
    "a: 1e999": "r.yaml:1:4: error: 1e999 is too large for a number; write .inf",
    f"a: {'9' * 5000}": "r.yaml:1:4: error: a number of 5,000 characters; the limit is 1,000",
    "a: " + "[" * 32: "r.yaml:1:35: error: nested more than 32 deep",
    f"a: {2**63}": "r.yaml:1:4: error: 9223372036854775808 is too large for a whole number; the limit is 2^63 - 1",
    f"a: {'x' * 1001}": "r.yaml:1:4: error: a text of 1,001 characters; the limit is 1,000",
    f"a: 1\n{'k' * 201}: 1": "r.yaml:2:1: error: a key of 201 characters; the limit is 200",
    f"? {'k' * 1001}\n: 1": "r.yaml:1:3: error: a text of 1,001 characters; the limit is 1,000",
    f"a: [{'1,' * MAX_NODES}]": "r.yaml:1:19999: error: more than 10,000 values, aliases expanded",
    "a: " + "x" * MAX_BYTES: "r.yaml:1:1: error: 1,048,579 bytes of recipe; the limit is 1,048,576",
}


@pytest.mark.parametrize("text", WRONG, ids=[key[:20].encode("unicode_escape").decode() for key in WRONG])
def test_an_error_names_the_place_and_the_cure(text: str) -> None:
    (line,) = problems_of(text)
    assert line.startswith(WRONG[text])


def test_bytes_that_are_not_utf8_are_placed() -> None:
    assert problems_of(b"a: 1\nb: \xe9t\xe9") == ["r.yaml:2:4: error: byte 0xe9 is not UTF-8; save the file as UTF-8"]
    assert problems_of("a: 1".encode("utf-16"))[0].startswith("r.yaml:1:1: error: byte 0xff is not UTF-8")
    assert problems_of("a: 1".encode("utf-16-le"))[0].startswith("r.yaml:1:2: error: control character U+0000")


def test_all_problems_are_found_at_once_and_sorted() -> None:
    lines = problems_of("a: 1\n2: b\na: !x 3\nc: *nowhere\nd: {e: 1, e: 2}\na: 4\nf: [")
    assert [re.findall(r":(\d+:\d+): error", line)[0] for line in lines] == [
        *("2:1", "3:1", "3:4", "4:4", "5:11", "6:1", "8:1")
    ]


def test_reading_ends_where_nobody_would_read_on() -> None:
    assert len(problems_of("a: 1\n" * 5_000)) == MAX_PROBLEMS


def test_the_deepest_and_largest_allowed_are_read() -> None:
    deep = "a: " + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)
    assert read(deep, "r.yaml").measure() == (MAX_DEPTH, MAX_DEPTH)
    wide = read(f"a: [{'1,' * (MAX_NODES - 3)}]", "r.yaml")  # and the list, the mapping, the key
    assert len(wide.value["a"].value) == MAX_NODES - 3


def test_aliases_cannot_hide_depth_or_size() -> None:
    half = "[" * 20 + "]" * 20
    assert "nested more than 32 deep" in problems_of(f"a: &x {half}\nb: {'[' * 20}*x{']' * 20}")[0]
    deep = f"a: &x {'[' * 30}{']' * 30}\n"
    assert read(f"{deep}b: [*x]", "r.yaml").measure()[1] == 32
    assert problems_of(f"{deep}b: [[*x]]") == [
        "r.yaml:2:6: error: nested more than 32 deep; a recipe is never that deep"
    ]
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9))
    assert "more than 10,000 values" in problems_of(bomb)[0]


# -- values from the command line ----------------------------------------------------------------------------

PLACE = Position("--set a=b")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("32", 32),
        ("off", "off"),
        ("", None),
        ("[0.5, 0.999]", [0.5, 0.999]),
        ("{use: timm}", {"use": "timm"}),
    ],
)
def test_a_value_alone_reads_as_in_a_recipe(text: str, value: object) -> None:
    node = read_value(text, PLACE)
    assert node.plain() == value
    assert node.position == PLACE


@pytest.mark.parametrize("text", ["[1", "a: b", "- a", "---", "...", "1\n---\n2", "{a: 1, a: 2}", "!x y", "\0", "*x"])
def test_a_value_that_is_wrong_points_at_the_argument(text: str) -> None:
    with pytest.raises(RecipeError) as caught:
        read_value(text, PLACE)
    assert {problem.position for problem in caught.value.problems} == {PLACE}


# -- writing -------------------------------------------------------------------------------------------------


def test_writing_is_laid_out_for_people() -> None:
    data = {
        "extends": "avae",
        "slots": {"encoder": {"use": "timm", "model": "resnet18"}, "critic": {}},
        "phases": [{"encoder + decoder": {"kl": 1.0}, "generator": {"entropy": "off", "v": "1e-4"}}, []],
        "train": {"steps": 20000, "optimizer": {"use": "adam", "lr": 1e-05, "betas": [0.5, 0.999]}},
        "long": ["a" * 30, "b" * 30, "c" * 30],
        "note": "two\nlines: \x00\u2028\U0001f600",
        "nothing": None,
    }
    assert write(data) == (
        "extends: avae\n"
        "slots:\n"
        "  encoder: {use: timm, model: resnet18}\n"
        "  critic: {}\n"
        "phases:\n"
        "  - encoder + decoder: {kl: 1.0}\n"
        '    generator: {entropy: off, v: "1e-4"}\n'
        "  - []\n"
        "train:\n"
        "  steps: 20000\n"
        "  optimizer: {use: adam, lr: 1e-05, betas: [0.5, 0.999]}\n"
        "long:\n"
        f"  - {'a' * 30}\n  - {'b' * 30}\n  - {'c' * 30}\n"
        'note: "two\\nlines: \\u0000\\u2028\U0001f600"\n'
        "nothing: null\n"
    )
    assert read(write(data), "r.yaml").plain() == data


@pytest.mark.parametrize("data", [{}, {"x" * 200: {"y" * 200: [{"é" * 200: {"a": {"b": {"c": "d" * 1000}}}}]}}])
def test_extreme_mappings_survive(data: dict[str, Any]) -> None:
    assert read(write(data), "r.yaml").plain() == data


def test_numbers_that_json_has_not_are_written_as_yaml_has_them() -> None:
    assert write({"a": [math.inf, -math.inf, math.nan, 1e300, 5e-324, -0.0]}) == (
        "a: [.inf, -.inf, .nan, 1e+300, 5e-324, -0.0]\n"
    )


def test_the_largest_numbers_survive() -> None:
    data = {"a": LARGEST, "b": -LARGEST}
    assert read(write(data), "r.yaml").plain() == data


@pytest.mark.parametrize(
    "data", [{"a": LARGEST + 1}, {1: 2}, {"a": object()}, {"a": {1}}, {"a": "\ud800"}, {"a": b"x"}, {"\udfff": 1}]
)
def test_what_a_recipe_cannot_hold_is_refused(data: Any) -> None:
    with pytest.raises(RequestError):
        write(data)


tricky = st.sampled_from([*TEXTS, *(text for text, _ in SCALARS), *"-?:,[]{}#&*!|>'\"%@`=<", "<<", "---", "...", " a "])
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=12) | tricky | st.text("a: #-\n'\"\\", max_size=8)
whole = st.integers(-LARGEST, LARGEST)
scalars = st.none() | st.booleans() | whole | st.floats(allow_nan=False) | texts
trees = st.recursive(
    scalars,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(texts, below, max_size=4),
    max_leaves=12,
)
FUZZ = int(os.environ.get("ZOO_FUZZ", "1"))
quick = settings(max_examples=100 * FUZZ, deadline=None, derandomize=True, database=None)


@quick
@given(st.dictionaries(texts, trees, max_size=5))
def test_what_is_written_reads_the_same(data: dict[str, Any]) -> None:
    back = read(write(data), "r.yaml").plain()
    assert repr(back) == repr(data)  # types, order and the sign of zero too


@quick
@given(st.dictionaries(texts, trees, max_size=5))
def test_json_is_read_as_json(data: dict[str, Any]) -> None:
    text = json.dumps(data)
    if "Infinity" not in text and "\\ud" not in text:  # neither is JSON's to say, or YAML's
        assert read(text, "r.json").plain() == data


@quick
@given(st.dictionaries(st.text(string.ascii_lowercase, min_size=2, max_size=5), texts, max_size=4))
def test_pyyaml_agrees_on_what_is_text(data: dict[str, str]) -> None:
    """The oracle: pyyaml with no scalars but text must read what we wrote as the same text."""
    quoted = {key: value for key, value in data.items() if write({key: value}).count('"')}
    assert yaml.load(write(quoted), yaml.CBaseLoader) == quoted


# -- hostile and mutated texts -------------------------------------------------------------------------------


def assert_read_or_refused(text: str | bytes) -> None:
    start = time.process_time()
    try:
        node = read(text, "r.yaml")
    except RecipeError as error:
        refused = error.problems
    else:
        refused = ()
        assert isinstance(node.plain(), dict)
    assert all(problem.position.line >= 1 and len(str(problem)) < 400 for problem in refused)
    assert time.process_time() - start < 1


PIECES = st.sampled_from(
    [
        *"-?:,[]{}#&*!|>'\"%@`\n\t\0 ",
        ": ",
        "- ",
        "\n  ",
        "<<: *a",
        "&a ",
        "*a",
        "!!x ",
        "---\n",
        "\x85",
        "\ufeff",
        "é",
    ]
)


@settings(quick, max_examples=1200)
@given(st.integers(0, len(RECIPE)), st.integers(0, 12), st.lists(PIECES, max_size=4), st.integers(0, len(RECIPE)))
def test_mutated_recipes_are_read_or_refused(at: int, cut: int, pieces: list[str], other: int) -> None:
    text = RECIPE[:at] + "".join(pieces) + RECIPE[at + cut :]
    assert_read_or_refused(text[:other] + "".join(pieces[:1]) + text[other:])


@quick
@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    assert_read_or_refused(data)


def hostile(seed: int) -> str | bytes:
    """One text made to hurt: twelve families, each at random sizes."""
    random_ = random.Random(seed)
    many = random_.choice([10, 1_000, 100_000])
    opener = random_.choice(["[", "{", "- ", "? ", "{a: ", "[{", "- - ", "[? ", "!x [", "&a [", "? - "])
    width = random_.choice([2, 9, 50])
    levels = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * width)}]\n" for i in range(1, 60))
    letter = random_.choice("x9 #\"'\\-:&*!\n\té\0")
    families: list[str | bytes] = [
        f"a: {opener * many}",
        opener * many + random_.choice(["", "]", "}", ": 1"]) * many,
        f"a0: &a0 [1]\n{levels}",
        f"a: {letter * min(many, 1_000_000)}",
        f"{letter * many}: 1",
        f'a: "{letter * many}',
        "".join(f"%TAG !a{i}! tag:{i}\n" for i in range(many // 2)) + "---\na: 1",
        f"a: [{'*b, ' * (many * 2)}]",
        "".join(f"k{i % 7}: !t{i} &a{i} *b\n" for i in range(min(many, 20_000))),
        RECIPE.encode(random_.choice(["utf-16", "utf-32", "utf-16-be", "utf-7", "cp500"])) * min(many, 50),
        random_.randbytes(min(many, 50_000)),
        "\n".join(" " * i + f"k{i}:" for i in range(min(many, 1_000))),
    ]
    return families[seed % len(families)]


@pytest.mark.parametrize("family", range(12))
def test_hostile_documents_are_read_or_refused(family: int) -> None:
    for seed in range(42):
        assert_read_or_refused(hostile(12 * seed + family))
