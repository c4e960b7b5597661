"""The command line: what is installed, editable copies, pictures from runs; every verb has ``--json``."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PARTS, TINY, Run, python, without_torch
from PIL import Image

import zoo
from zoo.cli import main

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def run(finished: Path, here: Path) -> Path:
    """A copy of the finished run."""
    return Path(shutil.copytree(finished, here / "run"))


# -- what is installed ---------------------------------------------------------------------------------------


def test_list_is_quick_and_never_imports_torch(here: Path) -> None:
    outcome = without_torch(["list"], here)
    assert outcome.code == 0
    assert outcome.out.splitlines()[0].split() == ["kind", "name", "package", "summary"]
    bare, spent = (min(cpu_seconds(*command) for _ in range(3)) for command in (("-c", "pass"), ("-m", "zoo", "list")))
    assert spent < max(0.12, 8 * bare)  # Python's own start takes .015 where nothing else runs


def cpu_seconds(*command: str) -> float:
    """What a fresh Python takes of a processor."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize("kind", ["encoder", "encoders"])
def test_list_of_a_kind(run_zoo: Run, kind: str) -> None:
    rows = json.loads(run_zoo("list", kind, "--json").out)
    assert {row["kind"] for row in rows} == {"encoder"}
    assert {"dcgan", "timm"} <= {row["name"] for row in rows}


def test_list_of_recipes_and_of_nothing(run_zoo: Run) -> None:
    assert {"avae", "vae"} <= {row["name"] for row in json.loads(run_zoo("list", "recipe", "--json").out)}
    of_family = json.loads(run_zoo("list", "recipe", "translation", "--json").out)
    assert {row["name"] for row in of_family} == {"pix2pix", "cyclegan", "unit", "munit"}
    told = run_zoo("list", "recipe", "translatin").err
    assert told == "zoo: error: there is no family 'translatin'; did you mean 'translation'?\n"
    outcome = run_zoo("list", "encodr")
    assert (outcome.code, outcome.err) == (2, "zoo: error: there is no kind 'encodr'; did you mean 'encoder'?\n")


def test_show_tells_options_shapes_and_source(run_zoo: Run) -> None:
    told = run_zoo("show", "encoder:dcgan").out
    assert "shapes: B C H W -> B latent" in told
    assert "asks for: channels, size, latent" in told
    assert "networks.py:" in told
    assert "width   int" in told
    described, _ = json.loads(run_zoo("show", "encoder:dcgan", "--json").out)  # and that of a class
    assert described["options"]["width"] == {
        "type": "int",
        "default": 64,
        "required": False,
        "doc": "channels of the first stage; at least 1.",
    }
    file, line = described["source"].rsplit(":", 1)
    assert Path(file).read_text().splitlines()[int(line) - 1].startswith("class Encoder")


def test_show_of_one_name_of_several_kinds(run_zoo: Run) -> None:
    kinds = [described["kind"] for described in json.loads(run_zoo("show", "dcgan", "--json").out)]
    assert [*dict.fromkeys(kinds)] == ["encoder", "decoder", "generator", "critic"]


def test_show_of_a_recipe_and_of_a_section(run_zoo: Run) -> None:
    assert "extends" not in run_zoo("show", "vae").out
    assert "encoder + decoder: {reconstruction: 1.0, kl: 1.0}" in run_zoo("show", "vae").out
    assert [d["kind"] for d in json.loads(run_zoo("show", "vae", "--json").out)] == ["recipe"]
    assert "save_every" in run_zoo("show", "train").out
    outcome = run_zoo("show", "dcgna")
    assert (outcome.code, outcome.err) == (2, "zoo: error: nothing is called 'dcgna'; did you mean 'dcgan'?\n")


def test_show_imports_no_torch(here: Path) -> None:
    assert without_torch(["show", "dcgan"], here).code == 0


def test_plugins(run_zoo: Run, here: Path) -> None:
    rows = json.loads(run_zoo("plugins", "--json").out)
    ours = {row["name"]: row["state"] for row in rows if row["distribution"] == "generative-zoo"}
    assert set(ours.values()) == {"ok"}
    assert {"dcgan", "losses", "values", "avae"} <= ours.keys()
    Path("torn_plugin.py").write_text("def broken(:\n")
    outcome = without_torch(["plugins", "--plugin", "torn_plugin.py"], here)
    assert outcome.code == 0
    assert "SyntaxError" in outcome.out


