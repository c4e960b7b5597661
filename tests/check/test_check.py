"""``zoo check``: everything short of training, of several recipes, as text and as JSON."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import PARTS, TINY, Run, costs_less, without_torch

NO_WANDB = find_spec("wandb") is None

TINT = '''
from torch import nn

from zoo import api


class Tint(nn.Module):
    """Colours that nobody trains."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        return self.mix(x)


@api.hookimpl
def zoo_components():
    return [api.Component("value", "tinted", f"{__name__}:Tint", "colours")]
'''

pytestmark = pytest.mark.usefixtures("here")


def test_several_recipes_are_checked_each_with_its_data(run_zoo: Run) -> None:
    """Ok is what builds: files that are not there, or no image, are as wrong as a shape; all is told at once."""
    Path("empty").mkdir()
    Path("tiny.yaml").write_text(TINY)
    Path("lost.yaml").write_text(TINY.replace("{size: 8, train: 64, test: 8}", "{use: folder, path: lost, size: 8}"))
    outcome = run_zoo("check", "tiny.yaml", "lost.yaml", "--set", "watch=[wandb]" if NO_WANDB else "watch=[]")
    assert (outcome.code, outcome.out) == (2, "" if NO_WANDB else "tiny.yaml: ok\n")
    said = "lost.yaml:2:1: error: data 'folder': folder: "
    assert [line for line in outcome.errors if line.startswith(said)] == [
        f"{said}{Path('lost').absolute()} does not exist; give a directory of images."
    ]
    needs = "error: watcher 'wandb': it needs wandb: pip install 'generative-zoo[wandb]'"
    assert outcome.err.count(needs) == 2 * NO_WANDB
    (empty,) = run_zoo("check", "lost.yaml", "--set", "data.path=empty").errors
    assert "holds no image" in empty
    both = run_zoo("check", "lost.yaml", "--set", "outputs.sample=z").errors
    assert [line.partition(": error: ")[2][:9] for line in both] == ["output 's", "data 'fol"]


def test_weights_that_could_learn_and_do_not_are_told(run_zoo: Run) -> None:
    """By check and by build: a slot in no row, a part of one that no gradient arrives at, a value's own network."""
    Path("tint.py").write_text(TINT)
    Path("r.yaml").write_text(
        TINY.replace("critic: {width: 4}}", "critic: {width: 4}, spare_decoder: {use: dcgan, width: 4}}")
        + "phases:\n  - encoder.mean + decoder: {reconstruction: {with: {x: tinted}}, kl: 1}\n"
        + "    generator: {reverse_kl: 1}\nwatch: []\n"
    )
    said = [
        "slot 'encoder': no row's gradient arrives at 'encoder.trunk.0.0.weight' and 3 more: 456 numbers stay as they "
        "are made",
        "slot 'critic' is in no row: its 261 numbers stay as they are made",
        "slot 'spare_decoder' is in no row: its 397 numbers stay as they are made",
        "value 'tinted' owns networks that ask for gradients, and nothing trains them: only a term with a learn() has "
        "its own trained; they stay as they are made",
    ]
    outcome = run_zoo("check", "r.yaml", "--plugin", "tint.py")
    assert (outcome.code, outcome.out, outcome.errors) == (0, "r.yaml: ok\n", [f"r.yaml: {line}" for line in said])
    assert json.loads(run_zoo("check", "r.yaml", "--plugin", "tint.py", "--json").out)["notes"]["r.yaml"] == said
    assert "\n\n".join(said) in run_zoo("explain", "r.yaml", "--plugin", "tint.py").out
    built = run_zoo("build", "r.yaml", "--plugin", "tint.py", "--stop-after", "assemble")
    assert [line for line in built.errors if "stay as they are made" in line] == said


def test_json_has_the_problems_of_each_recipe(run_zoo: Run) -> None:
    Path("good.yaml").write_text(TINY)
    Path("bad.yaml").write_text(TINY.replace("latent: 4", "latent: 0"))
    outcome = run_zoo("check", "good.yaml", "bad.yaml", "--json")
    assert outcome.code == 2
    assert outcome.err == ""
    assert json.loads(outcome.out) == {
        "ok": False,
        "problems": {"good.yaml": [], "bad.yaml": ["bad.yaml:3:1: error: 'latent' must be at least 1, not 0"]},
        "notes": {"good.yaml": [], "bad.yaml": []},
    }


def test_overrides_count(run_zoo: Run) -> None:
    Path("tiny.yaml").write_text(TINY)
    outcome = run_zoo("check", "tiny.yaml", "--set", "data.size=30")
    assert outcome.code == 2
    assert outcome.errors == [
        "--set data.size=30: error: encoder 'dcgan' of slot 'encoder': dcgan networks cannot have size 30, "
        "which is no 4, 5, 6 or 7 times 2, 4, 8 ... 64: choose 28 or 32 (set data.size)."
    ]
    Path("two.yaml").write_text(
        "extends: vae\nslots: {y_encoder: {use: dcgan, of: y}}\nphases: [{y_encoder: {kl: 1}}]\n"
        "values: {posterior: {with: {encoder: y_encoder, x: y}}}\ndata: {x: sprites, y: {use: sprites, size: 30}}\n"
    )
    [line] = run_zoo("check", "two.yaml").errors
    assert line.startswith("two.yaml:5:38: error: encoder 'dcgan' of slot 'y_encoder'")
    assert line.endswith("choose 28 or 32 (set data.y.size).")


def test_nothing_is_written_and_what_is_plain_is_seen_without_torch(here: Path) -> None:
    (here / "bad.yaml").write_text(TINY + "evalute: [mse]\n")
    assert without_torch(["check", "bad.yaml"], here).code == 2
    assert costs_less(["check", "bad.yaml"], 8, ["list", "encoder"], here)  # importing torch alone is 10 and more
    assert [path.name for path in here.iterdir()] == ["bad.yaml"]


def test_text_that_is_no_recipe(run_zoo: Run) -> None:
    for text, said in [
        ("a: [1, 2\n", "r.yaml:2:1: error: expected ',' or ']' in the list that begins at line 1"),
        ("", "r.yaml:1:1: error: the recipe is empty"),
        ("- a\n", "r.yaml:1:1: error: a recipe is a mapping of 'key: value' lines, not a list"),
        ("a: !!python/object:os.system x\n", "r.yaml:1:4: error: tag 'tag:yaml.org,2002:python/object:os.system' is"),
    ]:
        Path("r.yaml").write_text(text)
        outcome = run_zoo("check", "r.yaml")
        assert outcome.code == 2
        assert outcome.err.startswith(said)


# -- metrics -----------------------------------------------------------------------------------------------

METRIC = '''
from zoo import api


