"""``zoo schema``: what the loader takes it takes; what the loader refuses it refuses, as far as JSON Schema can say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from conftest import Run, costs_less, without_torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator as Validator

from zoo.errors import RecipeError
from zoo.recipe import load_recipe, write_recipe
from zoo.recipe.json_schema import recipe_schema
from zoo.recipe.sections import SECTIONS
from zoo.recipe.yaml.read import read
from zoo.registry import REQUIRED, Entry, Registry, check_options, clear_cache, load_registry

ROOT = Path(__file__).parents[2]
STRANGER = Path(__file__).parents[1] / "parts" / "stranger"
REGISTRY = load_registry()
SCHEMA = recipe_schema(REGISTRY)
RECIPE = Validator(SCHEMA)
MODELINE = "# yaml-language-server: $schema=zoo.schema.json"
YAML = re.compile(r"^```yaml\n(.*?)^```", re.DOTALL | re.MULTILINE)


def faults(text: str, validator: Any = RECIPE) -> list[str]:
    """What an editor underlines."""
    return [
        f"{'.'.join(map(str, e.absolute_path))}: {e.message}" for e in validator.iter_errors(read(text, "r").plain())
    ]


def follow(schema: Any) -> Any:
    """The definition that a schema refers to."""
    return SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]


def refused(content: Mapping[str, Any]) -> bool:
    """Whether the loader refuses a recipe."""
    try:
        load_recipe(content, registry=REGISTRY)
    except RecipeError:
        return True
    return False


# -- the schema ------------------------------------------------------------------------------------------------


def test_it_is_a_schema_of_draft_2020_12() -> None:
    """Each distinct piece of it is checked once: a definition without its properties, and a property without texts."""
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    defined = silent(SCHEMA["$defs"])
    pieces = [{**one, "properties": {}} for one in defined.values()]
    pieces += [each for one in defined.values() for each in one.get("properties", {}).values()]
    distinct = {json.dumps(piece): piece for piece in pieces}
    Validator.check_schema({**SCHEMA, "$defs": distinct})


def silent(schema: Any) -> Any:
    """A schema whose descriptions, which are texts, are empty."""
    if isinstance(schema, dict):
        return {
            key: "" if key == "description" and isinstance(text, str) else silent(text) for key, text in schema.items()
        }
    return [*map(silent, schema)] if isinstance(schema, list) else schema


def test_every_reference_leads_to_a_definition_and_every_definition_is_used() -> None:
    text = json.dumps(SCHEMA)
    assert set(re.findall(r'"\$ref": "#/\$defs/([^"/]+)', text)) == set(SCHEMA["$defs"])


def test_it_has_every_section_with_a_description() -> None:
    assert SCHEMA["properties"]["extends"]["description"]
    for definition in ("recipe", "alone.recipe"):
        properties = SCHEMA["$defs"][definition]["properties"]
        assert {*SECTIONS, "latent", "seed"} <= properties.keys()
        for name, schema in properties.items():
            assert name == "extends" or schema.get("description") or follow(schema)["description"], name


def test_options_have_types_defaults_and_descriptions() -> None:
    timm = SCHEMA["$defs"]["encoder.generative-zoo.timm.component"]["properties"]
    assert timm["stem"]["anyOf"] == [{"enum": ["auto", "keep", "small"]}, {"type": "null"}]
    assert timm["model"]["default"] == "resnet18"
    assert timm["model"]["description"].startswith("a name of ``timm.list_models()``")
    assert SCHEMA["$defs"]["optimizer.generative-zoo.adam.component"]["properties"]["betas"]["default"] == [0.5, 0.999]
    train = follow(SCHEMA["then"])["properties"]["train"]
    assert train["properties"]["steps"]["minimum"] == 1
    for key, _, option in options():
        for over in OVER[key.startswith("term.")]:
            assert SCHEMA["$defs"][over + key]["properties"][option.name].get("description"), f"{key} {option.name}"


def test_every_default_is_right() -> None:
    for definition in SCHEMA["$defs"].values():
        for schema in definition.get("properties", {}).values():
            if isinstance(schema, dict) and "default" in schema:
                assert RECIPE.evolve(schema={"$defs": SCHEMA["$defs"], **schema}).is_valid(schema["default"]), schema


def test_names_are_told_by_kind() -> None:
    bare, _ = SCHEMA["$defs"]["encoder.name"]["anyOf"]
    assert {"avae-paper", "dcgan", "timm"} <= set(bare["enum"])
    assert len(bare["enum"]) == len(bare["enumDescriptions"])
    assert "dcgan-joint" not in bare["enum"]
    assert SCHEMA["properties"]["extends"]["anyOf"][0]["enum"] == [recipe.name for recipe in REGISTRY.recipes()]


# -- the command -----------------------------------------------------------------------------------------------


def test_it_prints_the_schema_without_torch_quickly_and_twice_the_same(here: Path) -> None:
    outcome = without_torch(["schema"], here)
    assert outcome.code == 0
    assert json.loads(outcome.out) == SCHEMA
    assert costs_less(["schema"], 10, ["list", "encoder"], here)
    assert without_torch(["schema"], here) == outcome
    assert len(outcome.out) < 1_000_000
    assert str(ROOT) not in outcome.out


def test_it_writes_a_file_that_recipes_name(run_zoo: Run, here: Path) -> None:
    assert run_zoo("schema", "--out", "zoo.schema.json").out == f"zoo.schema.json: begin a recipe with '{MODELINE}'\n"
    assert json.loads((here / "zoo.schema.json").read_text()) == SCHEMA
    assert json.loads(run_zoo("schema", "--out", "again.json", "--json").out) == {"file": "again.json"}
    assert json.loads(run_zoo("schema", "--json").out) == SCHEMA
    assert run_zoo("schema", "--plugin", "absent.py").code == 2


PLUGIN = """\
from zoo import api


