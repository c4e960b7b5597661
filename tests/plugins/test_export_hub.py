"""A run on the hub and back, by a server on loopback that speaks as the hub does; its card; every recipe's files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from conftest import Run, python
from helpers.hub import hub
from plugins.test_export import exported, model_of, names

import zoo
from zoo.errors import RequestError
from zoo.runs.manifest import seal_holds

THERE_AND_BACK = """\
import sys, torch, zoo
from zoo.cli import main
assert main(["push", sys.argv[1], "org/tiny", "--set", "license=mit", "--private"]) == 0
own, fetched = zoo.load(sys.argv[1]), zoo.load("hf://org/tiny")
assert torch.equal(own.sample(4, seed=0), fetched.sample(4, seed=0))
assert fetched.loaded_from.is_relative_to(sys.argv[2])
for place in ("hf://org", "hf://org/tiny/file", "hf://org/gone"):
    try:
        zoo.load(place)
    except zoo.errors.RequestError as error:
        print(error, file=sys.stderr)
"""
OFFLINE = "import sys, zoo; print(zoo.load('hf://org/tiny').loaded_from.name)"


def test_a_run_goes_to_the_hub_and_comes_back(finished: Path, here: Path) -> None:
    with hub() as there:
        env = there.env(here)
        done = python("-c", THERE_AND_BACK, finished, here / "cache", env=env)
        assert done.code == 0, done.err
        assert done.out.strip() == f"{there.address}/org/tiny"
        assert there.private == {"org/tiny": True}
        assert "hf://org is no model of the hub; write hf://ORG/NAME, or hf://ORG/NAME@REVISION" in done.err
        assert "hf://org/tiny/file is no model of the hub" in done.err
        assert "hf://org/gone cannot be fetched: " in done.err
        assert {"README.md", "model.safetensors", "plugins.json", "recipe.yaml"} <= there.models["org/tiny"].keys()
        assert not {"README.md", "samples.png"} & set(there.fetched), "what is not read is not fetched"
        commit = there.commit("org/tiny")
        there.models["org/tiny"]["ema.safetensors"] = b"of another training"
        (here / "again").mkdir()
        exported(zoo.load(finished), "hub", here / "again" / "hub", license="mit")
        again = python("-m", "zoo", "push", here / "again/hub", "org/tiny", env=env)
        assert again.code == 0, again.err
        assert "ema.safetensors" not in there.models["org/tiny"], "what is gone here is gone there"
        refused = python("-m", "zoo", "push", here / "again/hub", "org/tiny", env={**env, "HF_TOKEN": "hf_other"})
        assert refused.code == 2
        assert "org/tiny cannot be pushed: " in refused.err
        assert "run 'hf auth login' or set HF_TOKEN" in refused.err
    gone = python("-c", OFFLINE, env={**env, "HF_HUB_OFFLINE": "1"})
    assert gone.out.strip() == commit, gone.err


def test_the_folder_is_a_run_without_places_of_this_machine(finished: Path, here: Path) -> None:
    model = zoo.load(finished)
    files, said = exported(model, "hub", here / "out")
    assert {"README.md", "model.safetensors", "plugins.json", "recipe.yaml", "samples.png", "scores.json"} <= {*files}
    assert said == ["no licence is named, so nobody may use it: --set license=cc-by-4.0, or edit README.md"]
    assert seal_holds((here / "out/recipe.yaml").read_text())
    assert torch.equal(zoo.load("out").sample(4, seed=1), model.sample(4, seed=1))
    assert not [path for path in (here / "out").iterdir() if str(finished.parent).encode() in path.read_bytes()]
    (here / "out/model.safetensors").write_bytes((here / "out/model.safetensors").read_bytes()[:-1] + b"?")
    with pytest.raises(zoo.errors.RunError, match="its content is not what was written"):
        zoo.load("out")


def test_a_card_says_what_the_run_knows(finished: Path, here: Path) -> None:
    model = zoo.load(finished)
    exported(model, "hub", here / "out", license="cc-by-4.0", data_license="CC0", about="Tiny pictures.")
    _, front, text = (here / "out/README.md").read_text().split("---\n", 2)
    told = yaml.safe_load(front)
    assert (told["license"], told["library_name"]) == ("cc-by-4.0", "generative-zoo")
    scores = json.loads((finished / "scores.json").read_text())
    (result,) = told["model-index"][0]["results"]
    assert {m["name"]: m["value"] for m in result["metrics"]} == {name: s["value"] for name, s in scores.items()}
    for line in (
        "Tiny pictures.",
        "![samples](samples.png)",
        "critic dcgan, data photos, decoder dcgan, encoder dcgan, generator dcgan, metric",
        "| 1 | encoder + decoder | reconstruction + kl | learns | learns | . | . |",
        "- Licence of the data: CC0",
        "- It has seen images of 8 px and of no other size.",
        "Trained for 3 steps.",
        "pip install 'generative-zoo[hub]'",
    ):
        assert line in text, line
    assert f"| mse | lower is better | {scores['mse']['value']:.4g} | 8 | test split, raw weights |" in text


def test_loading_says_what_to_install_and_runs_nothing(finished: Path, here: Path) -> None:
    exported(zoo.load(finished), "hub", here / "out")
    for name in ("recipe.yaml", "plugins.json"):
        file = here / "out" / name
        file.write_text(file.read_text().replace("generative-zoo/dcgan", "zoo-absent/dcgan"))
    file = here / "out/plugins.json"
    parts = json.loads(file.read_text())
    parts["parts"]["encoder zoo-absent/dcgan"] |= {"distribution": "zoo-absent", "version": "1.2"}
    file.write_text(json.dumps(parts))
    recipe = here / "out/recipe.yaml"
    recipe.write_text(recipe.read_text().rpartition("# SHA-256")[0] + "# edited\n")
    with pytest.raises(RequestError, match=r"pip install zoo-absent==1\.2"):
        zoo.load("out")


@pytest.mark.parametrize("name", names())
def test_every_bundled_recipe_becomes_a_folder_of_the_hub(name: str, here: Path) -> None:
    model = model_of(name)
    exported(model, "hub", here / "out")
    again = zoo.load("out")
    assert again.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(a, b) for a, b in zip(again.state_dict().values(), model.state_dict().values(), strict=True))
    assert yaml.safe_load((here / "out/README.md").read_text().split("---")[1])["tags"][0] == "generative-zoo"


def test_a_run_that_learns_from_a_run_is_refused(finished: Path, here: Path, run_zoo: Run) -> None:
    shutil.copytree(finished, here / "first")
    (here / "r.yaml").write_text(
        "extends: vae\ndata: {use: codes, run: first}\nlatent: 2\nslots: {encoder: mlp, decoder: mlp, prior: normal}\n"
        "outputs: {sample: decoded_prior}\nevaluate: []\ntrain: {steps: 1, batch: 4, ema: 0}\n"
    )
    assert run_zoo("build", "r.yaml", "--out", "run", "--stop-after", "train").code == 0
    done = run_zoo("export", "run", "--to", "hub", "out")
    assert done.code == 2
    assert "learns from another run, without which it is not read; export the run whose codes" in done.err


def test_a_space_is_a_run_with_a_page_of_its_own(finished: Path, here: Path) -> None:
    exported(zoo.load(finished), "space", here / "space", title="Tiny")
    front = (here / "space" / "README.md").read_text().split("---\n")[1]
    assert yaml.safe_load(front) == {"title": "Tiny", "sdk": "gradio", "python_version": "3.12", "app_file": "app.py"}
    assert (here / "space" / "requirements.txt").read_text() == f"generative-zoo[explore]=={zoo.__version__}\n"
    assert torch.equal(zoo.load(here / "space").sample(2, seed=0), zoo.load(finished).sample(2, seed=0))
    asked = "import runpy, zoo.cli; zoo.cli.main = lambda words: print(*words) or 0; runpy.run_path('app.py')"
    done = python("-c", asked, cwd=here / "space")
    assert (done.code, done.out) == (0, "explore . --host 0.0.0.0\n")
