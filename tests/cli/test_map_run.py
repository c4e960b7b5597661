"""A stranger's KL autoencoder, codes 4 x 8 x 8, through every command: built, scored, pictured, sampled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Run
from helpers.maps import MAPS, SOURCE
from PIL import Image

import zoo
from zoo.recipe.yaml.write import write


@pytest.mark.usefixtures("here")
def test_every_command_takes_codes_that_are_maps(run_zoo: Run) -> None:
    recipe = SOURCE | {"evaluate": ["mse", "kl", "cycle", "active-units"]}
    Path("kl.yaml").write_text(write({**recipe, "train": recipe["train"] | {"steps": 2, "log_every": 1}}))
    plugin = ("--plugin", MAPS)
    built = run_zoo("build", "kl.yaml", "--device", "cpu", *plugin)
    assert built.code == 0, built.err
    run = Path("runs/kl")
    assert "latent: [4, 8, 8]\n" in (run / "recipe.yaml").read_text()
    assert "latent 4 x 8 x 8" in (run / "report.html").read_text()
    scores = json.loads((run / "scores.json").read_text())
    assert len(scores["active-units"]["details"]["variance"]) == 256
    assert len(scores["kl"]["details"]["dimensions"]) == 256
    assert scores["kl"]["value"] == pytest.approx(sum(scores["kl"]["details"]["dimensions"]))
    assert scores["cycle"]["value"] > 0.5
    for picture in ("samples", "reconstructions", "interpolations", "traversals"):
        with Image.open(run / f"{picture}.png") as image:
            assert image.size[0] > 32
    assert run_zoo("sample", run, "-n", 3, "--to", "s.npz", *plugin).code == 0
    assert run_zoo("interpolate", run, "--to", "i.png", *plugin).code == 0
    assert "up to date" in run_zoo("build", "kl.yaml", *plugin).out
    assert zoo.load(run, plugins=[MAPS]).sample(2, seed=1).shape == (2, 3, 32, 32)