# -- editable copies -----------------------------------------------------------------------------------------


def test_init_writes_a_copy_with_its_comments_and_never_overwrites(run_zoo: Run) -> None:
    assert run_zoo("init", "avae").out == "avae.yaml: edit it, then run: zoo build avae.yaml\n"
    assert Path("avae.yaml").read_text().startswith("# AVAE")
    Path("avae.yaml").write_text("mine\n")
    outcome = run_zoo("init", "avae")
    assert outcome.code == 2
    assert outcome.err == "zoo: error: avae.yaml: is there already; choose another --out, or edit it\n"
    assert Path("avae.yaml").read_text() == "mine\n"
    assert json.loads(run_zoo("init", "vae", "--out", "mine.yaml", "--json").out) == {"file": "mine.yaml"}
    assert run_zoo("init", "vae", "--out", "no/where.yaml").code == 2


# -- pictures from runs --------------------------------------------------------------------------------------


def size(path: str | Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def test_sample(run_zoo: Run, run: Path) -> None:
    assert run_zoo("sample", "run", "-n", 4).out == "run/sample.png\n"
    first = (run / "sample.png").read_bytes()
    assert run_zoo("sample", "run", "-n", 4, "--out", "again.png").code == 0
    assert Path("again.png").read_bytes() == first
    run_zoo("sample", "run", "-n", 4, "--seed", 1, "--out", "other.png")
    assert Path("other.png").read_bytes() != first
    outcome = run_zoo("sample", "run", "-n", 0)
    assert (outcome.code, outcome.err) == (2, "zoo: error: -n must be at least 1, not 0\n")


def test_interpolate(run_zoo: Run, run: Path) -> None:
    assert run_zoo("interpolate", "run", "-n", 2, "--steps", 3).out == "run/interpolate.png\n"
    width, height = size(run / "interpolate.png")
    assert width > height
    assert run_zoo("interpolate", "run", "--steps", 1).err == "zoo: error: --steps must be at least 2, not 1\n"


def test_reconstruct(run_zoo: Run, run: Path) -> None:
    Image.new("RGB", (40, 30), "red").save("red.png")
    Image.new("L", (5, 9), 128).save("grey.jpg")
    assert run_zoo("reconstruct", "run", "red.png", "grey.jpg").out == "run/reconstruct.png\n"
    assert size(run / "reconstruct.png")[0] > 0


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("absent.png", None, "absent.png: there is no such file"),
        ("text.png", b"not an image", "text.png: cannot be read as an image: "),
    ],
)
def test_reconstruct_of_what_is_no_image(run_zoo: Run, run: Path, name: str, content: bytes | None, said: str) -> None:
    if content:
        Path(name).write_bytes(content)
    outcome = run_zoo("reconstruct", "run", name)
    assert outcome.code == 2
    assert outcome.err.startswith(f"zoo: error: {said}")
    assert not (run / "reconstruct.png").exists()


def test_evaluate_gives_the_same_scores(run_zoo: Run, run: Path) -> None:
    before = json.loads((run / "scores.json").read_text())
    assert json.loads(run_zoo("evaluate", "run", "--json").out) == before
    assert json.loads((run / "scores.json").read_text()) == before


ENDLESS = '''
import torch
from zoo import api
@api.hookimpl
def zoo_components():
    return (api.Component("metric", "endless", "endless:Endless", "Without end."),)
class Endless:
    """Without end."""
    better = "lower"
    def update(self, x: torch.Tensor) -> None: ...
    def compute(self) -> float:
        return float("inf")
'''


def test_a_score_without_end_is_text_in_json_and_a_number_elsewhere(run_zoo: Run, run: Path) -> None:
    Path("endless.py").write_text(ENDLESS)
    before = json.loads((run / "scores.json").read_text())
    more = ("--plugin", "endless.py")
    outcome = run_zoo("evaluate", "run", "--metrics", "endless", *more, "--json")
    assert json.loads(outcome.out, parse_constant=pytest.fail)["endless"]["value"] == "Infinity"
    kept = json.loads((run / "scores.json").read_text(), parse_constant=pytest.fail)
    assert (kept["endless"]["value"], len(kept)) == ("Infinity", 1 + len(before))
    assert '<data value="inf">inf</data>' in (run / "report.html").read_text()
    assert run_zoo("evaluate", "run", "--metrics", "mse", *more).code == 0
    assert '<data value="Infinity">inf</data>' in (run / "report.html").read_text()
    assert ["endless", "inf"] in [
        line.split() for line in run_zoo("evaluate", "run", "--metrics", "endless", *more).out.splitlines()
    ]