class Narrow:
    \"\"\"A critic of two sorts.\"\"\"

    def __init__(self, channels: int, *, mode: str = "narrow", depth: int, taps: tuple[int, str] = (1, "a")): ...


class Wide:
    \"\"\"The other sort.\"\"\"

    def __init__(self, channels: int, *, mode: str = "wide", width: int | None = 3, sizes: dict[str, float] = {}): ...


@api.hookimpl
def zoo_components():
    variants = {"narrow": f"{__name__}:Narrow", "wide": f"{__name__}:Wide"}
    torn = api.Component("critic", "torn", f"{__name__}:Absent", "is not there")
    return [api.Component("critic", "mine", f"{__name__}:Narrow", "mine", by="mode", variants=variants), torn]
"""


CRITICS = {
    "mine": True,
    "{use: mine, depth: 3, taps: [1, b]}": True,
    "{use: local/mine, mode: wide, width: null, sizes: {a: 1.5}}": True,
    "{use: mine, mode: wide, depth: 3}": False,
    "{use: mine, mode: high}": False,
    "{use: mine, taps: [1]}": False,
    "{use: mine, mode: wide, sizes: {a: b}}": False,
    "torn": False,
}


def test_a_plugin_file_adds_its_parts(run_zoo: Run, here: Path) -> None:
    (here / "sorts.py").write_text(PLUGIN)
    mine = Validator(json.loads(run_zoo("schema", "--plugin", "sorts.py").out))
    over = {critic: not faults(f"extends: avae\nslots: {{critic: {critic}}}\n", mine) for critic in CRITICS}
    assert over == CRITICS
    alone = {critic: not faults(ALONE.replace("prior:", f"critic: {critic}, prior:"), mine) for critic in CRITICS}
    assert alone == {**CRITICS, "mine": False}  # it has no depth


# -- what the loader takes -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """The registry with the stranger's package in it."""
    info = tmp_path_factory.mktemp("site") / "zoo_stranger-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: zoo-stranger\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[zoo]\nstranger = zoo_stranger\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(info.parent))
        patch.syspath_prepend(str(STRANGER))
        clear_cache()
        yield load_registry()
    clear_cache()


def test_every_bundled_recipe_as_written_and_as_resolved(stranger: Registry) -> None:
    validator = Validator(recipe_schema(stranger))
    recipes = stranger.recipes()
    assert {"avae", "vqgan"} <= {recipe.name for recipe in recipes}
    for recipe in recipes:
        assert [recipe.name, faults(recipe.file.read_text(), validator)] == [recipe.name, []]
    resolved = {recipe.name: load_recipe(recipe.file, registry=stranger) for recipe in recipes}
    for name in covering({name: recipe.plain() for name, recipe in resolved.items()}):
        assert [name, faults(write_recipe(resolved[name]), validator)] == [name, []]


