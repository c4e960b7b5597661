"""A run on the hub and back, by a server on loopback that speaks as the hub does; its card; every recipe's files."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import python
from helpers.hub import hub
from plugins.test_export import exported, model_of, names

import zoo
from zoo.errors import RequestError
from zoo.report.explore import Explored
from zoo.runs.hub import fetched, push
from zoo.runs.manifest import seal_holds

THERE_AND_BACK = """\
import sys, torch, zoo
from zoo.cli import main
assert main(["push", sys.argv[1], "org/tiny", "--set", "license=mit", "--private"]) == 0
own, fetched = zoo.load(sys.argv[1]), zoo.load("hf://org/tiny")
assert torch.equal(own.sample(4, seed=0), fetched.sample(4, seed=0))
assert fetched.loaded_from.is_relative_to(sys.argv[2])
assert main(["sample", "hf://org/tiny", "-n", "2", "--weights", "raw"]) == 0
for place in ("hf://org", "hf://org/tiny/file", "hf://org/gone"):
    try:
        zoo.load(place)
    except zoo.errors.RequestError as error:
        print(error, file=sys.stderr)
"""
AGAIN = """\
import os, sys
from zoo.cli import main
assert main(["push", sys.argv[1], "org/tiny"]) == 0
os.environ["HF_TOKEN"] = "hf_other"
sys.exit(main(["push", sys.argv[1], "org/tiny"]))
"""
OFFLINE = "import sys, zoo; print(zoo.load('hf://org/tiny').loaded_from.name)"


def test_a_run_goes_to_the_hub_and_comes_back(finished: Path, here: Path) -> None:
    with hub() as there:
        env = there.env(here)
        done = python("-c", THERE_AND_BACK, finished, here / "cache", env=env, cwd=here)
        assert done.code == 0, done.err
        assert done.out == f"{there.address}/org/tiny\nsample.png\n"
        assert there.private == {"org/tiny": True}
        assert "hf://org is no model of the hub; write hf://ORG/NAME, or hf://ORG/NAME@REVISION" in done.err
        assert "hf://org/tiny/file is no model of the hub" in done.err
        assert "hf://org/gone cannot be fetched: " in done.err
        assert {"README.md", "model.safetensors", "plugins.json", "recipe.yaml"} <= there.models["org/tiny"].keys()
        assert not {"README.md", "samples.png"} & set(there.fetched), "what is not read is not fetched"
        assert (here / "sample.png").is_file(), "what is fetched is left as it was"
        out = python("-m", "zoo", "export", "hf://org/tiny", "--to", "hub", here / "card", env=env)
        assert out.code == 0, out.err
        commit = there.commit("org/tiny")
        there.models["org/tiny"]["ema.safetensors"] = b"of another training"
        (here / "again").mkdir()
        exported(zoo.load(finished), "hub", here / "again" / "hub", license="mit")
        refused = python("-c", AGAIN, here / "again/hub", env=env)
        assert refused.code == 2, refused.err
        assert "ema.safetensors" not in there.models["org/tiny"], "what is gone here is gone there"
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
    card = (here / "out/README.md").read_text()
    told: dict[str, Any] = {}
    exec(card.partition("```python\n")[2].partition("```")[0].replace("hf://ORG/NAME", "out"), told)
    again, outputs = told["model"], model.recipe.outputs
    assert again.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(a, b) for a, b in zip(again.state_dict().values(), model.state_dict().values(), strict=True))
    assert {"images", "again"} & told.keys() == {
        name for name, output in {"images": "sample", "again": "reconstruction"}.items() if output in outputs
    }
    front = yaml.safe_load(card.split("---")[1])
    assert front["tags"][0] == "generative-zoo"
    asks = "sample" in outputs and bool(model.asked(outputs["sample"]))
    assert ("conditional" in front["tags"]) == asks
    assert not (asks and front.get("pipeline_tag") == "unconditional-image-generation")


def test_a_card_calls_the_model_with_what_it_takes(here: Path) -> None:
    for name, lines in {
        "cvae": [
            "images = model.sample(16)  # (16, 3, 16, 16) in [-1, 1], of any label",
            'images = model.sample(given={"label": label})',
            'again = model.reconstruct({"x": x, "label": label})',
        ],
        "pix2pix": ['images = model.sample(given={"flat": flat})'],
        "vae": ["images = model.sample(16)  # (16, 3, 16, 16) in [-1, 1]", "again = model.reconstruct(x)"],
    }.items():
        exported(model_of(name), "hub", here / name)
        text = (here / name / "README.md").read_text()
        assert [line for line in lines if line not in text.splitlines()] == [], text
    assert yaml.safe_load((here / "pix2pix/README.md").read_text().split("---")[1])["pipeline_tag"] == "image-to-image"


def test_damaged_scores_are_not_passed_over(finished: Path, here: Path) -> None:
    shutil.copytree(finished, here / "run")
    for damage in ("{", "[]", '{"mse": 3}', '{"mse": {"value": 3}}'):
        (here / "run/scores.json").write_text(damage)
        with pytest.raises(RequestError, match=r"scores.json: is damaged; 'zoo evaluate .*run' writes it anew"):
            exported(zoo.load("run"), "hub", here / "out")
    (here / "run/scores.json").unlink()
    exported(zoo.load("run"), "hub", here / "out")
    assert "It has not been scored." in (here / "out/README.md").read_text()


def test_a_hub_that_does_not_answer_is_no_matter_of_a_token(finished: Path, here: Path) -> None:
    exported(zoo.load(finished), "hub", here / "out", license="mit")
    env = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_TOKEN": "hf_any", "HF_HOME": str(here / "hf")}
    done = python("-m", "zoo", "push", here / "out", "org/tiny", env=env)
    assert done.code == 2
    assert "org/tiny cannot be pushed: " in done.err
    assert done.err.rstrip().endswith("; see that http://127.0.0.1:9 can be reached")
    assert "log in" not in done.err


def test_a_space_is_refused_where_the_page_would_show_nothing(here: Path) -> None:
    nothing = [name for name in names() if not model_of(name).samples and not Explored(model_of(name), ()).reads]
    assert "pix2pix" in nothing
    for name in nothing:
        with pytest.raises(RequestError, match=f"what '{name}' makes asks for more than codes"):
            exported(model_of(name), "space", here / name)
    for name in [name for name in names() if not model_of(name).samples and name not in nothing]:
        exported(model_of(name), "space", here / name)


def test_what_the_hub_cannot_give_is_told(finished: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No library, a model that is no run, a cache that takes nothing, another process that was quicker."""
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "huggingface_hub", None)
        with pytest.raises(RequestError, match=r"pip install 'generative-zoo\[hub\]'"):
            fetched("hf://org/tiny")
    with pytest.raises(RequestError, match="tiny is no name of a model on the hub; write ORG/NAME"):
        push(here, "tiny", private=False)
    monkeypatch.setenv("ZOO_CACHE", str(here / "cache"))
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(here / "empty"))
    with pytest.raises(RequestError, match=r"hf://org/tiny holds no run of zoo: it has no recipe\.yaml"):
        fetched("hf://org/tiny")
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(finished))
    rename = Path.rename

    def refused(*_: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def later(source: Path, target: Path) -> None:
        shutil.copytree(source, target)
        raise FileExistsError(target)

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(RequestError, match="cannot be written: No space left on device"):
        fetched("hf://org/tiny")
    monkeypatch.setattr(Path, "rename", later)
    there = fetched("hf://org/tiny")
    monkeypatch.setattr(Path, "rename", rename)
    assert [path.name for path in there.parent.iterdir()] == [there.name], "nothing is left beside it"
    assert zoo.load(there).recipe.name == zoo.load(finished).recipe.name
