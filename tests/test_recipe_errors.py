"""Errors of recipes: the place, the value, the choices, the cure; all at once; torch only where shapes need it."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from conftest import PARTS, Run, without_torch

from zoo.registry import clear_cache

BASE = "extends: avae\ndata: {size: 8}\nlatent: 5\n"
AVAE = Path(__file__).parents[1] / "plugins" / "zoo_avae" / "avae.yaml"
pytestmark = pytest.mark.usefixtures("here")


def problems(run_zoo: Run, text: str, *arguments: object) -> list[str]:
    """What ``zoo check`` says of a recipe, each problem without ``error: ``."""
    Path("r.yaml").write_text(text)
    outcome = run_zoo("check", "r.yaml", *arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    return [line.replace(" error:", "", 1) for line in outcome.errors]


ONE_LINE = [
    # components and their options
    ("slots: {encoder: dcgn}", "4:18: there is no encoder 'dcgn'; did you mean 'dcgan'?"),
    ("slots: {encoder: {use: dcgan-joint}}", "4:24: 'dcgan-joint' is a critic, not an encoder; did you mean 'dcgan'?"),
    ("slots: {encoder: {use: 3}}", "4:19: 'use' must be the name of an encoder, not 3"),
    ("slots: {encoder: {widht: 3}}", "4:19: encoder 'dcgan' has no option 'widht'; did you mean 'width'?"),
    ('slots: {encoder: {width: "3"}}', "4:19: encoder 'dcgan' option 'width' must be a whole number, not '3' (text)"),
    ("slots: {encoder: {width: 3.0}}", "4:19: encoder 'dcgan' option 'width' must be a whole number, not 3.0"),
    (
        "slots: {encoder: {norm: bach}}",
        "4:19: encoder 'dcgan' option 'norm' must be one of 'batch', 'group', 'none', not 'bach'; "
        "did you mean 'batch'?",
    ),
    ("slots: {encoder: {kind: encodr}}", "4:19: slot 'encoder' has no kind 'encodr'; did you mean 'encoder'?"),
    (
        "slots: {a.b: {kind: encoder, use: dcgan}}",
        "4:9: slot 'a.b' is not a name; write it with letters, digits and '_', so that a parameter can ask for it",
    ),
    ("slots: {x: {kind: encoder}}", "4:9: slot 'x' has the name of what the zoo provides; call it something else"),
    ("slots: 3", "4:1: 'slots' must be a mapping, not 3"),
    # unknown keys, section by section
    ("evalute: [mse]", "4:1: a recipe has no option 'evalute'; did you mean 'evaluate'?"),
    ("noise: few", "4:1: a recipe option 'noise' must be a whole number, not 'few' (text)"),
    ("seed: -1", "4:1: 'seed' must be at least 0, not -1"),
    ("name: ../up", "4:1: 'name' is the name of the run's directory, and '../up' is a path"),
    ("train: {optimiser: adam}", "4:9: 'train' has no option 'optimiser'; did you mean 'optimizer'?"),
    ("train: {steps: many}", "4:9: 'train' option 'steps' must be a whole number, not 'many' (text)"),
    ("train: {steps: 0}", "4:9: 'steps' must be at least 1, not 0"),
    ("train: {ema: 1.0}", "4:9: 'ema' is a decay in [0, 1), not 1.0"),
    ("train: {optimizer: {rat: 1}}", "4:21: optimizer 'adam' has no option 'rat'; did you mean 'rate'?"),
    ("train: {optimizer: 3}", "4:9: 'optimizer' must name one: NAME or {use: NAME, ...}, not 3"),
    ("train: {optimizer: adm}", "4:20: there is no optimizer 'adm'; did you mean 'adam'?"),
    ("train: {optimizers: {critc: adam}}", "4:22: no row has a player 'critc'; did you mean 'critic'?"),
    (
        "train: {optimizer: {rate: -1}}",
        "4:21: 'rate' must be at least 0, not -1: a player goes down its gradient",
    ),
    ("phases: [{rows: {encoder: {kl: 1}}, evry: 2}]", "4:37: a phase has no option 'evry'; did you mean 'every'?"),
    ("phases: [{rows: {encoder: {kl: 1}}, repeat: 0}]", "4:37: 'repeat' must be at least 1, not 0"),
    # phases, rows, terms
    ("phases: []", "4:1: 'phases' must be a list with at least one item: '- players: {term: weight}'"),
    ("phases: {encoder: {kl: 1}}", "4:1: 'phases' must be a list, not a mapping: '- players: {term: weight}'"),
    ("phases: [3]", "4:10: 'phases.0' must be a mapping, not 3"),
    ("phases: [{encoder: kl}]", "4:11: row 'encoder' must say what it minimises, {term: weight}, not 'kl'"),
    ("phases: [{encoder: {}}]", "4:11: row 'encoder' minimises nothing: give it a term, 'term: weight'"),
    ("phases: [{encoder: {kl: off}}]", "4:11: row 'encoder' minimises nothing: every weight in it is 0"),
    (
        "phases: [{encodr: {kl: 1}}]",
        "4:11: player 'encodr' of row 'encodr' is no slot of this recipe; did you mean 'encoder'?",
    ),
    ("phases: [{encoder + encoder: {kl: 1}}]", "4:11: row 'encoder + encoder' names a player twice"),
    (
        "phases: [{encoder: {kl: 1}, encoder.mean: {kl: 1}}]",
        "4:29: player 'encoder.mean' is a part of player 'encoder', and would be moved twice; "
        "give it a phase of its own",
    ),
    ("phases: [{encoder: {kll: 1}}]", "4:21: there is no term 'kll'; did you mean 'kl'?"),
    (
        "phases: [{encoder: {kl: heavy}}]",
        "4:21: the weight of 'kl' must be a number, on, off or {from: A, to: B, steps: N}, not 'heavy'",
    ),
    (
        "phases: [{encoder: {kl: .nan}}]",
        "4:21: the weight of 'kl' must be a number, on, off or {from: A, to: B, steps: N}, not nan",
    ),
    ("phases: [{encoder: {kl: {from: 1, steps: 2}}}]", "4:21: the weight of 'kl' needs option 'to' (a number)"),
    (
        "phases: [{encoder: {kl: {weight: {from: 1, too: 2, to: 2, steps: 3}}}}]",
        "4:44: the weight of 'kl' has no option 'too'; did you mean 'to'?",
    ),
    (
        "phases: [{encoder: {kl: {from: 0, to: 2, steps: 3, shape: exponential}}}]",
        "4:21: the weight of 'kl': an exponential change needs two numbers of one sign, neither 0",
    ),
    ("phases: [{encoder: {kl: on, kl: off}}]", "4:29: key 'kl' is already given at r.yaml:4:21; keep one of the two"),
    (
        "phases: [{critic: {kl: 1.0}}]",
        "4:11: 'critic' learns nothing in row 'critic': no term of it reaches 'critic' ('kl' reaches encoder)",
    ),
    (
        "phases: [{encoder: {kl: {with: {postrior: posterior}}}}]",
        "4:33: term 'kl' asks for no 'postrior'; did you mean 'posterior'?",
    ),
    # values, outputs, metrics
    ("values: {noise: {scale: 2}}", "4:18: value 'noise' has no option 'scale'; choices: use, with"),
    ("values: {x: posterior}", "4:10: value 'x' has the name of what the zoo provides; call it something else"),
    ("values: {encoder: posterior}", "4:10: value 'encoder' has the name of a slot; call it something else"),
    ("outputs: {sample: [1]}", "4:11: output 'sample' must name a value, not [1]"),
    ("outputs: {sample: critic}", "4:11: output 'sample' must name a value, and 'critic' is a slot"),
    (
        "outputs: {sample: generted}",
        "4:11: output 'sample': 'generted' is asked for, which is neither a slot of this recipe nor a value; "
        "did you mean 'generated'?",
    ),
    ("evaluate: [msee]", "4:12: there is no metric 'msee'; did you mean 'mse'?"),
    ("evaluate: [3]", "4:12: 'evaluate' lists metrics: names, or 'label: {use: NAME, ...}'"),
    ("evaluate: [mse, mse]", "4:17: two metrics are called 'mse'; give one a name: 'other: {use: ...}'"),
    (
        "evaluate: {other: {use: mse, with: {reconstruction: reconstructon}}}",
        "4:12: metric 'other': 'reconstructon' is asked for, which is neither a slot of this recipe nor a value; "
        "did you mean 'reconstruction'?",
    ),
]


@pytest.mark.parametrize(("line", "said"), ONE_LINE, ids=[line for line, _ in ONE_LINE])
def test_one_thing_wrong_is_one_sentence(run_zoo: Run, line: str, said: str) -> None:
    found = problems(run_zoo, BASE + line + "\n")
    assert f"r.yaml:{said}" in found
    assert found == [f"r.yaml:{said}"]


@pytest.mark.parametrize(
    ("line", "start"),
    [
        ("data: {sise: 8}", "r.yaml:2:8: data 'photos' has no option 'sise'; did you mean 'size'?"),
        ("data: {crop: 3}", "r.yaml:2:8: data 'photos' option 'crop' must be a list of 2 whole numbers, not 3"),
        ("data: 3", "r.yaml:2:1: 'data' must name one: NAME or {use: NAME, ...}, not 3"),
        ("data: null", "r.yaml:1:1: the recipe has no 'data'"),
    ],
)
def test_problems_of_data(run_zoo: Run, line: str, start: str) -> None:
    assert problems(run_zoo, f"extends: avae\n{line}\n") == [start]


def test_a_slot_of_a_kind_that_nobody_knows(run_zoo: Run) -> None:
    [said] = problems(run_zoo, BASE + "slots: {thing: dcgan}\n")
    assert said.startswith("r.yaml:4:9: slot 'thing' does not say what kind it is, and its name tells none; ")
    assert "write thing: {kind: encoder, use: ...}; choices: augmentation, critic, " in said


def test_a_slot_that_is_missing_is_told_with_the_route_that_asks_for_it(run_zoo: Run) -> None:
    text = """\
        data: {use: photos, size: 8}
        slots: {decoder: dcgan}
        phases:
          - decoder: {reconstruction: 1.0}
        """
    [said] = problems(run_zoo, dedent(text))
    assert said.startswith(
        "r.yaml:4:15: term 'reconstruction' of row 'decoder': reconstruction -> z_posterior -> posterior "
        "asks for 'encoder', which is neither a slot of this recipe nor a value"
    )


def test_a_problem_of_a_bundled_recipe_is_placed_in_its_file(run_zoo: Run) -> None:
    found = problems(run_zoo, BASE + "slots: {generator: null}\n")
    assert found[0].startswith(f"{AVAE}:13:5: player 'generator' of row 'generator' is no slot of this recipe")
    assert any(f"{AVAE}:16:3: output 'sample': generated asks for 'generator'" in said for said in found)


def test_all_problems_at_once_sorted_by_place(run_zoo: Run) -> None:
    text = """\
        extends: avae
        slots:
          encoder: {use: dcgn}
          decoder: {widht: 4}
        phases:
          - encoder + decodr: {reconstruction: heavy, kl: 1}
            critic: {discriminat: 1.0}
        train: {steps: 0, batches: 4}
        latent: 0
        evaluate: [msee]
        """
    places = [said.split(": ")[0] for said in problems(run_zoo, dedent(text))]
    expected = ["3:18", "4:13", "6:5", "6:24", "7:14", "8:9", "8:19", "9:1", "10:12"]
    assert places == [f"r.yaml:{place}" for place in expected]


def test_check_prints_every_problem_of_several_recipes(run_zoo: Run) -> None:
    Path("a.yaml").write_text("extends: avae\nlatent: 0\nnoise: x\n")
    Path("b.yaml").write_text("extends: avae\nseed: -1\n")
    outcome = run_zoo("check", "a.yaml", "vae", "b.yaml", "nope.yaml")
    assert outcome.code == 2
    assert [line.partition(" ")[0] for line in outcome.errors] == ["a.yaml:2:1:", "a.yaml:3:1:", "b.yaml:2:1:", "zoo:"]
    assert outcome.out == "vae: ok\n"


# -- seen without torch --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("slots: {encoder: dcgn}", "r.yaml:4:18: error: there is no encoder 'dcgn'; did you mean 'dcgan'?"),
        (
            "phases: [{critic: {kl: 1.0}}]",
            "r.yaml:4:11: error: 'critic' learns nothing in row 'critic': no term of it reaches 'critic' "
            "('kl' reaches encoder)",
        ),
    ],
)
def test_torch_is_not_imported_for_what_can_be_seen_without_it(here: Path, line: str, said: str) -> None:
    (here / "r.yaml").write_text(BASE + line + "\n")
    for verb in ("check", "build", "explain"):
        outcome = without_torch([verb, "r.yaml"], here)
        assert (outcome.code, outcome.err) == (2, said + "\n")
    assert not (here / "runs").exists()


# -- two plugins with one name, plugins that are broken ------------------------------------------------------


def plugin(name: str, component: str) -> Path:
    text = "from zoo import api\n\n\n@api.hookimpl\ndef zoo_components():\n    return [api.Component({})]\n"
    path = Path(f"{name}.py")
    path.write_text(text.format(component))
    return path


def test_two_packages_with_one_name(run_zoo: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    component = '"encoder", "twin", "{}.nets:Net", "a net"'
    for name in ("zoo-one", "zoo-two"):
        module = name.replace("-", "_")
        info = here / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[zoo]\n{module} = {module}\n")
        plugin(module, component.format(module))
    monkeypatch.syspath_prepend(str(here))
    clear_cache()
    try:
        [said] = problems(run_zoo, BASE + "slots: {encoder: {use: twin}}\n")
    finally:
        clear_cache()
    assert said == (
        "r.yaml:4:24: encoder 'twin' is provided by 2 packages; choose 'zoo-one/twin' or 'zoo-two/twin', "
        "or pin it in registry.yaml (pins: {encoder/twin: zoo-one})"
    )


def test_a_name_of_ours_is_never_taken_over(run_zoo: Run) -> None:
    file = plugin("taking_over", '"encoder", "dcgan", "taking_over:Net", "another"')
    Path("r.yaml").write_text(BASE)
    outcome = run_zoo("check", "r.yaml", "--plugin", file)
    assert (outcome.code, outcome.out) == (0, "r.yaml: ok\n")
    assert "local 0" in run_zoo("list", "encoder", "--plugin", file).out


def test_a_plugin_file_that_is_broken_is_told_before_anything_else(run_zoo: Run) -> None:
    Path("half_baked.py").write_text("import nothing_of_that_name\n")
    Path("r.yaml").write_text(BASE)
    outcome = run_zoo("build", "r.yaml", "--plugin", "half_baked.py")
    assert outcome.code == 2
    assert outcome.err.startswith("zoo: error: --plugin half_baked.py is broken: ")
    assert "nothing_of_that_name" in outcome.err
    missing = run_zoo("build", "r.yaml", "--plugin", "absent.py")
    assert (missing.code, "there is no file" in missing.err) == (2, True)


# -- shapes between slots, told with both numbers and both lines -----------------------------------------------

MISFITS = [
    (
        "slots: {decoder: small}",
        "4:9: slot 'decoder' (decoder 'small') gives B x 3 x 4 x 4, "
        "where B x 3 x 8 x 8 (images are 3 x 8 x 8, line 2) is promised",
    ),
    (
        "slots: {encoder: narrow}",
        "4:9: slot 'encoder' (encoder 'narrow') gives B x 3, where B x 5 (latent is 5, line 3) is promised",
    ),
    (
        "slots: {decoder: wide, encoder: dcgan}",
        "4:9: slot 'decoder' (decoder 'wide') expects B x 100 and is handed B x 5 "
        "(as slot 'encoder' gives, line 4; latent is 5, line 3)",
    ),
    (
        "slots: {encoder: wordy}",
        "4:9: slot 'encoder' (encoder 'wordy') gives str, where B x 5 (latent is 5, line 3) is promised",
    ),
    (
        "slots: {critic: pair}",
        "4:9: slot 'critic' (critic 'pair') takes 2 inputs ('B C H W, B latent -> B') and is handed 1",
    ),
    ("slots: {decoder: refuses}", "4:9: decoder 'refuses' of slot 'decoder': this network needs a size of 64, not 8"),
    ("slots: {decoder: crashes}", "4:9: slot 'decoder' (decoder 'crashes') cannot be computed: boom"),
    (
        "slots: {decoder: odd}",
        "4:9: decoder 'odd': contract names 'depth', which is no size; "
        "choices: B, C, H, W, channels, size, latent, noise, or a number",
    ),
    ("slots: {decoder: no-module}", "4:9: decoder 'no-module' is int, not an nn.Module"),
    (
        "slots: {decoder: gone}",
        "4:18: decoder 'gone' of local 0 (plugin 'misfit_parts') cannot be used: module 'misfit_parts' has no 'Gone'",
    ),
    (
        "phases: [{encoder + decoder: {vector: 1}}]",
        "4:31: term 'vector' gives B, where a scalar is promised",
    ),
    (
        "phases: [{encoder: {kl: 1}, decoder: {stopped: 1}}]",
        "4:29: 'decoder' learns nothing in row 'decoder': no gradient of it arrives there",
    ),
    (
        "phases: [{encoder.trunkk: {kl: 1}}]",
        "4:11: player 'encoder.trunkk' of row 'encoder.trunkk' is no part of slot 'encoder'; "
        "did you mean 'encoder.trunk'?",
    ),
    (
        "slots: {train: {kind: encoder, use: dcgan}}",
        "4:9: slot 'train' has the name of an attribute that every model has; call it something else",
    ),
    ("train: {optimizer: {lr: -1}}", "4:9: optimizer 'adam' cannot be made: Invalid learning rate: -1.0"),
]


@pytest.mark.parametrize(("line", "said"), MISFITS, ids=[line for line, _ in MISFITS])
def test_parts_that_do_not_fit(run_zoo: Run, line: str, said: str) -> None:
    assert problems(run_zoo, BASE + line + "\n", "--plugin", PARTS) == [f"r.yaml:{said}"]


def test_a_size_that_nobody_wrote_is_told_as_the_default(run_zoo: Run) -> None:
    [said] = problems(run_zoo, "extends: vae\ndata: {size: 8}\nslots: {encoder: narrow}\n", "--plugin", PARTS)
    vae = AVAE.parents[1] / "zoo_vae" / "vae.yaml"
    assert said.endswith(f"gives B x 3, where B x 64 (latent is 64, {vae}:3:1) is promised")
    text = "data: {use: photos, size: 8}\nslots: {encoder: narrow}\nphases: [{encoder: {kl: 1}}]\n"
    [said] = problems(run_zoo, text, "--plugin", PARTS)
    assert said.endswith("where B x 64 (latent is 64, by default) is promised")


def test_a_part_that_does_not_fit_leaves_no_run_behind(run_zoo: Run) -> None:
    Path("r.yaml").write_text(BASE + "slots: {decoder: small}\n")
    outcome = run_zoo("build", "r.yaml", "--plugin", PARTS, "--out", "out")
    assert outcome.code == 2
    assert "slot 'decoder' (decoder 'small') gives" in outcome.err
    assert not Path("out/recipe.yaml").exists()
