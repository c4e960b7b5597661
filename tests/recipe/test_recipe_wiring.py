"""Who asks for what in a recipe, before torch is imported: learners, values of others."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoo import api
from zoo.compare.tables import find_table, tree
from zoo.errors import RecipeError
from zoo.recipe import Recipe, load_recipe, registry_for
from zoo.recipe.yaml.tree import is_component
from zoo.registry import Plugin, Registry, load_registry

PARTS = Path(__file__).parents[1] / "parts" / "wiring_parts.py"
BASE = "extends: avae\ndata: {use: photos, size: 8}\nlatent: 5\n"
pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture(scope="module")
def registry() -> Registry:
    return registry_for({}, [PARTS])


def recipe(text: str, registry: Registry, base: str = BASE) -> Recipe:
    Path("r.yaml").write_text(f"{base}{text}\n")
    return load_recipe("r.yaml", registry=registry)


def problems(text: str, registry: Registry, base: str = BASE) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        recipe(text, registry, base)
    return str(caught.value).replace(" error:", "").splitlines()


def test_a_network_of_a_terms_own_has_a_row_of_its_own(registry: Registry) -> None:
    found = recipe("phases: [{generator: {reverse_kl: 1, reader: {weight: 2, bias: false}}}]", registry)
    [generator, reader] = found.phases[0].played
    assert (generator.label, reader.label, reader.slots) == ("generator", "reader", frozenset({"reader"}))
    [term] = reader.terms
    assert (term.label, term.weight(0), term.part.learning) == ("learn", 1.0, True)
    assert term.part.arguments == {"self": "reader", "generated_held": "generated_held", "z": "z"}
    assert generator.terms[1].part.arguments == {"self": "reader", "generated": "generated", "z": "z"}
    assert found.players() == ("generator", "reader")
    assert found.learners() == {"reader": generator.terms[1].part}
    assert list(found.train.optimizers) == ["generator", "reader"]
    assert term.part.key != generator.terms[1].part.key
    assert list(found.phases[0].plain()["rows"]) == ["generator"]


def test_the_same_network_in_two_rows_learns_once(registry: Registry) -> None:
    text = "phases:\n  - generator: {reverse_kl: 1, reader: 1}\n    generator + encoder: {kl: 1, reader: 2}\n"
    found = recipe(text, registry)
    assert [row.label for row in found.phases[0].played] == ["generator", "generator + encoder", "reader"]


CURE = "call it something else: 'other: {use: reader, ...}'"


def test_a_network_of_its_own_needs_a_name_of_its_own(registry: Registry) -> None:
    text = "phases:\n  - generator: {reverse_kl: 1, reader: 1}\n  - generator: {reader: {bias: false}}\n"
    assert problems(text, registry) == [
        "r.yaml:6:17: term 'reader' owns networks that learn, and another term of that name, line 5, has its own; "
        + CURE
    ]
    text = "phases: [{generator: {reverse_kl: 1, critic: {use: reader}}}]"
    assert problems(text, registry) == [
        f"r.yaml:4:38: term 'critic' owns networks that learn, and a slot has that name; {CURE}"
    ]


def test_data_has_a_size_and_channels(registry: Registry) -> None:
    for name, option in (("sizeless", "size"), ("colourless", "channels")):
        said = f"r.yaml:2:1: data '{name}' has no option '{option}', which every data of images needs"
        assert problems(f"data: {name}", registry, "extends: avae\n") == [said]
    assert problems("data: {use: photos, size: -1}", registry, "extends: avae\n") == [
        "r.yaml:2:21: 'size' must be at least 1, not -1"
    ]


def test_what_an_augmentation_and_a_watcher_may_ask_for(registry: Registry) -> None:
    assert [part.label for part in recipe("augment: still", registry).augment] == ["still"]
    assert problems("augment: [labelled]", registry) == [
        "r.yaml:4:11: augmentation 'labelled' asks for 'labels'; an augmentation is given 'images' and 'draw' only"
    ]
    assert problems("watch: {curious: }", registry) == [
        "r.yaml:4:9: watcher 'curious' asks for 'model'; a watcher is given 'folder' and 'recipe' only"
    ]


def test_a_part_that_cannot_be_read_has_no_option_to_offer(registry: Registry) -> None:
    said = problems("slots: {decoder: {use: avae-paper, upsample: x}}", registry)
    assert said == ["r.yaml:4:36: decoder 'avae-paper' has no option 'upsample'; decoder 'dcgan' has it"]


def test_outputs_that_are_wrong_are_told_once(registry: Registry) -> None:
    text = "outputs: [sample]\nevaluate: [{mse: {with: {reconstruction: sample}}}]"
    assert problems(text, registry) == ["r.yaml:4:1: 'outputs' must be a mapping, not ['sample']"]
    text = "outputs: {sample: 3}\nevaluate: [{mse: {with: {reconstruction: sample}}}]"
    assert problems(text, registry) == ["r.yaml:4:11: output 'sample' must name a value, not 3"]


def test_a_metric_computes_anew_only_what_depends_on_what_it_gives(registry: Registry) -> None:
    assert recipe("evaluate: [varying]", registry).evaluate[0].computed == {"sample": ("z",)}
    assert problems("outputs: {sample: reconstruction}\nevaluate: [varying]", registry) == [
        "r.yaml:5:12: metric 'varying' computes 'reconstruction' for other values of 'z', "
        "on which it does not depend here"
    ]


# -- values that others have -------------------------------------------------------------------------------


def test_a_value_that_cannot_be_had_by_its_name(registry: Registry) -> None:
    said = problems("outputs: {sample: needy}", registry)
    assert said[0].startswith("r.yaml:4:11: output 'sample': 'needy' is asked for, which is neither a slot of this")
    Path("registry.yaml").write_text("packages: {zoo-far: {provides: {value: [faraway]}}}\n")
    Path("r.yaml").write_text(BASE + "outputs: {sample: faraway}\n")
    with pytest.raises(RecipeError) as caught:
        load_recipe("r.yaml")
    assert str(caught.value) == (
        "r.yaml:4:11: error: output 'sample': there is no value 'faraway' here, but zoo-far has it: pip install zoo-far"
    )


def test_a_value_that_two_packages_have(registry: Registry) -> None:
    value = api.Component("value", "theirs", "wiring_parts:spread", "for wiring")
    both = [Plugin(name, f"zoo-{name}", "1", components=(value,)) for name in ("a", "b")]
    crowded = Registry([*registry.plugins, *both], {})
    assert problems("outputs: {sample: theirs}", crowded) == [
        "r.yaml:4:11: output 'sample': value 'theirs' is provided by 2 packages; choose 'zoo-a/theirs' or "
        "'zoo-b/theirs', or pin it in registry.yaml (pins: {value/theirs: zoo-a})"
    ]


def test_every_part_of_a_recipe(registry: Registry) -> None:
    text = "augment: still\nevaluate: [mse]\nvalues: {mine: {use: spread}}\noutputs: {mine: mine}"
    labels = [part.label for part in recipe(text, registry).parts()]
    assert labels[:6] == ["data", "encoder", "decoder", "generator", "critic", "prior"]
    assert labels[-3:] == ["still", "mse", "tensorboard"]
    assert {"mine", "reconstruction", "discriminate", "critic"} <= set(labels[6:-3])


def test_a_value_that_breaks_the_rules_is_told_where_it_is_asked_for(registry: Registry) -> None:
    [said] = problems("outputs: {sample: starred}", registry)
    assert said == (
        "r.yaml:4:11: output 'sample': value 'starred' of local 0 (plugin 'wiring_parts') cannot be used: "
        "starred() takes **options, so its options cannot be known; name each one"
    )


def test_who_else_needs_what_was_removed(registry: Registry) -> None:
    [said] = problems("slots: {generator: null}\nvalues: {generated: {with: {z: z}}}", registry)
    assert said.startswith("r.yaml:4:9: 'generator' is removed here, and still asked for by ")


@pytest.mark.parametrize(
    ("base", "over", "name", "who"),
    [
        ("", "slots: {generator: null}", "generator", "player 'generator' of row 'generator'"),
        (
            "values: {mine: {use: spread}}\noutputs: {mine: mine}\n",
            "values: {mine: null}",
            "mine",
            "output 'mine'",
        ),
        ("evaluate: [varying]\n", "outputs: {sample: null}", "sample", "metric 'varying'"),
    ],
)
def test_what_was_removed_is_told_where_it_was(registry: Registry, base: str, over: str, name: str, who: str) -> None:
    Path("base.yaml").write_text(BASE + base)
    said = problems(over, registry, "extends: base.yaml\n")[0]
    assert said.startswith(f"r.yaml:2:{over.index('{') + 2}: '{name}' is removed here, and still asked for by {who} (")
    assert said.endswith("; remove or replace those too")


def test_what_one_alone_asks_for_is_needed_by_nobody_else(registry: Registry) -> None:
    text = "data: {use: photos, size: 8}\nslots: {encoder: dcgan}\nphases: [{encoder: {watcher_of_noise: 1, kl: 1}}]\n"
    Path("r.yaml").write_text(text + "evaluate: [mse]\n")
    with pytest.raises(RecipeError) as caught:
        load_recipe("r.yaml", registry=registry)
    assert "needed by" not in str(caught.value)


def test_an_optimizer_is_laid_over_the_common_one(registry: Registry) -> None:
    text = "train: {optimizer: {use: sgd, lr: 0.25, rate: 0.5}, optimizers: {critic: {momentum: 0.5}, encoder: adam}}"
    made = recipe(text, registry, "extends: avae\n").train.optimizers
    assert {name: (made[name].part.entry.name, made[name].rate(0)) for name in ("decoder", "critic", "encoder")} == {
        "decoder": ("sgd", 0.5),
        "critic": ("sgd", 0.5),
        "encoder": ("adam", 1.0),
    }
    critic = made["critic"].part.options
    assert (critic["lr"], critic["momentum"]) == (0.25, 0.5)
    assert made["decoder"].part.options["momentum"] == 0.0


def test_without_its_plugin_nothing_watches() -> None:
    alone = Registry([plugin for plugin in load_registry().plugins if plugin.name != "watch"], {})
    assert recipe("", alone).watch == ()


COMPONENTS = [("data",), *((section, "a") for section in ("slots", "values", "augment", "evaluate", "watch"))]
COMPONENTS += [("train", "optimizer"), ("train", "optimizers", "critic")]


def test_where_a_name_is_short_for_a_component() -> None:
    assert [path for path in COMPONENTS if not is_component(path)] == []
    others = [(), ("slots",), ("Data",), ("outputs", "a"), ("train", "steps"), ("slots", "a", "b"), ("train", "a", "b")]
    assert [path for path in (*others, ("a", "optimizers", "b"), ("data", "a")) if is_component(path)] == []


def test_a_mapping_is_a_schedule_where_the_term_has_no_such_option(registry: Registry) -> None:
    said = problems("phases: [{generator: {reverse_kl: 1, ramp: {to: 2, steps: 3}}}]", registry)
    assert said == ["r.yaml:4:38: the weight of 'ramp' needs option 'from' (a number)"]


# -- tables, and what a part is known by -------------------------------------------------------------------


def test_a_table_is_found_by_name_or_by_what_it_says() -> None:
    registry = load_registry()
    Path("t.yaml").write_text("models: {vae: {}}\n")
    Path("r.yaml").write_text("extends: avae\n# models\n")
    Path("torn.yaml").write_text("models: [\n")
    Path("t.txt").write_text("models: {vae: {}}\n")
    assert find_table("t.yaml", registry) == Path("t.yaml")
    assert [find_table(name, registry) for name in ("r.yaml", "torn.yaml", "t.txt", "avae", "nowhere")] == [None] * 5
    bundled = find_table("paper-table", registry)
    assert bundled == find_table("paper-table.yaml", registry)
    assert bundled is not None
    assert tree(bundled).child("models") is not None


def test_the_identity_of_data_leaves_out_where_it_lies() -> None:
    data = load_recipe("avae", ["data={use: svhn, root: /here, size: 8}", "train.steps=1"]).data
    plain, identity = data.plain(), data.identity()
    assert plain["root"] == "/here"
    assert set(plain) - set(identity) == {"root", "workers", "download"} & set(plain)
    assert identity["size"] == 8