def covering(recipes: Mapping[str, Any]) -> Iterator[str]:
    """Few recipes in which there is every part that all of them have."""
    parts = {name: set(used(plain)) for name, plain in recipes.items()}
    left = set().union(*parts.values())
    while left:
        most = max(parts, key=lambda name: len(parts[name] & left))
        left -= parts[most]
        yield most


def used(plain: Any, section: str = "") -> Iterator[tuple[str, str]]:
    """The parts of a recipe, by their sections."""
    if isinstance(plain, dict) and "use" in plain:
        yield section, plain["use"]
    keys = plain if isinstance(plain, dict) else [section] * len(plain) if isinstance(plain, list) else ()
    below = plain.values() if isinstance(plain, dict) else plain if isinstance(plain, list) else ()
    for key, value in zip(keys, below, strict=True):
        yield from used(value, section or key)


@pytest.mark.parametrize("page", ["README.md", "docs/recipes.md"])
def test_every_recipe_of_the_docs(page: str) -> None:
    for text in YAML.findall((ROOT / page).read_text()):
        whole = text if "extends" in read(text, page).plain() else f"extends: avae\n{text}"
        assert faults(whole) == [], text


TAKEN = [
    "slots: {encoder: timm}",
    "slots: {encoder: generative-zoo/timm}",
    "slots: {encoder: {use: Generative_Zoo/timm, model: resnet34}}",
    "slots: {encoder: {norm: group, width: null}, critic: {norm: batch}}",
    "slots: {critic_2: {kind: critic, use: dcgan}, my_critic: {use: dcgan, width: 4}}",
    "slots: {größe_critic: dcgan}",
    "values: {z_posterior: posterior_mean, noise: {use: noise}, generated: {with: {z: z_posterior}}}",
    "values: {judged: {use: posterior, with: {x: reconstruction_held}}}",
    "phases: [{encoder+decoder: {reconstruction: on, kl: 1}, generator: {reverse_kl: true}}]",
    "phases: [{encoder.body + decoder: {reconstruction: 1, generative-zoo/kl: {weight: 2}}}]",
    "phases: [{encoder + decoder: {reconstruction: {from: 0, to: 1}, kl: {from: 1, to: 2, steps: 9, shape: cosine}}}]",
    "phases: [{encoder + decoder: {reconstruction: 1, kl: [{from: 0, to: 1, steps: 9}, {to: 0, shape: cosine}]}}]",
    "phases: [{encoder + decoder: {reconstruction: {weight: [{from: 0, to: 1}]}}}]",
    "phases: [{encoder + decoder: {sharp: {use: reconstruction, distance: absolute, weight: {from: 0, to: 1}}}}]",
    "phases: [{encoder + decoder: {reconstruction: {}, kl: {with: {posterior: posterior_generated}, weight: off}}}]",
    "phases: [{rows: {encoder + decoder: {reconstruction: 1}}, repeat: 5, fresh: true, every: 2, start: 100}]",
    "phases: [{encoder + decoder: {reconstruction: 1}, generator: {reverse_kl: 1, entropy: {estimator: score}}}]",
    "phases: [{encoder + decoder: {reconstruction: 1}, generator: {reverse_kl: 1, entropy: off}}]",
    "train: {optimizer: {use: adam, rate: [{from: 1, to: 1, steps: 5}, {to: 0.1, shape: exponential}]}}",
    "train: {ema: {from: 0.9, to: 0.999, steps: 500}}",
    "train: {optimizer: {betas: [0.5, [{from: 0.9, to: 0.99, steps: 9}, {to: 0.9}]]}}",
    "slots: {encoder: {weights: runs/vae}, decoder: {weights: 'hf://org/name/vae.safetensors#decoder'}}",
    "train: {optimizer: sgd, optimizers: {critic: {lr: 4e-4, rate: {from: 1, to: 0.02, shape: exponential}}}}",
    "train: {optimizer: {rate: {steps: 10}}, optimizers: {critic: null, encoder: {use: sgd, momentum: 0.9}}}",
    "train: {ema: 0, clip: 10, precision: auto, steps: null}",
    "evaluate: mse",
    "evaluate: [generative-zoo/mse, edges: {use: edges, with: {reconstruction: sample}}, {use: frechet, resize: null}]",
    "evaluate: {mse: null, other: {use: edges}, mse_decoded: {with: {reconstruction: decoded}}}",
    "evaluate: []\naugment: [flip]\nwatch: null",
    "outputs: {sample: generated, mine: z, decoded: null}\nevaluate: [mse]",
    'name: "20"\nseed: 3\nnoise: null\nbatch_stats: batch',
]