class Sized:
    """A metric that asks for a size."""

    protocol = {}
    better = "lower"

    def __init__(self, size: int, *, least: int = 0) -> None:
        if size < least:
            raise ValueError(f"least is {least}, and images are {size}")
        self.size = size

    def update(self, x, reconstruction) -> None:
        assert x.shape[-1] == self.size

    def compute(self) -> float:
        return float(self.size)


@api.hookimpl
def zoo_components():
    return [api.Component("metric", "sized", f"{__name__}:Sized", "a metric with a size")]
'''


@pytest.mark.usefixtures("here")
def test_a_metric_may_ask_for_sizes_and_its_options_are_tried_before_training(run_zoo: Run) -> None:
    Path("sized_metric.py").write_text(METRIC)
    Path("fine.yaml").write_text(TINY + "evaluate: {sized: {least: 4}}\n")
    Path("wrong.yaml").write_text(TINY + "evaluate: {sized: {least: 9}}\n")
    said = run_zoo("check", "wrong.yaml", "--plugin", "sized_metric.py").err
    assert said == "wrong.yaml:7:12: error: metric 'sized' cannot be computed: least is 9, and images are 8\n"
    built = run_zoo("build", "fine.yaml", "--plugin", "sized_metric.py", "--json")
    assert json.loads(built.out)["scores"]["sized"]["value"] == 8


UNFINISHED = '''
import torch
from torch import nn

from zoo import api


