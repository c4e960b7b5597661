"""What a name means among plugins that are made up here: every sentence that helps, word for word."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from zoo import api
from zoo.errors import RequestError
from zoo.registry import AmbiguousName, Plugin
from zoo.registry.catalogue import Catalogue, Package
from zoo.registry.names import Collision, choose, collisions, order, split, unknown


@dataclass(frozen=True)
class Named:
    distribution: str
    name: str = "net"
    kind: str = "encoder"

    @property
    def id(self) -> str:
        return f"{self.distribution}/{self.name}"


OURS, A, B = Named("generative-zoo"), Named("zoo-a"), Named("zoo-b")
WELL = Plugin(
    "a",
    "zoo-a",
    "1.0",
    components=(api.Component("encoder", "net", "a:Net", "a net"), api.Component("term", "loss", "a:loss", "a loss")),
    recipes=(api.Recipe("model", "a:model.yaml", "a model"),),
)
ILL = Plugin("b", "zoo-b", "2.0", "broken", ("it is torn", "and more"))
WORSE = Plugin("c", "zoo-b", "2.0", "disabled", ("nobody wants it",), traceback="Traceback")


def test_a_name_with_and_without_its_package() -> None:
    assert split("net") == ("", "net")
    assert split("Zoo_A/net") == ("zoo-a", "net")
    assert split("a/b/net") == ("a/b", "net")


def test_our_own_come_first_and_files_last() -> None:
    names = ["zoo-a", "local", "generative-zoo", "aaa"]
    assert sorted(names, key=order) == ["generative-zoo", "aaa", "zoo-a", "local"]


# -- one of several ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("candidates", "pins", "meant"),
    [
        ([A], {}, A),
        ([A, OURS], {}, OURS),
        ([A, B], {"encoder/net": "zoo-b"}, B),
        ([A, B], {"net": "zoo-b"}, B),
        ([A, B], {"encoder/net": "zoo-a", "net": "zoo-b"}, A),
        ([A, OURS], {"net": "zoo-a"}, A),
    ],
)
def test_which_is_meant(candidates: list[Named], pins: dict[str, str], meant: Named) -> None:
    assert choose(candidates, "encoder", "net", pins) is meant


def test_nothing_says_which_is_meant() -> None:
    with pytest.raises(AmbiguousName) as caught:
        choose([B, A], "encoder", "net", {"decoder/net": "zoo-a", "other": "zoo-a"})
    assert str(caught.value) == (
        "encoder 'net' is provided by 2 packages; choose 'zoo-a/net' or 'zoo-b/net', "
        "or pin it in registry.yaml (pins: {encoder/net: zoo-a})"
    )


@pytest.mark.parametrize(
    ("pin", "why"),
    [
        ("zoo-b", "which is not available: zoo-b 2.0, whose plugin 'b' is broken: it is torn; and more"),
        ("zoo-aa", "which is not installed; did you mean 'zoo-a'?"),
        ("quite-else", "which is not installed: pip install quite-else, or change the pin; choices: zoo-a"),
        ("zoo-empty", "which does not provide it; choices: zoo-a"),
    ],
)
def test_a_pin_that_leads_nowhere(pin: str, why: str) -> None:
    plugins = [WELL, ILL, Plugin("e", "zoo-empty", "1")]
    with pytest.raises(RequestError) as caught:
        choose([A], "encoder", "net", {"net": pin}, plugins)
    assert str(caught.value) == f"encoder 'net' is pinned to '{pin}', {why}"


def test_names_with_several_providers() -> None:
    entries = [("encoder", B), ("encoder", Named("zoo-a", "lone")), ("term", A), ("encoder", A), ("encoder", OURS)]
    [found] = collisions(entries, {})
    assert found == Collision("encoder", "net", ("generative-zoo", "zoo-a", "zoo-b"), "generative-zoo", False)
    [pinned] = collisions(entries, {"encoder/net": "zoo-b"})
    assert (pinned.meant, pinned.pinned) == ("zoo-b", True)
    [open_] = collisions([("encoder", B), ("encoder", A)], {})
    assert (open_.providers, open_.meant, open_.pinned) == (("zoo-a", "zoo-b"), "", False)


@pytest.mark.parametrize(
    ("meant", "pinned", "said"),
    [
        ("", False, "is ambiguous: pin it in registry.yaml (pins: {term/t: zoo-a})"),
        ("zoo-b", True, "means that of zoo-b (pinned)"),
        ("zoo-a", False, "means that of zoo-a (first-party)"),
        ("zoo-c", True, "is pinned to zoo-c, which does not provide it"),
    ],
)
def test_a_collision_in_words(meant: str, pinned: bool, said: str) -> None:
    found = Collision("term", "t", ("zoo-a", "zoo-b"), meant, pinned)
    assert str(found) == f"term 't' is provided by zoo-a and zoo-b; a bare 't' {said}"


# -- nobody --------------------------------------------------------------------------------------------------

KNOWN = Catalogue(
    packages={
        "zoo-a": Package(provides={"encoder": ("net", "newer")}),
        "zoo-b": Package(provides={"encoder": ("torn",)}, recipes=("torn-model",)),
        "zoo-far": Package(provides={"encoder": ("far",), "critic": ("judge",)}),
        "zoo-off": Package(provides={"encoder": ("far",)}),
    }
)
HERE = [Named("zoo-a", "model", "recipe"), A, Named("zoo-c", "other"), Named("zoo-a", "loss", "term")]
TORN = "zoo-b 2.0, whose plugin 'b' is broken: it is torn; and more"
GONE = "'c' is disabled: nobody wants it (zoo plugins --traceback c shows more)"


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        # with its package
        ("encoder", "zoo-a/nett", "'zoo-a' has no encoder 'nett'; did you mean 'net'?"),
        ("term", "zoo-a/net", "'zoo-a' has no term 'net'; choices: loss"),
        ("recipe", "zoo-a/modl", "'zoo-a' has no recipe 'modl'; did you mean 'model'?"),
        ("encoder", "zoo-b/x", f"encoder 'zoo-b/x' is not available: {TORN}, {GONE}"),
        ("encoder", "zoo-far/x", "encoder 'zoo-far/x' needs a package that is not installed: pip install zoo-far"),
        ("encoder", "zoo-aa/x", "no package 'zoo-aa' with plugins is installed; did you mean 'zoo-a'?"),
        # without, and the catalogue knows who has it
        ("encoder", "torn", f"encoder 'torn' comes with {TORN}, {GONE}"),
        ("recipe", "torn-model", f"recipe 'torn-model' comes with {TORN}, {GONE}"),
        (
            "encoder",
            "far",
            "there is no encoder 'far' here, but zoo-far and zoo-off have it: "
            "pip install zoo-far or pip install zoo-off",
        ),
        (
            "encoder",
            "newer",
            "there is no encoder 'newer' in zoo-a 1.0, which is installed, "
            "but another version has it: pip install --upgrade zoo-a",
        ),
        # of another kind, here or elsewhere
        ("encoder", "loss", "'loss' is a term, not an encoder; choices: net, other"),
        ("term", "net", "'net' is an encoder, not a term; choices: loss"),
        ("encoder", "judge", "'judge' is a critic, not an encoder; choices: net, other"),
        ("decoder", "judge", "'judge' is a critic, not a decoder"),
        # nowhere
        ("encoder", "othr", "there is no encoder 'othr'; did you mean 'other'?"),
        (
            "encoder",
            "zzz",
            "there is no encoder 'zzz'; choices: net, other (it may be one of these: plugin 'b' of zoo-b is broken, "
            "'c' of zoo-b is disabled; 'zoo plugins' says why)",
        ),
    ],
)
def test_a_name_that_nothing_answers_to(kind: str, name: str, said: str) -> None:
    assert str(unknown(kind, name, HERE, [WELL, ILL, WORSE], KNOWN)) == said


def test_who_may_have_had_it() -> None:
    alone = unknown("encoder", "zzz", [], [WELL, WORSE], Catalogue())
    assert str(alone) == f"there is no encoder 'zzz' (it may be one of zoo-b 2.0, whose plugin {GONE})"
    assert str(unknown("encoder", "zzz", [], [WELL], Catalogue())) == "there is no encoder 'zzz'"