@pytest.mark.parametrize("text", TAKEN)
def test_what_may_be_written_over_a_base(text: str) -> None:
    whole = f"extends: avae\n{text}\n"
    assert faults(whole) == []
    assert not refused(read(whole, "r").plain())


# -- what the loader refuses -----------------------------------------------------------------------------------

OVER_A_BASE = [
    "evalute: [mse]",
    "latent: 0",
    "latent: x",
    "latent: []",
    "latent: [4, 0]",
    "latent: [4, 2.5]",
    "noise: 1.5",
    "seed: -1",
    'seed: "1"',
    "name: ../up",
    "name: ..",
    "batch_stats: often",
    "data: 3",
    "data: null",
    "data: {sise: 8}",
    "data: {size: 0}",
    "data: {crop: [1, 2, 3]}",
    "data: {use: digits, contrast: 0.1}",
    "slots: null",
    "slots: 3",
    "slots: {encoder: dcgn}",
    "slots: {encoder: {use: dcgan-joint}}",
    "slots: {encoder: {use: 3}}",
    "slots: {encoder: {use: dcgan, upsample: resize}}",
    "slots: {encoder: {widht: 3}}",
    'slots: {encoder: {width: "3"}}',
    "slots: {encoder: {use: dcgan, norm: bach}}",
    "slots: {encoder: {kind: encodr}}",
    "slots: {encoder: {use: timm, with: {imgs: x}}}",
    "slots: {a.b: {kind: encoder, use: dcgan}}",
    "slots: {x: {kind: encoder, use: dcgan}}",
    "slots: {class: {kind: encoder, use: dcgan}}",
    "values: {noise: {scale: 2}}",
    "values: {draw: posterior}",
    "values: {z: [posterior]}",
    "phases: []",
    "phases: null",
    "phases: {encoder: {kl: 1}}",
    "phases: [3]",
    "phases: [{encoder: kl}]",
    "phases: [{encoder: {}}]",
    "phases: [{encoder: {kl: off}}]",
    "phases: [{encoder +: {kl: 1}}]",
    "phases: [{encoder: {kll: 1}}]",
    "phases: [{encoder: {kl: heavy}}]",
    "phases: [{encoder: {kl: null}}]",
    "phases: [{encoder: {kl: {from: 1, steps: 2}}}]",
    "phases: [{encoder: {kl: [{to: 1, steps: 2}]}}]",
    "slots: {encoder: {weights: 3}}",
    "train: {ema: fast}",
    "train: {ema: [{to: 0.5}]}",
    "train: {optimizer: {use: adam, betas: [0.5]}}",
    "train: {optimizer: {use: adam, betas: [0.5, {from: 0.9}]}}",
    "phases: [{encoder: {kl: [{from: 0, to: 1, steps: 2}, {}]}}]",
    "phases: [{encoder: {kl: [{from: 0, to: 1, steps: 2}, {to: 1, from: 0, shape: steep}]}}]",
    "train: {optimizer: {use: adam, rate: [{from: 1, to: 1, steps: 5}, {to: -1}]}}",
    "phases: [{encoder: {kl: {from: 1, too: 2, to: 2}}}]",
    "phases: [{encoder: {kl: {from: 0, to: 2, shape: exponential}}}]",
    "phases: [{encoder: {reconstruction: {sigma: wide}}}]",
    "phases: [{encoder: {kl: {with: {postrior: posterior}}}}]",
    "phases: [{encoder: {sharp: {distance: absolute}}}]",
    "phases: [{encoder: {kl: 1}, generator: {entropy: {estimator: gess}}}]",
    "phases: [{encoder: {kl: 1}, generator: {entropy: {estimator: score, k: 2}}}]",
    "phases: [{rows: {encoder: {kl: 1}}, evry: 2}]",
    "phases: [{rows: {encoder: {kl: 1}}, repeat: 0}]",
    "outputs: {sample: [1]}",
    "outputs: generated",
    "train: {optimiser: adam}",
    "train: {steps: 0}",
    "train: {ema: 1.0}",
    "train: {precision: half}",
    "train: {optimizer: {rat: 1}}",
    "train: {optimizer: {rate: -1}}",
    "train: {optimizer: adm}",
    "train: {optimizers: {critic: 3}}",
    "evaluate: [msee]",
    "evaluate: [3]",
    "evaluate: [mse, mse]",
    "evaluate: [{mse: {resize: 3}}]",
    "evaluate: [{use: mse, model: resnet18}]",
    "augment: [turn]",
    "watch: {log: {use: nobody}}",
    "extends: ''",
]
ALONE = """\
data: photos
latent: 8
slots: {encoder: dcgan, decoder: {use: dcgan}, prior: normal}
phases: [{encoder + decoder: {reconstruction: 1.0, kl: 1.0}}]
outputs: {sample: decoded_prior}
train: {steps: 5, optimizer: {lr: 1e-3, rate: {from: 1, to: 0}}}
evaluate: {mse: {with: {reconstruction: sample}}}
"""
WITHOUT_A_BASE = [  # what stands in ALONE -> what is written instead
    ("data: photos", ""),
    ("data: photos", "data: {size: 8}"),
    ("phases:", "# "),
    ("latent: 8", "noise: null"),
    ("encoder: dcgan", "encoder: {width: 3}"),
    ("encoder: dcgan", "encoder: null"),
    ("encoder: dcgan", "encoder: {use: dcgan, width: null}"),
    ("encoder: dcgan", "encoder: dcgan, thing: dcgan"),
    ("steps: 5", "steps: null"),
    ("lr: 1e-3", "momentum: 0.9"),
    ("{from: 1, to: 0}", "{steps: 3}"),
    ("sample: decoded_prior", "sample: null"),
    ("{mse: {", "{score: {"),
    ("{mse: {with: {reconstruction: sample}}}", "{mse: {with: null}}"),
]