class Silent(nn.Module):
    """A decoder whose author forgot forward()."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.layer = nn.Linear(latent, 4)


class Looking(nn.Module):
    """A decoder that looks at its numbers, which meta does not have."""

    def __init__(self, channels: int, size: int, latent: int) -> None:
        super().__init__()
        self.shape = (channels, size, size)
        self.layer = nn.Linear(latent, channels * size * size)

    def forward(self, z):
        if z.device.type == "meta":
            raise NotImplementedError("not on meta")
        return self.layer(z).tanh().unflatten(1, self.shape)


@api.hookimpl
def zoo_components():
    return [
        api.Component("decoder", "silent", f"{__name__}:Silent", "no forward"),
        api.Component("decoder", "looking", f"{__name__}:Looking", "not on meta"),
    ]
'''


@pytest.mark.usefixtures("here")
def test_what_meta_lacks_is_tried_on_the_cpu_and_what_nobody_wrote_is_said_with_its_place(run_zoo: Run) -> None:
    Path("unfinished.py").write_text(UNFINISHED)
    for name in ("silent", "looking"):
        Path(f"{name}.yaml").write_text(TINY.replace("decoder: {width: 4}", f"decoder: {name}"))
    found = run_zoo("check", "silent.yaml", "--plugin", "unfinished.py")
    assert found.code == 2
    assert found.err == (
        "silent.yaml:5:30: error: slot 'decoder' (decoder 'silent') cannot be computed: "
        'Module [Silent] is missing the required "forward" function\n'
    )
    assert run_zoo("check", "looking.yaml", "--plugin", "unfinished.py").out == "looking.yaml: ok\n"


# -- the third depth: one real batch ----------------------------------------------------------------------------


def test_shapes_that_only_real_images_bring_to_light_are_told_before_training(run_zoo: Run) -> None:
    Path("real.yaml").write_text(TINY.replace("encoder: {width: 4}", "encoder: real"))
    assert (
        run_zoo("check", "real.yaml", "--plugin", PARTS).errors[-1].startswith("real.yaml:5:9: error: slot 'encoder'")
    )
    outcome = run_zoo("build", "real.yaml", "--plugin", PARTS, "--out", "out")
    assert outcome.code == 2
    assert outcome.errors[-1] == (
        "real.yaml:5:9: error: slot 'encoder' (encoder 'real') gives B x 3, "
        "where B x 4 (latent is 4, line 3) is promised"
    )
    assert not Path("out/metrics.jsonl").exists()


def test_a_metric_that_cannot_be_measured_is_told_before_training(run_zoo: Run) -> None:
    Path("r.yaml").write_text(TINY + "evaluate: {mse: {use: mse, with: {reconstruction: z}}}\n")
    outcome = run_zoo("build", "r.yaml", "--out", "out")
    assert outcome.code == 2
    assert outcome.errors[-1].startswith("r.yaml:7:12: error: metric 'mse': RuntimeError: The size of tensor a (8)")
    assert not Path("out/metrics.jsonl").exists()


def test_fifty_recipes_at_once_cost_little_more_than_one(here: Path) -> None:
    names = [f"r{number}.yaml" for number in range(50)]
    for name in names:
        (here / name).write_text(TINY.replace("latent: 4", "latent: 0") + "evalute: [mse]\n")
    outcome = without_torch(["check", *names], here)
    assert costs_less(["check", *names], 3, ["check", names[0]], here)
    said = [
        "3:1: error: 'latent' must be at least 1, not 0",
        "7:1: error: a recipe has no option 'evalute'; did you mean",
    ]
    assert outcome.code == 2
    for line, (name, start) in zip(outcome.errors, [(n, s) for n in names for s in said], strict=True):
        assert line.startswith(f"{name}:{start}")


ROUNDED = '''
import os

from torch import nn

from zoo import api


def rounded(x, reconstruction):
    """Goes down nowhere, though autograd finds a way."""
    return ((x - reconstruction).round()).square().mean()


class Begun(nn.Module):
    """An encoder that begins at a file."""

    def __init__(self, channels: int, size: int, latent: int, *, path: str) -> None:
        super().__init__()
        if not api.restoring() and not os.path.exists(path):
            raise ValueError(f"{path} is not there")
        self.dense = nn.Linear(channels * size**2, 2 * latent)

    def forward(self, x):
        return api.Gaussian(*self.dense(x.flatten(1)).chunk(2, 1))


@api.hookimpl
def zoo_components():
    return [
        api.Component("term", "rounded", f"{__name__}:rounded", "flat"),
        api.Component("encoder", "begun", f"{__name__}:Begun", "a file"),
    ]
'''


def test_a_gradient_of_zero_is_told(run_zoo: Run) -> None:
    Path("rounded.py").write_text(ROUNDED)
    Path("r.yaml").write_text(TINY)
    term = "phases.0.encoder+decoder.rounded=1"
    outcome = run_zoo("check", "r.yaml", "--plugin", "rounded.py", "--set", term)
    said = "r.yaml: term 'rounded' of row 'encoder + decoder' has a gradient of 0 on the first images\n"
    assert (outcome.code, outcome.err) == (0, said)


WRONG = """
from zoo import api


def endless(x, reconstruction):
    \"\"\"Which has no logarithm.\"\"\"
    return ((x - reconstruction) * 0).sum().log()


def brighter(x, reconstruction):
    \"\"\"Which writes into the images.\"\"\"
    return (x.add_(1) - reconstruction).square().sum()


