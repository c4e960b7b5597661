"""``zoo encode``: codes are the encoder's to the bit, however often it is stopped; statistics by their definition."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from conftest import Run
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

import zoo
from zoo.data.batches import load_images
from zoo.errors import RequestError
from zoo.runs import encoding
from zoo.types import to_model

RECIPE = """\
extends: vae
data: {use: sprites, size: 16, train: 50, test: 9}
latent: 4
slots: {encoder: {use: dcgan, width: 4}, decoder: {use: dcgan, width: 4}}
train: {steps: 1, batch: 4, ema: 0.0, precision: float32}
evaluate: []
"""


@pytest.fixture
def run(here: Path, run_zoo: Run) -> Path:
    (here / "r.yaml").write_text(RECIPE)
    done = run_zoo("build", "r.yaml", "--no-tensorboard", "--stop-after", "train")
    assert done.code == 0, done.err
    return here / "runs" / "r"


def test_codes_of_a_data_set(run: Path, run_zoo: Run, monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    monkeypatch.setattr(encoding, "SHARD", 8 * 20)  # 20 items of 4 numbers, twice
    assert run_zoo("encode", run, "data", "--to", "codes", "--batch", "6").code == 0
    model, data = zoo.load(run), load_images(zoo.load(run).recipe, ["shape"])
    told = json.loads(Path("codes/codes.json").read_text())
    names = [f"train-0000{n}.safetensors" for n in range(3)] + ["test-00000.safetensors"]
    assert [shard["file"] for shard in told["shards"]] == names
    assert [shard["items"] for shard in told["shards"]] == [18, 18, 14, 9]
    found = {name: torch.cat([load_file(f"codes/{f}")[name] for f in names]) for name in ("mean", "deviation", "shape")}
    pixels = torch.cat([data.train, data.test])
    batches = [*data.train[:18].split(6), *data.train[18:36].split(6), *data.train[36:].split(6), *data.test.split(6)]
    posteriors = [model.encode(to_model(part)) for part in batches]
    assert torch.equal(found["mean"], torch.cat([p.mean for p in posteriors]))
    assert torch.equal(found["deviation"], torch.cat([p.sigma for p in posteriors]))
    assert torch.equal(found["shape"], torch.cat(data.fields["shape"]))
    assert told["items"] == len(pixels)
    mean, deviation = found["mean"].double(), found["deviation"].double()
    numbers = told["statistics"]
    assert numbers["mean"]["deviation"] == pytest.approx(float(mean.std(correction=0)), rel=1e-9)
    assert numbers["deviation"]["channels"]["mean"] == pytest.approx(deviation.mean(0).tolist(), rel=1e-9)
    variance = mean.var(correction=0) + deviation.square().mean()
    assert numbers["scale_factor"] == pytest.approx(float(variance) ** -0.5, rel=1e-9)

    before = {name: (here / "codes" / name).read_bytes() for name in names}
    (here / "codes" / names[1]).unlink()
    (here / "codes" / f".{names[2]}.0123abcd.tmp").write_bytes(b"half")
    times = {name: (here / "codes" / name).stat().st_mtime_ns for name in (names[0], *names[2:])}
    assert run_zoo("encode", run, "data", "--to", "codes", "--batch", "6").code == 0
    assert {name: (here / "codes" / name).read_bytes() for name in names} == before
    assert {name: (here / "codes" / name).stat().st_mtime_ns for name in times} == times
    assert sorted(path.name for path in (here / "codes").iterdir()) == sorted([*names, "codes.json"])
    larger = run_zoo("encode", run, "data:test", "--to", "larger", "--set", "data.size=32")
    assert "its weights do not fit a model with another 'data': tensor 'decoder." in larger.err
    assert (larger.code, "zoo build" in larger.err) == (2, False)
    refused = run_zoo("encode", run, "data:test", "--to", "codes")
    assert (refused.code, "holds codes of another run, of other data, or none; choose another --to" in refused.err) == (
        2,
        True,
    )
    refused = run_zoo("encode", run, "data", "--to", "r.yaml")
    assert (refused.code, refused.err) == (2, "zoo: error: --to r.yaml: is a file; give a directory\n")
    with pytest.raises(RequestError, match="is no folder of images, and not the run's data; give a folder, data"):
        encoding.encode(model, "digits", here / "others")


def test_codes_of_a_folder(run: Path, here: Path) -> None:
    (here / "pictures" / "deep").mkdir(parents=True)
    for name in ("b.png", "a.png", "deep/c.png"):
        Image.new("L", (16, 16), len(name) * 20).save(here / "pictures" / name)
    (here / "pictures" / "broken.png").write_bytes(b"no image")
    (here / "pictures" / "notes.txt").write_text("text")
    model = zoo.load(run)
    told = encoding.encode(model, "pictures", here / "codes", batch=4, output="reconstruction")
    with safe_open(here / "codes" / "images-00000.safetensors", "pt") as file:
        assert json.loads(file.metadata()["names"]) == [f"pictures/{name}" for name in ("a.png", "b.png", "deep/c.png")]
        codes = file.get_tensor("codes")
    grey = to_model(torch.tensor([100, 100, 200], dtype=torch.uint8)).view(3, 1, 1, 1).expand(3, 3, 16, 16)
    torch.testing.assert_close(codes, model.reconstruct(grey, seed=0), rtol=1e-5, atol=1e-6)
    assert told["items"] == encoding.encode(model, "pictures", here / "singly", batch=1)["items"] == 3
    with pytest.raises(RequestError, match="holds no images"):
        encoding.encode(model, str(here / "codes"), here / "none")


def test_of_several_tensors_none_is_what_is_scaled() -> None:
    sums = [[2, 2.0, 4.0]]
    assert encoding._statistics([{"sums": {"a": sums, "b": sums}}]).keys() == {"a", "b"}
    assert encoding._statistics([{"sums": {"a": sums}}])["scale_factor"] == pytest.approx(1.0)