@pytest.mark.parametrize("text", OVER_A_BASE)
def test_what_is_wrong_over_a_base(text: str) -> None:
    whole = text if text.startswith("extends") else f"extends: avae\n{text}\n"
    assert faults(whole)
    assert refused(read(whole, "r").plain())


@pytest.mark.parametrize(("there", "instead"), WITHOUT_A_BASE)
def test_what_is_wrong_without_a_base(there: str, instead: str) -> None:
    assert faults(ALONE) == []
    assert not refused(read(ALONE, "r").plain())
    text = ALONE.replace(there, instead)
    assert text != ALONE
    assert faults(text)
    assert refused(read(text, "r").plain())


# -- options, one by one -----------------------------------------------------------------------------------------

PROBES = [None, True, False, 0, 1, 3, -1, 10**9, 0.5, -2.5, 1e-4, "", "on", "1", "head", "batch", "none", "a b"]
VERDICTS: dict[str, list[bool]] = {}
OVER = {False: ("", "alone."), True: ("alone.",)}
"""Prefixes of a component's definitions: over a base, and over none, as terms always are."""
PROBES += [[], [1], [1, 2], [0.5, 0.9], [1, "a"], ["a", "b"], [[1]], {}, {"a": 1}, {"a": "b"}, {"use": "dcgan"}]


def options() -> Iterator[tuple[str, Entry, Any]]:
    """Every option of every installed component of recipes: its definition, whose it is, itself."""
    for entry in (entry for entry in REGISTRY.components() if entry.kind != "exporter"):
        for value, one in zip(entry.part.variants or [""], entry.variants(), strict=True):
            key = ".".join(filter(None, (entry.kind, entry.distribution, entry.name, value, "component")))
            yield from ((key, one, option) for option in one.signature.options)


def wrong(entry: Entry, option: Any) -> list[bool]:
    """The loader's verdict on each probe; of options of one type it is the same."""
    if option.type_text not in VERDICTS:
        found = [check_options(entry.signature, {option.name: value})[1] for value in probes(option)]
        VERDICTS[option.type_text] = [any(p.path[:1] == (option.name,) for p in problems) for problems in found]
    return VERDICTS[option.type_text]


def probes(option: Any) -> list[Any]:
    """Values of every type."""
    return [*PROBES, *getattr(option.type, "__args__", ())]