def test_json_is_printed_by_one_writer() -> None:
    """Which writes no NaN; ``zoo/testing/child.py`` is read by its parent alone."""
    sources = Path(zoo.__file__).parent.rglob("*.py")
    assert [path.name for path in sources if "print(json.dumps" in path.read_text()] == ["child.py"]


def test_what_is_no_run(run_zoo: Run, run: Path) -> None:
    outcome = run_zoo("sample", "nowhere")
    assert (outcome.code, outcome.err) == (2, "zoo: error: nowhere: is not a run (it has no recipe.yaml)\n")
    assert run_zoo("sample", "vae").err == (
        "zoo: error: vae: is not a run (a run is the directory that a build writes: zoo build vae)\n"
    )
    near = "it has no recipe.yaml; did you mean 'a/first'?"
    Path("a/first").mkdir(parents=True)
    assert run_zoo("sample", "a/frist").err == f"zoo: error: a/frist: is not a run ({near})\n"
    assert run_zoo("check", "a/frist").err == "zoo: error: there is no run or file 'a/frist'; did you mean 'a/first'?\n"
    (run / "model.safetensors").unlink()
    for path in (run / "state").glob("step-*"):
        path.unlink()
    outcome = run_zoo("sample", "run")
    assert outcome.code == 1
    assert outcome.err == "zoo: error: run: has no model.safetensors; finish it with: zoo build run\n"


def test_a_gan_cannot_reconstruct(run_zoo: Run) -> None:
    widths = ["--set", "slots.generator.width=4", "--set", "slots.critic.width=4", "--set", "train.steps=2"]
    small = ["--set", "data.size=8", "--set", "data.train=64", "--set", "data.test=8", "--set", "train.batch=4"]
    assert run_zoo("build", "gan", "--out", "gan", *widths, *small).code == 0
    Image.new("RGB", (8, 8)).save("red.png")
    outcome = run_zoo("reconstruct", "gan", "red.png")
    assert outcome.code == 2
    assert outcome.err.startswith("zoo: error: recipe 'gan' has no output 'reconstruction'")
    assert run_zoo("sample", "gan", "-n", 1).code == 0


# -- the whole of it -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("run")
def test_json_is_one_document_whatever_the_verb(run_zoo: Run) -> None:
    Path("tiny.yaml").write_text(TINY)
    Image.new("RGB", (8, 8)).save("red.png")
    commands = [
        ["list"],
        ["show", "dcgan"],
        ["plugins"],
        ["init", "vae"],
        ["check", "tiny.yaml"],
        ["explain", "tiny.yaml"],
        ["build", "tiny.yaml", "--out", "run"],
        ["sample", "run"],
        ["reconstruct", "run", "red.png"],
        ["interpolate", "run"],
        ["evaluate", "run"],
        ["sample", "nowhere"],
        ["init", "vae"],
    ]
    for command in commands:
        json.loads(run_zoo(*command, "--json").out)


def test_a_command_that_argparse_refuses_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["build"], ["build", "avae", "--stop-after", "lunch"]):
        with pytest.raises(SystemExit) as exit_:
            main(command)
        assert exit_.value.code == 2
    assert "invalid choice: 'lunch'" in capsys.readouterr().err


def test_the_version() -> None:
    assert python("-m", "zoo", "--version").out == f"zoo {zoo.__version__}\n"


def test_a_reader_that_stops_reading_is_no_error(here: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m zoo list | head -n 1", shell=True, capture_output=True, text=True, cwd=here
    )
    assert done.stderr == ""


def test_a_plugin_file_serves_every_verb(run_zoo: Run) -> None:
    assert "local/small" in run_zoo("show", "small", "--plugin", PARTS).out
    assert run_zoo("list", "--plugin", PARTS).code == 0
