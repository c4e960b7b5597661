"""Errors of recipes: the place, the value, the choices, the cure; all at once; torch only where shapes need it."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent

import pytest
from conftest import PARTS, Run, without_torch

from zoo.errors import RecipeError, RequestError
from zoo.recipe import load_recipe
from zoo.registry import clear_cache

BASE = "extends: avae\ndata: {size: 8, train: 64, test: 8}\nlatent: 5\n"
NOTHING = "add what is missing, or begin with 'extends: NAME' ('zoo list recipe' has the names)"
AVAE = Path(__file__).parents[2] / "plugins" / "zoo_avae" / "avae.yaml"
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
    (
        "slots: {encoder: {weights: 3}}",
        "4:19: 'weights' are those of a run's directory, RUN#SLOT, a .safetensors file, FILE#PART of one, or "
        "hf://ORG/NAME/FILE, not 3",
    ),
    ("slots: {encoder: [dcgan]}", "4:9: 'encoder' must name one: NAME or {use: NAME, ...}, not ['dcgan']"),
    ("slots: {encoder: {use: [dcgan]}}", "4:19: 'use' must be the name of an encoder, not ['dcgan']"),
    (
        f"slots: {{encoder: {'x' * 300}}}",
        f"4:18: 'use' must be the name of an encoder, not '{'x' * 56}...",
    ),
    ("slots: {encoder: {use: Timm}}", "4:24: there is no encoder 'Timm'; did you mean 'timm'?"),
    (
        "slots: {encoder: {use: timm, width: 32}}",
        "4:30: encoder 'timm' has no option 'width'; encoder 'avae-paper' or 'conv1d' or 'conv3d' or 'dcgan' or 'deep' "
        "or 'mlp' or 'residual' has it",
    ),
    (
        "slots: {encoder: {kind: term}}",
        "4:19: slot 'encoder' has no kind 'term'; choices: critic, decoder, encoder, generator, module, prior",
    ),
    (
        "slots: {encoder: {kind: prior}}",
        "4:25: 'dcgan' is an encoder, not a prior; choices: flow, learned-mixture, mixture, normal, sphere",
    ),
    (
        "slots: {my_prior: null}",
        "4:9: there is no prior 'my_prior'; choices: flow, learned-mixture, mixture, normal, sphere",
    ),
    ("values: {generated: {with: 3}}", "4:22: 'with' binds parameters to slots or values, {parameter: name}, not 3"),
    (
        "values: {generated: {with: null}}",
        "4:22: 'with' binds parameters to slots or values, {parameter: name}, not null",
    ),
    # unknown keys, section by section
    ("evalute: [mse]", "4:1: a recipe has no option 'evalute'; did you mean 'evaluate'?"),
    ("noise: few", "4:1: a recipe option 'noise' must be a whole number, not 'few' (text)"),
    ("lr: 3", "4:1: a recipe has no option 'lr'; write it under 'train', in 'optimizer'"),
    ("steps: 3", "4:1: a recipe has no option 'steps'; write it under 'train'"),
    ("optimizer: adam", "4:1: a recipe has no option 'optimizer'; write it under 'train'"),
    ("optimizers: {}", "4:1: a recipe has no option 'optimizers'; write it under 'train'"),
    ("channels: 3", "4:1: a recipe has no option 'channels'; write it under 'data'"),
    ("width: 3", "4:1: a recipe has no option 'width'; did you mean 'watch'?"),
    ("size: 3", "4:1: a recipe has no option 'size'; write it under 'data'"),
    ("train: {lr: 3}", "4:9: 'train' has no option 'lr'; write it under 'train', in 'optimizer'"),
    (
        'name: " a"',
        "4:1: 'name' is the name of the run's directory, and ' a' cannot be; "
        "write at most 100 letters, none of them invisible, no blank at either end",
    ),
    (
        'name: "a\\0"',
        "4:1: 'name' is the name of the run's directory, and 'a\\x00' cannot be; "
        "write at most 100 letters, none of them invisible, no blank at either end",
    ),
    ("seed: -1", "4:1: 'seed' must be at least 0, not -1"),
    ("name: ../up", "4:1: 'name' is the name of the run's directory, and '../up' is a path"),
    ("train: {optimiser: adam}", "4:9: 'train' has no option 'optimiser'; did you mean 'optimizer'?"),
    ("train: {steps: many}", "4:9: 'train' option 'steps' must be a whole number, not 'many' (text)"),
    ("train: {steps: 0}", "4:9: 'steps' must be at least 1, not 0"),
    ("train: {ema: 1.0}", "4:9: 'ema' is a decay in [0, 1), not 1"),
    (
        "train: {batch: 4, accumulate: 3}",
        "4:19: a batch of 4 cannot be taken in 3 equal parts; choose a divisor of it, or another batch",
    ),
    (
        "train: {compile: true, fully_shard: true}",
        "4:24: train.fully_shard does not go with train.compile; set one to false",
    ),
    (
        "train: {compile: true, activation_checkpointing: true}",
        "4:24: train.activation_checkpointing does not go with train.compile; set one to false",
    ),
    ("train: {optimizer: {rat: 1}}", "4:21: optimizer 'adam' has no option 'rat'; did you mean 'rate'?"),
    ("train: {optimizer: 3}", "4:9: 'optimizer' must name one: NAME or {use: NAME, ...}, not 3"),
    ("train: {optimizer: adm}", "4:20: there is no optimizer 'adm'; did you mean 'adam'?"),
    ("train: {optimizers: {critc: adam}}", "4:22: no row has a player 'critc'; did you mean 'critic'?"),
    (
        "train: {optimizer: {rate: -1}}",
        "4:21: 'rate' must be at least 0, not -1: a player goes down its gradient",
    ),
    (
        "train: {optimizer: {rate: fast}}",
        "4:21: 'rate' must be a number or {from: A, to: B, steps: N}, not 'fast'",
    ),
    (
        "train: {optimizer: {rate: true}}",
        "4:21: 'rate' must be a number or {from: A, to: B, steps: N}, not true",
    ),
    ("phases: [{rows: {encoder: {kl: 1}}, evry: 2}]", "4:37: a phase has no option 'evry'; did you mean 'every'?"),
    ("phases: [{rows: {encoder: {kl: 1}}, repeat: 0}]", "4:37: 'repeat' must be at least 1, not 0"),
    # phases, rows, terms
    ("phases: []", "4:1: 'phases' must be a list with at least one item: '- players: {term: weight}'"),
    ("phases: {encoder: {kl: 1}}", "4:1: 'phases' must be a list, not a mapping: '- players: {term: weight}'"),
    ("phases: [3]", "4:10: 'phases.0' must be a mapping, not 3"),
    ("phases: [{}]", "4:10: a phase needs at least one row: 'players: {term: weight}'"),
    ("phases: [{encoder: kl}]", "4:11: row 'encoder' must say what it minimises, {term: weight}, not 'kl'"),
    ("phases: [{encoder: {}}]", "4:11: row 'encoder' minimises nothing: give it a term, 'term: weight'"),
    ("phases: [{encoder: {kl: off}}]", "4:11: row 'encoder' minimises nothing: every weight in it is 0"),
    (
        "phases: [{encodr: {kl: 1}}]",
        "4:11: player 'encodr' of row 'encodr' is no slot of this recipe; did you mean 'encoder'?",
    ),
    ("phases: null", f"4:1: the recipe has no 'phases'; {NOTHING}"),
    (
        "phases: [{encoder decoder: {kl: 1}}]",
        "4:11: row 'encoder decoder' must join its players with '+': 'encoder + decoder'",
    ),
    (
        "phases: [{encoder.: {kl: 1}}]",
        "4:11: row 'encoder.' leaves a player out; a row is called by its players: 'encoder', 'encoder + decoder', "
        "or a part of one, 'encoder.trunk'",
    ),
    (
        "phases: [{encoder: {kl: 1}, repeat: 2}]",
        "4:29: 'repeat' says how often a phase is played, and is no player; "
        "write '- rows: {players: {term: weight}}', and 'repeat' beside 'rows'",
    ),
    (
        "phases: [{encoder: {kl: [1]}}]",
        "4:26: a piece of the weight of 'kl' must be {from: A, to: B, steps: N}, not 1",
    ),
    (
        "phases: [{rows: {encoder: {kl: 1}}, start: 5, until: 5}]",
        "4:47: the phase ends at step 5, before it begins at step 5; 'until' is the first step without it",
    ),
    (
        "train: {ema: [{from: 0.5, to: 1.5}]}",
        "4:9: 'ema' is a decay in [0, 1), not 0.5 to 1.5 over 4000 steps",
    ),
    (
        "train: {optimizer: {betas: [0.5, often]}}",
        "4:34: optimizer 'adam' option 'betas[1]' must be a number or {from: A, to: B, steps: N}, not 'often'",
    ),
    (
        "phases: [{encoder: {kl: []}}]",
        "4:21: the weight of 'kl' must be a number, on, off or {from: A, to: B, steps: N}, not []",
    ),
    (
        "phases: [{encoder: {kl: [{to: 1, steps: 5}]}}]",
        "4:26: the weight of 'kl' needs option 'from' (a number)",
    ),
    (
        "phases: [{encoder: {kl: [{from: 0, to: 1}, {to: 0}]}}]",
        "4:26: the weight of 'kl': only the last piece may leave its 'steps' out: the rest of the training",
    ),
    (
        "phases: [{encoder: {kl: [{from: 0, to: 1, steps: 9}, {to: 0, start: 5}]}}]",
        "4:62: the weight of 'kl': the piece before ends at step 9; begin no earlier",
    ),
    (
        "phases: [{encoder: {kl: [{from: 0, to: 1, steps: 9}, {to: 0, shape: exponential}]}}]",
        "4:54: the weight of 'kl': an exponential change needs two numbers of one sign, neither 0",
    ),
    (
        "phases: [{encoder: {kl: On}}]",
        "4:21: the weight of 'kl' must be a number, on, off or {from: A, to: B, steps: N}, not 'On'; "
        "did you mean 'on'?",
    ),
    ("phases: [{encoder: {kl: {to: 1, steps: 2}}}]", "4:21: the weight of 'kl' needs option 'from' (a number)"),
    (
        "phases: [{encoder: {entropy: {estimator: knnn}}}]",
        "4:31: term 'entropy' has no estimator 'knnn'; did you mean 'knn'?",
    ),
    (
        "phases: [{encoder: {reconstruction: {with: {x: genertaed}}}}]",
        "4:45: term 'reconstruction' of row 'encoder': 'genertaed' is asked for, which is neither a slot of this "
        "recipe nor a value; did you mean 'generated'?",
    ),
    ("phases: [{encoder: {reconstruction: {with: {x: 3}}}}]", "4:45: 'x' must be bound to a slot or value, not 3"),
    ("phases: [{encoder + encoder: {kl: 1}}]", "4:11: row 'encoder + encoder' names a player twice"),
    (
        "phases: [{encoder: {kl: 1}, encoder.mean: {kl: 1}}]",
        "4:29: player 'encoder.mean' is a part of player 'encoder', and would be moved twice; "
        "give it a phase of its own",
    ),
    ("phases: [{encoder: {kll: 1}}]", "4:21: there is no term 'kll'; did you mean 'kl'?"),
    (
        "phases: [{encoder: {kl: heavy}}]",
        "4:21: the weight of 'kl' must be a number, on, off or {from: A, to: B, steps: N}, not 'heavy' (text)",
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
    (
        "phases: [{encoder: {kl: {from: 2, to: 0, steps: 3, shape: exponential}}}]",
        "4:21: the weight of 'kl': an exponential change needs two numbers of one sign, neither 0",
    ),
    ("phases: [{encoder: {kl: on, kl: off}}]", "4:29: key 'kl' is already given at r.yaml:4:21; keep one of the two"),
    (
        "phases: [{decoder: {reconstruction: 1.0, kl: 1.0}}]",
        "4:42: 'kl' reaches encoder, prior, and moves nothing in row 'decoder'; remove it, or move it",
    ),
    (
        "values: {z_postrior: posterior_mean}",
        "4:10: nothing asks for a value 'z_postrior'; did you mean 'z_posterior'?",
    ),
    (
        "phases: [{critic: {kl: 1.0}}]",
        "4:11: 'critic' learns nothing in row 'critic': no term of it reaches 'critic' ('kl' reaches encoder, prior)",
    ),
    (
        "phases: [{encoder: {kl: {with: {postrior: posterior}}}}]",
        "4:33: term 'kl' asks for no 'postrior'; did you mean 'posterior'?",
    ),
    # values, outputs, metrics
    ("values: {noise: {scale: 2}}", "4:18: value 'noise' has no option 'scale'; choices: use, with"),
    ("values: {x: posterior}", "4:10: value 'x' has the name of what the zoo provides; call it something else"),
    ("values: {encoder: posterior}", "4:10: value 'encoder' has the name of a slot; call it something else"),
    (
        "values: {generated: {with: {z: zz}}}",
        "4:29: value 'generated': 'zz' is asked for, which is neither a slot of this recipe nor a value; "
        "did you mean 'z'?",
    ),
    (
        "values: {a: {use: generated, with: {z: b}}, b: {use: generated, with: {z: a}}}",
        "4:10: value 'a': values ask for each other in a circle: b -> a -> b (needed by 1 more)",
    ),
    ("outputs: 3", "4:1: 'outputs' must be a mapping, not 3"),
    ("outputs: {sample: [1]}", "4:11: output 'sample' must name a value, not [1]"),
    ("outputs: {sample: critic}", "4:11: output 'sample' must name a value, and 'critic' is a slot"),
    (
        "outputs: {sample: generted}",
        "4:11: output 'sample': 'generted' is asked for, which is neither a slot of this recipe nor a value; "
        "did you mean 'generated'?",
    ),
    ("evaluate: [msee]", "4:12: there is no metric 'msee'; did you mean 'mse'?"),
    ("evaluate: [3]", "4:12: 'evaluate' lists metrics: names, or 'label: {use: NAME, ...}', not 3"),
    ("evaluate: [mse, mse]", "4:17: two metrics are called 'mse'; give one a name: 'other: {use: ...}'"),
    (
        "evaluate: {other: {use: mse, with: {reconstruction: reconstructon}}}",
        "4:37: metric 'other': 'reconstructon' is asked for, which is neither a slot of this recipe nor a value; "
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
        ("data: null", f"r.yaml:2:1: the recipe has no 'data'; {NOTHING}"),
        ("data: {size: 0}", "r.yaml:2:8: 'size' must be at least 1, not 0"),
    ],
)
def test_problems_of_data(run_zoo: Run, line: str, start: str) -> None:
    assert problems(run_zoo, f"extends: avae\n{line}\n") == [start]


def test_a_recipe_without_any_slot(run_zoo: Run) -> None:
    text = "data: {use: photos, size: 8}\nslots: {}\nphases: [{encoder: {kl: 1}}]\n"
    assert problems(run_zoo, text) == ["r.yaml:2:1: the recipe has no slots; a model needs at least one network"]


def test_reading_ends_at_the_hundredth_problem(run_zoo: Run) -> None:
    wrong = ", ".join(f"option{i:03}: 1" for i in range(150))
    said = problems(run_zoo, f"{BASE}slots: {{encoder: {{{wrong}}}}}\n")
    assert [line.partition("; ")[0] for line in said] == [
        f"r.yaml:4:{19 + 14 * i}: encoder 'dcgan' has no option 'option{i:03}'" for i in range(100)
    ]


def test_a_hundred_names_that_are_not_there_are_enough(run_zoo: Run) -> None:
    wrong = ", ".join(f"output{i:03}: nothing{i:03}" for i in range(150))
    said = problems(run_zoo, f"{BASE}outputs: {{{wrong}}}\n")
    assert len(said) == 100
    assert said[0].startswith("r.yaml:4:11: output 'output000': 'nothing000' is asked for, which is neither a slot")
    assert said[99].startswith("r.yaml:4:")
    assert "output 'output099': 'nothing099' is asked for" in said[99]


def test_a_slot_of_a_kind_that_nobody_knows(run_zoo: Run) -> None:
    [said] = problems(run_zoo, BASE + "slots: {thing: dcgan}\n")
    assert said.startswith("r.yaml:4:9: slot 'thing' does not say what kind it is, and its name tells none; ")
    assert said.endswith(
        "; write thing: {kind: encoder, use: ...}; choices: critic, decoder, encoder, generator, module, prior"
    )
    [said] = problems(run_zoo, BASE + "slots: {thing: normal}\n")
    assert "; write thing: {kind: prior, use: normal}" in said
    [said] = problems(run_zoo, BASE + "slots: {encoder: mlp}\n")
    assert said.endswith("'features' is a size of a vector, and the data has channels 3, height 8, width 8")


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
    [said] = problems(run_zoo, BASE + "values: {generated: decoded_prior}\n")
    assert said.startswith(f"{AVAE}:17:5: 'generator' learns nothing in row 'generator': no term of it reaches")


@pytest.mark.parametrize("removed", ["slots: {generator: null}", "slots: {generator: }"])
def test_what_is_removed_and_still_needed_is_told_once_where_it_is_removed(run_zoo: Run, removed: str) -> None:
    [said] = problems(run_zoo, BASE + removed + "\n")
    assert said == (
        f"r.yaml:4:9: 'generator' is removed here, and still asked for by player 'generator' of row 'generator' "
        f"({AVAE}:17:5) and term 'reverse_kl' of row 'generator' ({AVAE}:17:17) and term 'latent_nll' of row "
        f"'generator' ({AVAE}:17:34) and 7 more; remove or replace those too"
    )


def test_what_is_missing_is_told_once_however_many_need_it(run_zoo: Run) -> None:
    text = """\
        data: {use: photos, size: 8}
        slots: {decoder: dcgan}
        phases: [{decoder: {reconstruction: 1, kl: 1}}]
        outputs: {posterior: posterior}
        evaluate: [mse]
        """
    [said] = problems(run_zoo, dedent(text))
    assert said.startswith("r.yaml:3:21: term 'reconstruction' of row 'decoder': reconstruction -> z_posterior -> ")
    assert said.endswith("(needed by 3 more)")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("extend: avae", "1:1: a recipe has no option 'extend'; did you mean 'extends'?"),
        ("{}", f"1:1: the recipe has no 'data', no 'slots', no 'phases'; {NOTHING}"),
        ("data: photos", f"1:1: the recipe has no 'slots', no 'phases'; {NOTHING}"),
        ("extends: nope", "1:1: extends: there is no recipe 'nope'; choices: aae, "),
        ("extends: ./nope.yaml", "1:1: extends: there is no file './nope.yaml'"),
        ("extends: bsae.yaml", "1:1: extends: there is no recipe 'bsae.yaml'; did you mean 'base.yaml'?"),
        ("extends: ''", "1:1: extends: the name of a recipe is empty; 'zoo list recipe' has the choices"),
        ("extends: .", "1:1: extends: . is a directory, not a recipe"),
        ("extends: /dev/null", "1:1: extends: /dev/null is no ordinary file, not a recipe"),
        ("extends: [avae]", "1:10: 'extends' must be the name of a recipe or a file, not ['avae']"),
    ],
)
def test_a_recipe_that_says_too_little_or_extends_what_is_not_there(run_zoo: Run, text: str, said: str) -> None:
    Path("base.yaml").write_text("extends: avae\n")
    [line] = problems(run_zoo, text + "\n")
    assert line.startswith(f"r.yaml:{said}")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nope", "there is no recipe 'nope'; choices: aae, ac-gan"),
        ("AVAE", "there is no recipe 'AVAE'; did you mean 'avae'?"),
        ("./nope.yaml", "there is no file './nope.yaml'"),
        ("sub/bsae.yaml", "there is no file 'sub/bsae.yaml'; did you mean 'sub/base.yaml'?"),
        ("runs/avae", "there is no file 'runs/avae', and no package 'runs' with plugins is installed"),
        ("sub", "sub is a directory, not a recipe"),
        ("/dev/null", "/dev/null is no ordinary file, not a recipe"),
        ("", "the name of a recipe is empty"),
        ("x" * 5000, f"there is no recipe '{'x' * 57}...'; choices: "),
        ("a\nb", "there is no recipe 'a\\nb'; choices: "),
    ],
)
def test_what_is_no_recipe(run_zoo: Run, name: str, said: str) -> None:
    Path("sub").mkdir()
    Path("sub/base.yaml").write_text("extends: avae\n")
    outcome = run_zoo("check", name)
    assert (outcome.code, len(outcome.errors)) == (2, 1)
    assert outcome.err.startswith(f"zoo: error: {said}")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x89PNG\r\n\x1a\n", "1:1: error: byte 0x89 is not UTF-8; save the file as UTF-8"),
        (b"", "1:1: error: the recipe is empty"),
        (b"a" * 3_000_000, "1:1: error: 3,000,000 bytes of recipe; the limit is 1,048,576"),
    ],
)
def test_a_file_that_is_no_recipe(run_zoo: Run, content: bytes, said: str) -> None:
    Path("r.yaml").write_bytes(content)
    assert run_zoo("check", "r.yaml").errors == [f"r.yaml:{said}"]
    Path("over.yaml").write_text("extends: r.yaml\n")
    assert run_zoo("check", "over.yaml").errors == [f"r.yaml:{said}"]


def test_a_file_that_cannot_be_read(run_zoo: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("r.yaml").write_text("extends: base.yaml\n")
    Path("base.yaml").write_text("extends: avae\n")
    opened = Path.open

    def refuse(path: Path, *mode: str, **how: object) -> object:
        if path.name == "base.yaml":
            raise PermissionError(13, "Permission denied")
        return opened(path, *mode, **how)

    monkeypatch.setattr(Path, "open", refuse)
    assert run_zoo("check", "base.yaml").errors == ["zoo: error: base.yaml: cannot be read: Permission denied"]
    assert run_zoo("check", "r.yaml").errors == [
        "r.yaml:1:1: error: extends: base.yaml: cannot be read: Permission denied"
    ]


def test_a_table_of_recipes_is_no_recipe() -> None:
    for name in ("paper-table", "paper-table.yaml"):
        with pytest.raises(RequestError) as told:
            load_recipe(name)
        assert str(told.value) == f"'{name}' is a table of recipes, not one; build it with: zoo compare {name}"
    Path("t.yaml").write_text("data: photos\nmodels: {vae: {}}\n")
    with pytest.raises(RecipeError) as caught:
        load_recipe("t.yaml")
    assert str(caught.value) == (
        "t.yaml:2:1: error: a recipe has no 'models'; this is a table of recipes: zoo compare t.yaml"
    )


def test_recipes_extend_each_other_at_most_32_deep() -> None:
    Path("r0.yaml").write_text("extends: avae\n")
    for i in range(1, 34):
        Path(f"r{i}.yaml").write_text(f"extends: r{i - 1}.yaml\n")
    assert load_recipe("r31.yaml").name == "r31"
    with pytest.raises(RecipeError) as caught:
        load_recipe("r32.yaml")
    assert str(caught.value) == "r0.yaml:1:1: error: recipes extend each other more than 32 deep"


def test_what_extends_names_is_looked_for_beside_the_file_not_where_one_stands(run_zoo: Run) -> None:
    Path("sub").mkdir()
    Path("base.yaml").write_text("extends: avae\n")
    Path("sub/over.yaml").write_text("extends: base.yaml\n")
    [said] = run_zoo("check", "sub/over.yaml").errors
    assert said.startswith("sub/over.yaml:1:1: error: extends: there is no file 'base.yaml', and there is no recipe")


SETS = [
    ("latent", "write it as path=value, such as slots.encoder.width=32"),
    ("=3", "a part of the path is empty; write it as a.b.c"),
    (
        "latent=abc",
        "a recipe option 'latent' must be a whole number or a list of whole numbers or null, not 'abc' (text)",
    ),
    ("latnt=3", "a recipe has no option 'latnt'; did you mean 'latent'?"),
    ("extends=vae", "what a recipe extends cannot be set; build that recipe, or write a file that extends it"),
    ("slots.encoder.widht=3", "encoder 'dcgan' has no option 'widht'; did you mean 'width'?"),
    ("slots.encoder.width=1e999", "1e999 is too large for a number; write .inf if that is meant, or quote it as text"),
    ("slots.encoder={use: timm", "expected ',' or '}' in the mapping"),
    (
        "slots.encoder.width.x=3",
        "'slots.encoder.width' is an integer, 32, and has no 'x'; set the whole of it: slots.encoder.width={...}",
    ),
    ("phases.3.generator.kl=1", "'phases' is a list of 1, and '3' is not one of its indices; choices: 0"),
    ("phases.0.generator.kll=1", "there is no term 'kll'; did you mean 'kl'?"),
    (
        "train.optimizer.betas.1=big",
        "optimizer 'adam' option 'betas[1]' must be a number or {from: A, to: B, steps: N}, not 'big'",
    ),
    ("data=", f"the recipe has no 'data'; {NOTHING}"),
    (
        "values.generated.with.z=zz",
        "value 'generated': 'zz' is asked for, which is neither a slot of this recipe nor a value; did you mean 'z'?",
    ),
]


@pytest.mark.parametrize(("argument", "said"), SETS, ids=[argument for argument, _ in SETS])
def test_an_argument_that_is_wrong_is_pointed_at(run_zoo: Run, argument: str, said: str) -> None:
    outcome = run_zoo("check", "avae", "--set", argument)
    assert (outcome.code, outcome.errors) == (2, [f"--set {argument}: error: {said}"])


def test_an_element_of_an_empty_list_cannot_be_set(run_zoo: Run) -> None:
    Path("r.yaml").write_text(BASE + "evaluate: []\n")
    place = "--set evaluate.0.resize=3"
    said = f"{place}: error: 'evaluate' is an empty list; it has no '0'"
    assert run_zoo("check", "r.yaml", "--set", "evaluate.0.resize=3").errors == [said]


def test_every_argument_that_is_wrong_is_pointed_at(run_zoo: Run) -> None:
    outcome = run_zoo("check", "avae", "--set", "latent", "--set", "seed..x=1", "--set", "latent=[")
    assert [line.partition(": error")[0] for line in outcome.errors] == [
        *("--set latent", "--set latent=[", "--set seed..x=1")
    ]


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


def test_a_slip_of_an_output_is_no_output_of_its_own(run_zoo: Run) -> None:
    slip = "evaluate: []\noutputs: {sample: null, sampel: decoded_prior, decoded: reconstruction}\n"
    assert problems(run_zoo, BASE + slip) == ["r.yaml:5:25: nothing shows an output 'sampel'; did you mean 'sample'?"]


def test_check_prints_every_problem_of_several_recipes(run_zoo: Run) -> None:
    Path("a.yaml").write_text("extends: avae\nlatent: 0\nnoise: x\n")
    Path("b.yaml").write_text("extends: avae\nseed: -1\n")
    Path("good.yaml").write_text(BASE)
    outcome = run_zoo("check", "a.yaml", "good.yaml", "b.yaml", "nope.yaml")
    assert outcome.code == 2
    assert [line.partition(" ")[0] for line in outcome.errors] == ["a.yaml:2:1:", "a.yaml:3:1:", "b.yaml:2:1:", "zoo:"]
    assert outcome.out == "good.yaml: ok\n"


# -- seen without torch --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("slots: {encoder: dcgn}", "r.yaml:4:18: error: there is no encoder 'dcgn'; did you mean 'dcgan'?"),
        (
            "phases: [{critic: {kl: 1.0}}]",
            "r.yaml:4:11: error: 'critic' learns nothing in row 'critic': no term of it reaches 'critic' "
            "('kl' reaches encoder, prior)",
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
    del sys.modules["taking_over"]


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
        "4:9: slot 'encoder' (encoder 'wordy') gives str, where Gaussian is promised; "
        "return api.Gaussian(mean, log_sigma), both (B, latent)",
    ),
    (
        "slots: {encoder: one-sigma}",
        "4:9: slot 'encoder' (encoder 'one-sigma') gives B x 1 as 'log_sigma', where B x 5 (latent is 5, line 3) "
        "is promised",
    ),
    (
        "slots: {encoder: {use: wordy, words: true}}",
        "4:9: slot 'encoder' (encoder 'wordy') gives tuple, where Gaussian is promised; "
        "return api.Gaussian(mean, log_sigma), both (B, latent)",
    ),
    (
        "slots: {critic: bare}",
        "4:9: slot 'critic' (critic 'bare') gives Tensor, where CriticOutput is promised; "
        "return api.CriticOutput(logit), logit (B,)",
    ),
    (
        "slots: {critic: pair}",
        "4:9: slot 'critic' (critic 'pair') takes 2 inputs ('B C H W, B latent -> B') and is handed 1",
    ),
    (
        "slots: {decoder: refuses, critic: refuses-too}",  # for one reason, told once
        "4:9: decoder 'refuses' of slot 'decoder': this network needs a size of 64, not 8",
    ),
    (
        "phases: [{encoder: {reconstruction: {with: {x: z}}}}]",
        "4:21: term 'reconstruction' cannot be computed: The size of tensor a (5) must match the size of tensor b (8) "
        "at non-singleton dimension 3 (it is handed x B x 5, reconstruction B x 3 x 8 x 8)",
    ),
    (
        "outputs: {posterior: batch}\nevaluate: {cycle: null}",
        "4:11: output 'posterior' gives int, where Gaussian is promised",
    ),
    ("outputs: {sample: z}", "4:11: output 'sample' gives B x 5, where images B x 3 x 8 x 8 are promised"),
    ("outputs: {sample: posterior}", "4:11: output 'sample' gives Gaussian, where images B x 3 x 8 x 8 are promised"),
    ("slots: {decoder: refuses}", "4:9: decoder 'refuses' of slot 'decoder': this network needs a size of 64, not 8"),
    ("slots: {decoder: crashes}", "4:9: slot 'decoder' (decoder 'crashes') cannot be computed: boom"),
    (
        "slots: {decoder: odd}",
        "4:9: decoder 'odd': contract 'B murk -> B C H W': 'murk' is no size and no option; "
        "choices: B, C, H, W, channels, height, latent, noise, size, width",
    ),
    (
        "slots: {decoder: several}",
        "4:9: slot 'decoder' (decoder 'several') gives B x 5, where B x K (K is 4 in this call) is promised",
    ),
    (
        "slots: {decoder: {use: several, count: 2}}",
        "4:9: slot 'decoder' (decoder 'several') gives tuple of 2, where 3 things are promised "
        "('B latent -> B C H W, B K, B K')",
    ),
    (
        "slots: {decoder: alone}",
        "4:9: slot 'decoder' (decoder 'alone') gives Tensor, where 2 things are promised ('B latent -> B C H W, B K')",
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
    (
        "train: {optimizer: {use: forgetful}}",
        "4:9: optimizer 'forgetful' cannot be made: it gives NoneType, no torch.optim.Optimizer",
    ),
    (
        "train: {optimizer: {use: closing}}",
        "4:9: optimizer 'closing' cannot take a step: LBFGS.step() missing 1 required positional argument: 'closure'",
    ),
    ("train: {optimizer: {lr: -1}}", "4:9: optimizer 'adam' cannot be made: Invalid learning rate: -1.0"),
]


@pytest.mark.parametrize(("line", "said"), MISFITS, ids=[line for line, _ in MISFITS])
def test_parts_that_do_not_fit(run_zoo: Run, line: str, said: str) -> None:
    assert problems(run_zoo, BASE + line + "\n", "--plugin", PARTS) == [f"r.yaml:{said}"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (  # the slots stand in one file
            "slots: {decoder: wide, encoder: dcgan}",
            "r.yaml:4:9: error: slot 'decoder' (decoder 'wide') expects B x 100 and is handed B x 5 "
            "(as slot 'encoder' gives, line 4; latent is 5, line 3)",
        ),
        (  # one of them stands in the recipe that this one extends
            "slots: {decoder: wide}",
            "r.yaml:4:9: error: slot 'decoder' (decoder 'wide') expects B x 100 and is handed B x 5 "
            f"(as slot 'encoder' gives, {AVAE}:10:3; latent is 5, line 3)",
        ),
        (  # the one that gives is the user's, the one that takes is not
            "slots: {encoder: three}",
            f"r.yaml:4:9: error: slot 'decoder' (decoder 'dcgan'), {AVAE}:11:3, expects B x 5 (latent is 5, line 3) "
            "and is handed B x 3 (as slot 'encoder' gives, line 4)",
        ),
        (
            "slots: {encoder: says-three}",
            "r.yaml:4:9: error: slot 'encoder' (encoder 'says-three') gives codes of 3, and latent is 5, line 3; "
            "leave latent out ('latent: null'), or take another encoder",
        ),
        (
            "slots: {encoder: mapped}",
            "r.yaml:4:9: error: slot 'encoder' (encoder 'mapped') gives codes of 4 x 4 x 4, and latent is 5, line 3; "
            "leave latent out ('latent: null'), or take another encoder",
        ),
        (
            "slots: {critic: pair, decoder: odd}",
            "r.yaml:4:23: error: decoder 'odd': contract 'B murk -> B C H W': 'murk' is no size and no "
            "option; choices: B, C, H, W, channels, height, latent, noise, size, width",
        ),
    ],
)
def test_contracts_that_do_not_fit_are_told_with_both_places(run_zoo: Run, text: str, said: str) -> None:
    Path("r.yaml").write_text(BASE + text + "\n")
    outcome = run_zoo("check", "r.yaml", "--plugin", PARTS)
    assert (outcome.code, outcome.err) == (2, said + "\n")


def test_a_call_with_too_many_inputs(run_zoo: Run) -> None:
    text = "values: {decoded_prior: twice}\noutputs: {sample: decoded_prior}\n"
    [said] = problems(run_zoo, BASE + text, "--plugin", PARTS)
    assert said.endswith("slot 'decoder' (decoder 'dcgan') takes 1 input ('B latent -> B C H W') and is handed 2")


@pytest.mark.parametrize("image", ["x", "generated", "generated_held", "reconstruction_held"])
def test_an_image_is_no_code(run_zoo: Run, image: str) -> None:
    text = f"values: {{mine: {{use: decoded, with: {{images: {image}}}}}}}\noutputs: {{mine: mine}}\n"
    [said] = problems(run_zoo, BASE + text, "--plugin", PARTS)
    expected = "slot 'decoder' (decoder 'dcgan') expects B x 5 (latent is 5, r.yaml:3:1) and is handed B x 3 x 8 x 8"
    assert expected in said


def test_a_shape_that_nothing_explains(run_zoo: Run) -> None:
    [said] = problems(run_zoo, BASE + "values: {mine: halved}\noutputs: {mine: mine}\n", "--plugin", PARTS)
    assert said.endswith("expects B x 3 x 8 x 8 (images are 3 x 8 x 8, r.yaml:2:8) and is handed B x 3 x 4 x 4")


@pytest.mark.parametrize("code", ["posterior_mean", "z_posterior"])
def test_the_mean_and_a_sample_have_the_shape_of_what_they_are_of(run_zoo: Run, code: str) -> None:
    text = f"slots: {{encoder: three}}\nvalues: {{z_posterior: {code}}}\nphases: [{{decoder: {{reconstruction: 1}}}}]\n"
    [said] = problems(run_zoo, BASE + text, "--plugin", PARTS)
    assert said.endswith("and is handed B x 3 (as slot 'encoder' gives, line 4)")


@pytest.mark.parametrize(
    ("contract", "fault"),
    [
        ("B latent", "contract 'B latent' has no '->'"),
        (
            "B murk -> B C H W",
            "contract 'B murk -> B C H W': 'murk' is no size and no option; "
            "choices: B, C, H, W, channels, height, latent, noise, size, width",
        ),
        (
            "B latnt -> B C H W",
            "contract 'B latnt -> B C H W': 'latnt' is no size and no option; did you mean 'latent'?",
        ),
        (
            "B N/2 -> B C H W",
            "contract 'B N/2 -> B C H W': 'N/2' is reckoned from 'N', which is no dimension before it",
        ),
        (
            "B latent -> B C H/3 W",
            "contract 'B latent -> B C H/3 W': 'H/3' does not come out even: H is 8; make H a multiple of 3",
        ),
    ],
)
def test_a_contract_that_cannot_be_read_is_told_without_torch(here: Path, contract: str, fault: str) -> None:
    file = plugin("odd_parts", f'"decoder", "odd", "odd_parts:Part", "promises", "{contract}"')
    with file.open("a") as source:
        source.write("\n\nclass Part:\n    def __init__(self, size): ...\n")
    (here / "r.yaml").write_text(BASE + "slots: {decoder: odd}\n")
    outcome = without_torch(["check", "r.yaml", "--plugin", file], here)
    assert outcome.err == f"r.yaml:4:9: error: decoder 'odd': {fault}\n"


def test_a_misfit_that_an_argument_made_points_at_it(run_zoo: Run) -> None:
    outcome = run_zoo("check", "avae", "--plugin", PARTS, "--set", "slots.decoder=wide")
    assert outcome.err == (
        "--set slots.decoder=wide: error: slot 'decoder' (decoder 'wide') expects B x 100 and is handed B x 64 "
        f"(as slot 'encoder' gives, {AVAE}:10:3; latent is 64, {AVAE}:7:1)\n"
    )
    outcome = run_zoo("check", "avae", "--plugin", PARTS, "--set", "values.z=noise")
    assert outcome.err == (
        f"{AVAE}:12:3: error: slot 'generator' (generator 'dcgan') expects B x 64 (latent is 64, line 7) "
        "and is handed B x 16 (noise is 16, line 8)\n"
    )


def test_a_size_that_nobody_wrote_is_told_as_the_default(run_zoo: Run) -> None:
    [said] = problems(run_zoo, "extends: vae\ndata: {size: 8}\nslots: {encoder: narrow}\n", "--plugin", PARTS)
    vae = AVAE.parents[1] / "zoo_vae" / "vae.yaml"
    assert said.endswith(f"gives B x 3, where B x 64 (latent is 64, {vae}:6:1) is promised")
    text = "data: {use: photos, size: 8}\nslots: {encoder: narrow, prior: normal}\nphases: [{encoder: {kl: 1}}]\n"
    [said] = problems(run_zoo, text, "--plugin", PARTS)
    assert said.endswith("where B x 64 (latent is 64, by default) is promised")


def test_a_part_that_does_not_fit_leaves_no_run_behind(run_zoo: Run) -> None:
    Path("r.yaml").write_text(BASE + "slots: {decoder: small}\n")
    outcome = run_zoo("build", "r.yaml", "--plugin", PARTS, "--out", "out")
    assert outcome.code == 2
    assert "slot 'decoder' (decoder 'small') gives" in outcome.err
    assert not Path("out/recipe.yaml").exists()