def test_the_verdict_on_a_value_is_the_loaders() -> None:
    compared = 0
    for key, entry, option in options():
        for over in OVER[entry.kind == "term"]:
            validator = RECIPE.evolve(schema=SCHEMA["$defs"][over + key]["properties"][option.name])
            for value, refused in zip(probes(option), wrong(entry, option), strict=True):
                if option.type_text == "Scheduled" and isinstance(value, list | dict):
                    continue  # as a schedule, which the whole recipes above hold
                compared += 1
                removed = value is None and not over  # over a base null removes
                assert validator.is_valid(value) == (removed or not refused), f"{over}{key}: {option.name}: {value!r}"
    assert compared > 6000


# -- recipes nobody wrote ----------------------------------------------------------------------------------------

WEIGHTS = st.sampled_from(
    [1, 0.5, -0.1, 0, True, "on", "off", {"from": 0, "to": 1}, {"from": 2, "to": 1, "steps": 9, "shape": "exponential"}]
)
NUMBERS = {"int": st.integers(1, 64), "float": st.floats(0.01, 1), "bool": st.booleans()}


@st.composite
def parts(draw: st.DrawFn, kind: str) -> Any:
    """A component in one of the ways to write it, some of its options set."""
    fitting = [entry for entry in REGISTRY.components(kind) if not entry.name.endswith("joint")]
    entry = draw(st.sampled_from(fitting))
    name = draw(st.sampled_from([entry.name, entry.id]))
    chosen = draw(st.lists(st.sampled_from(entry.signature.options or [None]), max_size=3))
    default = [(o, "x" if o.default is REQUIRED else o.default) for o in chosen if o]
    values = {o.name: draw(NUMBERS.get(o.type_text, st.just(value))) for o, value in default}
    plain = json.loads(json.dumps(values))
    return draw(st.sampled_from([{"use": name, **plain}, {"use": name, **plain}, name, plain]))


TERMS = st.one_of(WEIGHTS, st.fixed_dictionaries({}, optional={"weight": WEIGHTS}))
ROWS = st.fixed_dictionaries(
    {
        "encoder + decoder": st.fixed_dictionaries(
            {"reconstruction": TERMS}, optional={"kl": TERMS, "kl_2": parts("term")}
        ),
        "critic": st.fixed_dictionaries({"discriminate": TERMS}),
    },
    optional={
        "generator": st.dictionaries(st.sampled_from(["reverse_kl", "latent_nll", "entropy"]), TERMS, min_size=1)
    },
)
TIMED = st.fixed_dictionaries({"rows": ROWS}, optional={"repeat": st.integers(1, 3), "fresh": st.booleans()})
SECTIONS_OF = {
    "name": st.sampled_from(["mine", "a b", "20%"]),
    "latent": st.integers(1, 9) | st.lists(st.integers(1, 9), min_size=1, max_size=1) | st.none(),
    "batch_stats": st.sampled_from(["running", "batch"]),
    "data": parts("data"),
    "slots": st.fixed_dictionaries(
        {},
        optional={k: parts(k) for k in ("encoder", "decoder", "generator", "critic")} | {"my_critic": parts("critic")},
    ),
    "values": st.dictionaries(
        st.sampled_from(["z_posterior", "mine"]),
        st.sampled_from(["posterior_mean", {"use": "z"}, {"use": "z_posterior", "with": {"posterior": "posterior"}}]),
    ),
    "phases": st.lists(ROWS | TIMED, min_size=1, max_size=2),
    "outputs": st.just({"sample": "generated", "mine": "decoded_prior"}),
    "train": st.fixed_dictionaries(
        {},
        optional={
            "steps": st.integers(1, 9) | st.none(),
            "ema": st.sampled_from([0, 0.5, 0.999]),
            "optimizer": parts("optimizer"),
            "optimizers": st.dictionaries(st.sampled_from(["encoder", "critic"]), parts("optimizer")),
        },
    ),
    "evaluate": st.lists(st.sampled_from(["mse", {"other": {"use": "mse"}}, {"edges": None}]), unique_by=str),
}


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.filter_too_much])
@given(overlay=st.fixed_dictionaries({}, optional=SECTIONS_OF), extends=st.booleans())
def test_what_the_loader_takes_has_no_fault(overlay: dict[str, Any], extends: bool) -> None:
    avae = read((ROOT / "plugins" / "zoo_avae" / "avae.yaml").read_text(), "avae").plain()
    content = {"extends": "avae", **overlay} if extends else {**avae, **overlay}
    assume(not refused(content))
    assert [error.message for error in RECIPE.iter_errors(content)] == []
