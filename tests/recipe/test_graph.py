"""The resolver: pure Python, so who reaches whom is known before anything runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

import pytest

from zoo.recipe.graph import Graph, UnknownNameError, plan_calls, route

AVAE = {
    "posterior": ("encoder", "x"),
    "z_posterior": ("posterior", "draw"),
    "reconstruction": ("decoder", "z_posterior"),
    "z": ("prior", "batch", "draw"),
    "noise": ("batch", "draw", "sizes"),
    "generated": ("generator", "z", "noise"),
    "posterior_generated": ("encoder", "generated"),
    "critic_x": ("critic", "x"),
    "critic_generated": ("critic", "generated"),
}
TERMS = {
    "elbo": ("x", "reconstruction", "posterior"),
    "reverse_kl": ("critic_generated",),
    "latent_nll": ("z", "posterior_generated"),
    "discriminate": ("critic_x", "critic_generated"),
}
SLOTS = ("encoder", "decoder", "generator", "critic", "prior")


def graph(**values: tuple[str, ...]) -> Graph:
    """AVAE's values and some more."""
    return Graph(SLOTS, {name: {n: n for n in needs} for name, needs in {**AVAE, **values}.items()})


def row(
    players: str, *terms: str, **more: tuple[str, ...]
) -> tuple[frozenset[str], list[tuple[str, Mapping[str, str]]]]:
    """Slots that learn, and terms with their arguments."""
    known = {**TERMS, **more}
    return frozenset(players.split()), [(term, {n: n for n in known[term]}) for term in terms]


JOINT = [row("encoder decoder", "elbo"), row("generator", "reverse_kl", "latent_nll"), row("critic", "discriminate")]


def test_it_is_pure_python():
    code = "import sys, zoo.recipe.graph; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# -- order -------------------------------------------------------------------------------------------------


def test_everything_comes_after_what_it_needs():
    g = graph()
    order = g.order(["critic_generated", "reconstruction"])
    assert all(order.index(need) < order.index(name) for name in order for need in g.needs(name))
    assert len(set(order)) == len(order)


def test_what_nobody_asked_for_is_not_in_the_order():
    assert set(graph().order(["reconstruction"])) == {
        *("encoder", "x", "posterior", "draw", "z_posterior", "decoder", "reconstruction"),
    }


def test_a_held_value_comes_after_the_value_it_holds():
    assert graph().order(["z_held"])[-2:] == ("z", "z_held")


def test_a_value_may_have_a_name_that_ends_in_held():
    assert graph(code_held=("encoder", "x")).reaches("code_held") == {"encoder"}


def test_a_parameter_may_be_bound_to_another_name():
    g = Graph(("net",), {"a": {"inputs": "x"}, "b": {"module": "net", "inputs": "a"}})
    assert g.order(["b"]) == ("net", "x", "a", "b")


@pytest.mark.parametrize("target", ["a", "b", "c"])
def test_a_circle_is_an_error_that_shows_it(target):
    g = graph(a=("b",), b=("c",), c=("a",))
    circle = {"a": "a -> b -> c -> a", "b": "b -> c -> a -> b", "c": "c -> a -> b -> c"}
    with pytest.raises(UnknownNameError, match="in a circle") as error:
        g.order([target])
    assert str(error.value).endswith(circle[target])


def test_an_unknown_name_is_an_error_with_the_route_to_it():
    g = graph(outer=("inner",), inner=("x", "posteriors"))
    with pytest.raises(UnknownNameError) as error:
        g.order(["outer"])
    assert str(error.value) == (
        "outer -> inner asks for 'posteriors', which is neither a slot of this recipe nor a value; "
        "did you mean 'posterior'?"
    )


def test_an_unknown_target_is_an_error():
    with pytest.raises(UnknownNameError, match=r"^'generatd' is asked for, .*did you mean 'generated'"):
        graph().order(["generatd"])


