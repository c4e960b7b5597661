"""Laying one recipe over another, and setting values from the command line."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.errors import Position, RecipeError
from zoo.recipe.yaml.node import Node
from zoo.recipe.yaml.read import read, write
from zoo.recipe.yaml.tree import assign, merge

BASE = """\
latent: 64
slots:
  encoder: {use: timm, model: resnet18}
  critic: dcgan
phases:
  - encoder + decoder: {kl: 1.0}
    generator: {entropy: 0.1, v1.5: 2}
train:
  steps: 10
  optimizer: {use: adam, betas: [0.5, 0.999]}
notes:
"""


def base() -> Node:
    return read(BASE, "base.yaml")


def over(text: str) -> Node:
    return merge(base(), read(text, "over.yaml"))


def after(path: str, value: str) -> dict[str, Any]:
    return assign(base(), path, value).plain()


# -- merge ---------------------------------------------------------------------------------------------------


def test_mappings_merge_and_everything_else_is_replaced() -> None:
    plain = over("train: {steps: 20, optimizer: {betas: [0.9]}}\nlatent: [1]").plain()
    assert plain["train"] == {"steps": 20, "optimizer": {"use": "adam", "betas": [0.9]}}
    assert plain["latent"] == [1]


def test_the_order_is_the_bases_then_the_new() -> None:
    assert list(over("new: 1\ntrain: {steps: 1}\nlatent: 2").plain()) == [*base().plain(), "new"]


def test_null_removes_what_the_base_says_and_stays_where_it_says_nothing() -> None:
    merged = over("latent: null\nslots: {critic: ~}\nlatnet: null")
    assert "latent" not in merged.plain()
    assert list(merged.plain()["slots"]) == ["encoder"]
    assert merged.plain()["latnet"] is None
    assert merged.at(("latnet",)) == Position("over.yaml", 3, 1)


def test_another_component_takes_no_options_of_the_one_it_replaces() -> None:
    encoder = over("slots: {encoder: {use: dcgan, width: 8}}").plain()["slots"]["encoder"]
    assert encoder == {"use": "dcgan", "width": 8}
    encoder = over("slots: {encoder: {use: timm, width: 8}}").plain()["slots"]["encoder"]
    assert encoder == {"use": "timm", "model": "resnet18", "width": 8}


@pytest.mark.parametrize(
    ("text", "encoder"),
    [
        ("timm", {"use": "timm", "model": "resnet18"}),
        ("dcgan", {"use": "dcgan"}),
        ("{model: resnet50}", {"use": "timm", "model": "resnet50"}),
    ],
)
def test_a_name_over_a_mapping_is_short_for_use(text: str, encoder: dict[str, Any]) -> None:
    assert over(f"slots: {{encoder: {text}}}").plain()["slots"]["encoder"] == encoder


@pytest.mark.parametrize(
    ("text", "critic"),
    [
        ("{width: 8}", {"use": "dcgan", "width": 8}),
        ("{use: dcgan, width: 8}", {"use": "dcgan", "width": 8}),
        ("{use: mlp, width: 8}", {"use": "mlp", "width": 8}),
        ("mlp", "mlp"),
    ],
)
def test_a_mapping_over_a_name_is_short_for_use(text: str, critic: object) -> None:
    assert over(f"slots: {{critic: {text}}}").plain()["slots"]["critic"] == critic


def test_elsewhere_a_name_is_only_text() -> None:
    assert merge(base(), read("train: fast", "over.yaml")).plain()["train"] == "fast"


def test_places_follow_who_said_it_last() -> None:
    merged = over("slots:\n  encoder: {width: 8}\n")
    assert merged.at(("slots", "encoder", "width")) == Position("over.yaml", 2, 13)
    assert merged.at(("slots", "encoder", "model")) == Position("base.yaml", 3, 24)
    assert merged.at(("slots", "encoder")) == Position("over.yaml", 2, 3)
    assert merged.at(("slots", "critic")) == Position("base.yaml", 4, 3)


def test_a_name_that_is_spelled_out_stays_where_it_stands() -> None:
    under = read("slots: {critic: {use: dcgan, width: 3}}", "base.yaml")
    upper = read("slots:\n  critic: dcgan", "over.yaml")
    merged = merge(under, upper)
    for path in (("slots", "critic"), ("slots", "critic", "use")):
        found = merged.get(path)
        assert found is not None
        assert found.position == Position("over.yaml", 2, 11)
    assert merged.at(("slots", "critic", "use")) == Position("over.yaml", 2, 11)


def test_a_component_may_be_merged_alone() -> None:
    left, right = read("use: adam\nlr: fast", "a"), read("use: adam\nlr: slow", "b")
    assert merge(left, right, ("data",)).plain() == {"use": "adam", "lr": "slow"}


keys = st.sampled_from(["a", "b", "c", "use"])
trees = st.recursive(
    st.none() | st.integers(0, 3) | st.sampled_from(["x", "y"]),
    lambda below: st.dictionaries(keys, below, max_size=3) | st.lists(below, max_size=2),
    max_leaves=10,
)
quick = settings(max_examples=300, deadline=None, derandomize=True, database=None)


def merged_plainly(under: Any, upper: Any) -> Any:
    """The oracle: the rules on plain data, with no shorthand."""
    if not isinstance(under, dict) or not isinstance(upper, dict):
        return upper
    if upper.get("use") is not None and upper["use"] != under.get("use"):
        return upper
    removed = {key for key, value in upper.items() if value is None and key in under}
    result = {key: value for key, value in under.items() if key not in removed}
    for key in upper.keys() - removed:
        result[key] = merged_plainly(under[key], upper[key]) if key in under else upper[key]
    return result


@quick
@given(st.dictionaries(keys, trees), st.dictionaries(keys, trees))
def test_merge_does_what_the_rules_say(under: dict[str, Any], upper: dict[str, Any]) -> None:
    left, right = read(write(under), "under"), read(write(upper), "upper")
    assert merge(left, right).plain() == merged_plainly(under, upper)
    assert (left.plain(), right.plain()) == (under, upper)  # and changes neither


@quick
@given(st.dictionaries(keys, trees), st.sampled_from([(), ("data",), ("slots",)]))
def test_merging_the_same_again_changes_nothing(data: dict[str, Any], path: tuple[str, ...]) -> None:
    once = merge(read(write({}), "a"), read(write(data), "b"))
    assert once.plain() == data
    without_null = merge(once, once, path)
    assert merge(without_null, without_null, path).plain() == without_null.plain()


# -- assign --------------------------------------------------------------------------------------------------


def test_one_value_is_set() -> None:
    expected = base().plain()
    expected["train"]["steps"] = 20
    assert after("train.steps", "20") == expected


@pytest.mark.parametrize(
    ("path", "value", "where", "expected"),
    [
        (
            "slots.encoder.width",
            "32",
            ("slots", "encoder"),
            {"use": "timm", "model": "resnet18", "width": 32},
        ),
        ("slots.encoder", "dcgan", ("slots", "encoder"), {"use": "dcgan"}),
        ("slots.encoder.use", "dcgan", ("slots", "encoder"), {"use": "dcgan"}),
        ("slots.critic.width", "32", ("slots", "critic"), {"use": "dcgan", "width": 32}),
        ("slots.encoder", "{use: timm, width: 8}", ("slots", "encoder", "model"), "resnet18"),
        ("slots.encoder.model", "null", ("slots", "encoder"), {"use": "timm"}),
        ("phases.0.generator.entropy", "off", ("phases", 0, "generator"), {"entropy": "off", "v1.5": 2}),
        ("phases.0.generator.entropy", "", ("phases", 0, "generator"), {"v1.5": 2}),
        ("phases.0.generator.v1.5", "3", ("phases", 0, "generator", "v1.5"), 3),
        ("phases.0.encoder + decoder.kl", "2", ("phases", 0, "encoder + decoder"), {"kl": 2}),
        ("phases.0.encoder+decoder.kl", "2", ("phases", 0, "encoder + decoder"), {"kl": 2}),
        ("phases.0", "{critic: {d: 1}}", ("phases",), [{"critic": {"d": 1}}]),
        ("train.optimizer.betas.1", "0.9", ("train", "optimizer"), {"use": "adam", "betas": [0.5, 0.9]}),
        ("train.optimizer.betas", "[0, 1]", ("train", "optimizer"), {"use": "adam", "betas": [0, 1]}),
        ("notes.by.me", "a=b", ("notes",), {"by": {"me": "a=b"}}),
        ("new.deep.key", "1e-4", ("new",), {"deep": {"key": 1e-4}}),
    ],
)
def test_a_path_reaches_its_value(path: str, value: str, where: tuple[str | int, ...], expected: object) -> None:
    node = assign(base(), path, value).get(where)
    assert node is not None
    assert node.plain() == expected


def test_what_was_set_points_at_the_argument_and_the_rest_at_the_file() -> None:
    root = assign(base(), "slots.encoder.width", "x")
    assert root.at(("slots", "encoder", "width")) == Position("--set slots.encoder.width=x")
    assert str(root.at(("slots", "encoder", "width"))) == "--set slots.encoder.width=x"
    assert root.at(("slots", "encoder")) == Position("base.yaml", 3, 3)
    assert root.at(("slots", "encoder", "model")) == Position("base.yaml", 3, 24)
    listed = assign(base(), "train.optimizer.betas.0", "x")
    assert listed.at(("train", "optimizer", "betas", 0)) == Position("--set train.optimizer.betas.0=x")
    assert listed.at(("train", "optimizer", "betas", 1)) == Position("base.yaml", 10, 39)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("phases.1.generator", "1", "'phases' is a list of 1, and '1' is not one of its indices; choices: 0"),
        (
            "phases.generator.kl",
            "1",
            "'phases' is a list of 1, and 'generator' is not one of its indices; choices: 0",
        ),
        (
            "train.optimizer.betas.-1",
            "1",
            "'train.optimizer.betas' is a list of 2, and '-1' is not one of its",
        ),
        ("train.optimizer.betas.²", "1", "'train.optimizer.betas' is a list of 2, and '²' is not"),
        ("train.steps.x", "1", "'train.steps' is an integer, 10, and has no 'x'"),
        ("train..steps", "1", "a part of the path is empty; write it as a.b.c"),
        ("", "1", "a part of the path is empty"),
        ("train.", "1", "a part of the path is empty"),
        ("a." * 50_000 + "a", "1", "a path has at most 32 parts"),
        (
            "phases.0.encoder.kl",
            "0.5",
            "'phases.0' has no row 'encoder', and an override adds none; did you mean 'phases.0.encoder+decoder.kl'?",
        ),
        (
            "phases.0.decoder+encoder",
            "{kl: 1}",
            "'phases.0' has no row 'decoder+encoder', and an override adds none; did",
        ),
        (
            "phases.0.genrator.kl",
            "1",
            "'phases.0' has no row 'genrator', and an override adds none; did you mean 'generator'?",
        ),
        (
            "phases.0.critic",
            "null",
            "'phases.0' has no row 'critic', and an override adds none; choices: encoder+decoder,",
        ),
        ("latent", "[1", "expected ',' or ']' in the list"),
        ("latent", "a: 1", "write a list as [a, b], a mapping as {key: value}, or quote the text"),
        ("latent", "!x 1", "tag '!x' is not part of a recipe; remove it"),
    ],
)
def test_an_error_points_at_the_argument(path: str, value: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        assign(base(), path, value)
    assert str(caught.value).startswith(f"--set {path}={value}: error: {message}")


TIMED = """\
phases:
  - rows: {encoder + decoder: {kl: 1.0}}
    repeat: 2