@api.hookimpl
def zoo_components():
    return [api.Component("term", name, f"{__name__}:{name}", "wrong") for name in ("endless", "brighter")]
"""


def test_a_term_that_is_no_number_or_writes_into_images_is_told_before_training(run_zoo: Run) -> None:
    Path("wrong_terms.py").write_text(WRONG)
    Path("r.yaml").write_text(TINY)
    for name, said in (
        ("endless", "term 'endless' is -inf on the first images: nothing learns\n"),
        ("brighter", "row 'encoder + decoder' changes x in place, which others see too; work on a copy"),
    ):
        setting = f"phases.0.encoder+decoder.{name}=1"
        outcome = run_zoo("check", "r.yaml", "--plugin", "wrong_terms.py", "--set", setting)
        assert (outcome.code, said in outcome.err) == (2, True), outcome.err


def test_a_run_is_checked_without_the_file_that_it_began_at(run_zoo: Run) -> None:
    Path("begun.py").write_text(ROUNDED)
    Path("first").touch()
    Path("r.yaml").write_text(TINY.replace("encoder: {width: 4}", "encoder: {use: begun, path: first}"))
    assert run_zoo("build", "r.yaml", "--plugin", "begun.py", "--stop-after", "train", "--out", "run").code == 0
    Path("first").unlink()
    assert run_zoo("check", "run", "--plugin", "begun.py").out == "run: ok\n"
    assert run_zoo("check", "r.yaml", "--plugin", "begun.py").err.endswith("first is not there\n")


@pytest.mark.parametrize("slot", ["encoder", "critic"])
def test_a_network_that_hands_on_its_input_takes_no_gradient_of_others(run_zoo: Run, slot: str) -> None:
    """As the backbones of timm do by nn.Identity: what passes through that image is not through the network."""
    small = (f"slots.{slot}={{use: timm, model: test_resnet}}", "data.train=64", "data.test=16")
    outcome = run_zoo("check", "avae", *(word for setting in small for word in ("--set", setting)))
    assert outcome.code == 0, outcome.err


@pytest.mark.usefixtures("few_photos")
def test_a_phase_that_is_never_played_is_told(run_zoo: Run) -> None:
    small = ["data.size=16", "slots.encoder.width=4", "slots.generator.width=4", "slots.critic.width=4"]
    settings = [word for said in [*small, "train.steps=1000"] for word in ("--set", said)]
    told = run_zoo("check", "f-anogan", *settings)
    text = f"{told.out}{told.err}"
    assert "starts at step 1,500, and the training has 1,000: it is never played" in text
    whole = run_zoo("check", "f-anogan", *settings, "--set", "train.epochs=1")
    assert (whole.code, "never played" in f"{whole.out}{whole.err}") == (0, False)


RANGES = """
import torch

from zoo import api


def _numbers(size, low, high, dtype):
    x = torch.linspace(low, high, 72 * 3 * size * size).reshape(72, 3, size, size).to(dtype)
    return api.Images(x[:64], x[8:])


def floats(*, size: int = 8, channels: int = 3, low: float = 0.0, high: float = 1.0):
    return _numbers(size, low, high, torch.float32)


def whole(*, size: int = 8, channels: int = 3):
    return _numbers(size, 0, 255, torch.int64)


def said(*, size: int = 8, channels: int = 3):
    return _numbers(size, 0, 1, torch.float32)


@api.hookimpl
def zoo_components():
    told = {"x": api.Field("image", "channels H W", range=(0, 1))}
    parts = [api.Component("data", name, f"{__name__}:{name}", "numbers") for name in ("floats", "whole")]
    return [*parts, api.Component("data", "said", f"{__name__}:said", "numbers", fields=told)]
"""


def test_numbers_of_images_that_nothing_says_are_black_and_white(run_zoo: Run) -> None:
    Path("ranges.py").write_text(RANGES)
    for data, of in (
        ("{use: floats}", "torch.float32 from 0 to 0.8889"),
        ("{use: floats, high: 255}", "torch.float32 from 0 to 226.7"),
        ("{use: whole}", "torch.int64 from 0 to 226"),
        ("{use: floats, low: -1}", ""),
        ("{use: said}", ""),
    ):
        Path("r.yaml").write_text(TINY.replace("{size: 8, train: 64, test: 8}", data))
        told = run_zoo("check", "r.yaml", "--plugin", "ranges.py")
        assert told.code == (2 if of else 0), told.err
        said = f"its train items of x are {of}, and models see [-1, 1]; give uint8 (api.to_pixels)"
        assert not of or said in told.err