@pytest.mark.parametrize(("name", "known"), [("x", True), ("z_held", True), ("encoder", True), ("x_held", True)])
def test_known_names(name, known):
    assert graph().known(name) is known


@pytest.mark.parametrize("name", ["encoder_held", "zz", "zz_held", "_held"])
def test_unknown_names_a_slot_cannot_be_held(name):
    assert not graph().known(name)


# -- reach -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "slots"),
    [
        ("x", ""),
        ("noise", ""),
        ("encoder", "encoder"),
        ("reconstruction", "encoder decoder"),
        ("critic_x", "critic"),
        ("critic_generated", "critic generator prior"),
        ("posterior_generated", "encoder generator prior"),
        ("critic_generated_held", ""),
    ],
)
def test_the_slots_that_a_gradient_arrives_at(name, slots):
    assert graph().reaches(name) == set(slots.split())


def test_a_held_value_is_depended_on_but_not_reached():
    g = graph(code=("z_posterior_held",))
    assert g.reaches("code") == frozenset()
    assert g.depends("code", "encoder")
    assert not g.depends("code", "decoder")


# -- calls -------------------------------------------------------------------------------------------------


def calls(*rows, **values: tuple[str, ...]) -> dict[str, tuple[bool, set[str]]]:
    """value or term -> (recorded, slots that learn from it)."""
    found = plan_calls(graph(**values), rows)
    return {name: (call.recorded, set(call.learning)) for name, call in found.items()}


def test_how_a_joint_step_of_avae_computes_each_value():
    found = calls(*JOINT)
    assert found == {
        "posterior": (True, {"encoder"}),
        "z_posterior": (True, set()),
        "reconstruction": (True, {"decoder"}),
        "z": (False, set()),
        "noise": (False, set()),
        "generated": (True, {"generator"}),
        "posterior_generated": (True, set()),  # the encoder is only passed through
        "critic_x": (True, {"critic"}),
        "critic_generated": (True, {"critic"}),
        **dict.fromkeys(TERMS, (True, set())),
    }


def test_a_row_of_its_own_records_only_what_leads_to_its_player():
    found = calls(row("critic", "discriminate"))
    assert found["generated"] == (False, set())
    assert found["critic_generated"] == (True, {"critic"})
    assert "posterior" not in found


def test_a_generator_passes_through_a_critic_that_does_not_learn():
    found = calls(row("generator", "reverse_kl"))
    assert found["critic_generated"] == (True, set())
    assert found["generated"] == (True, {"generator"})


def test_a_term_two_rows_share_is_one_call_from_which_both_learn():
    found = calls(row("encoder", "elbo"), row("decoder", "elbo"))
    assert found["posterior"] == (True, {"encoder"})
    assert found["reconstruction"] == (True, {"decoder"})


def test_what_is_behind_a_held_value_is_not_recorded():
    more = {"term": ("code",)}
    found = calls(row("decoder", "term", **more), code=("decoder", "z_posterior_held"))
    assert found["code"] == (True, {"decoder"})
    assert found["posterior"] == found["z_posterior"] == (False, set())


# -- the routing table -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("players", "terms", "expected"),
    [
        ("encoder decoder", ["elbo"], {"encoder": "learns", "decoder": "learns"}),
        ("decoder", ["elbo"], {"encoder": "stops", "decoder": "learns"}),
        (
            "generator",
            ["reverse_kl", "latent_nll"],
            {"generator": "learns", "encoder": "passes", "critic": "passes", "prior": "stops"},
        ),
        ("critic", ["discriminate"], {"critic": "learns", "generator": "stops", "prior": "stops"}),
    ],
)
def test_what_a_row_does_to_each_slot(players, terms, expected):
    slots, arguments = row(players, *terms)
    assert route(graph(), slots, [needs for _, needs in arguments]) == expected


def test_a_held_value_keeps_slots_out_of_the_table():
    g = graph(code=("decoder", "z_posterior_held"))
    assert route(g, frozenset({"decoder"}), [{"code": "code"}]) == {"decoder": "learns"}