"""


@pytest.mark.parametrize("path", ["phases.0.decoder.kl", "phases.0.rows.decoder.kl"])
def test_a_phase_with_timing_gets_no_row_either(path: str) -> None:
    with pytest.raises(
        RecipeError, match=r"has no row 'decoder', .*; did you mean 'phases\.0\.rows\.encoder\+decoder\.kl'"
    ):
        assign(read(TIMED, "r.yaml"), path, "1")


def test_a_phase_may_be_timed_and_its_rows_be_others() -> None:
    assert assign(read(TIMED, "r.yaml"), "phases.0.every", "3").plain()["phases"][0]["every"] == 3
    assert assign(base(), "phases.0.rows", "{critic: {d: 1}}").plain()["phases"][0]["rows"] == {"critic": {"d": 1}}
    assert assign(read("phases: {a: 1}", "r.yaml"), "phases.b", "3").plain() == {"phases": {"a": 1, "b": 3}}
    assert assign(read("phases: [{rows: 3}]", "r.yaml"), "phases.0.b", "3").plain() == {"phases": [{"rows": 3, "b": 3}]}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("{use: photos, size: 16, channels: 1, contrast: 0.2}", {"size": 16, "channels": 1, "use": "digits"}),
        ("{use: photos, contrast: 0.2}", {"use": "digits"}),
        ("photos", {"use": "digits"}),
        ("{use: digits, size: 16, raw: true}", {"use": "digits", "size": 16, "raw": True}),
    ],
)
def test_other_data_keeps_the_size_and_the_channels(data: str, expected: dict[str, Any]) -> None:
    root = assign(read(f"data: {data}", "r.yaml"), "data.use", "digits")
    assert root.plain() == {"data": expected}
    assert root.at(("data", "use")) == Position("--set data.use=digits")
    if "size" in expected:
        assert root.at(("data", "size")).file == "r.yaml"


def test_a_caller_may_name_the_place() -> None:
    root = assign(base(), "latent", "8", source="zoo.build(set=...)")
    assert root.at(("latent",)) == Position("zoo.build(set=...)")


@quick
@given(st.text("abc.0 +", max_size=8), st.text("ab01.[]{}:,-'\"&*!#\n ", max_size=8))
def test_any_argument_is_applied_or_refused(path: str, value: str) -> None:
    try:
        root = assign(base(), path, value)
    except RecipeError as error:
        places = {problem.position for problem in error.problems}
    else:
        places = {Position(f"--set {path}={value}")}
        assert isinstance(root.plain(), dict)
    assert places == {Position(f"--set {path}={value}")}


# -- a list of parts, by name ------------------------------------------------------------------------------------

LPIPS = {"use": "zoo-one/lpips", "net": "vgg"}
METRICS = "evaluate: [mse, {fid: {samples: 10}}, {use: zoo-one/lpips, net: vgg}]"


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("evaluate.fid.samples", "20", {"mse": "mse", "fid": {"samples": 20}, "lpips": LPIPS}),
        ("evaluate.lpips.net", "alex", {"mse": "mse", "fid": {"samples": 10}, "lpips": {**LPIPS, "net": "alex"}}),
        ("evaluate.mse.a", "1", {"mse": {"use": "mse", "a": 1}, "fid": {"samples": 10}, "lpips": LPIPS}),
        ("evaluate.mse", "null", {"fid": {"samples": 10}, "lpips": LPIPS}),
        ("evaluate.fid", "psnr", {"mse": "mse", "fid": "psnr", "lpips": LPIPS}),
    ],
)
def test_a_part_of_a_list_is_set_by_its_name(path: str, value: str, expected: dict[str, Any]) -> None:
    made = assign(read(METRICS, "r.yaml"), path, value)
    assert made.plain() == {"evaluate": expected}
    assert list(made.plain()["evaluate"]) == list(expected)


def test_a_name_that_the_list_has_not() -> None:
    with pytest.raises(RecipeError) as caught:
        assign(read(METRICS, "r.yaml"), "evaluate.lpip.net", "alex")
    [problem] = caught.value.problems
    assert problem.message == "'evaluate' has no 'lpip'; did you mean 'lpips'?"
