"""``weights:`` of a slot: a run, one of its slots, a file, a file of the hub; what does not fit; what is kept of it."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from conftest import Outcome, Run, python
from helpers.forks import Forks
from safetensors.torch import load_file, save_file

import zoo

FIRST = """\
extends: vae
data: {size: 8, train: 64, test: 8}
latent: 4
slots: {encoder: {width: 4, norm: batch}, decoder: {width: 4}}
train: {steps: 3, batch: 4, log_every: 1, save_every: 2, ema: 0.9, precision: float32, optimizer: {rate: 1.0}}
evaluate: [mse]
"""
SECOND = """\
extends: first.yaml
slots: {encoder: {weights: runs/first}}
phases: [{decoder: {reconstruction: 1.0}}]
train: {ema: 0.0}
"""
"""Its encoder is in no row: it stays as the first run left it."""


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two recipes, the first of which is built; not to be changed."""
    folder = tmp_path_factory.mktemp("begins")
    (folder / "first.yaml").write_text(FIRST)
    (folder / "second.yaml").write_text(SECOND)
    done = python("-m", "zoo", "build", "first.yaml", "--no-tensorboard", cwd=folder)
    assert done.code == 0, done.err
    return folder


@pytest.fixture
def both(first: Path, here: Path) -> Path:
    """The same, to be changed, as the working directory."""
    shutil.copytree(first, here, dirs_exist_ok=True)
    return here


def build(run_zoo: Run, *arguments: object, recipe: str = "second.yaml") -> Outcome:
    done = run_zoo("build", recipe, "--no-tensorboard", *arguments)
    assert done.code == 0, done.err
    return done


def digest(file: str, slot: str) -> str:
    """The SHA-256 of the numbers of a slot."""
    found = hashlib.sha256()
    for name, tensor in sorted(load_file(file).items()):
        if name.startswith(f"{slot}."):
            found.update(name.encode() + tensor.numpy().tobytes())
    return found.hexdigest()


def problem(run_zoo: Run, weights: str) -> str:
    """What is said of weights of the second recipe's encoder."""
    done = run_zoo("check", "second.yaml", "--set", f"slots.encoder.weights={weights}")
    assert done.code == 2
    return done.err.partition("weights of slot 'encoder': ")[2].rstrip("\n")


@pytest.mark.usefixtures("both")
def test_a_frozen_slot_stays_to_the_last_bit_and_what_it_began_with_is_told(run_zoo: Run) -> None:
    done = build(run_zoo)
    file = "runs/first/ema.safetensors"  # the run's own weights are the averaged ones
    assert digest("runs/second/model.safetensors", "encoder") == digest(file, "encoder")
    assert digest("runs/second/model.safetensors", "decoder") != digest(file, "decoder")
    noted = json.loads(Path("runs/second/weights.json").read_text())["encoder"]
    sha = hashlib.sha256(Path(file).read_bytes()).hexdigest()
    numbers = sum(tensor.numel() for name, tensor in load_file(file).items() if name.startswith("encoder."))
    assert noted == {"from": "runs/first", "sha256": sha, "numbers": numbers}
    told = f"slot 'encoder' began with runs/first: {numbers:,} numbers, SHA-256 {sha}"
    assert told in done.err
    assert told in unescape(Path("runs/second/report.html").read_text())


@pytest.mark.usefixtures("both")
def test_a_frozen_slot_computes_as_at_evaluation_while_others_train() -> None:
    model, source = zoo.build("second.yaml"), zoo.load("runs/first")
    x = torch.rand(4, 3, 8, 8) * 2 - 1
    assert (model.training, model.encoder.training, model.decoder.training) == (True, False, True)
    losses = model.losses(x, seed=0)
    with torch.no_grad():
        torch.testing.assert_close(model.encoder(x).mean, source.encode(x).mean, rtol=0, atol=0)
    losses["decoder"].objective.backward()
    assert all(p.grad is None for p in model.encoder.parameters())


@pytest.mark.usefixtures("both")
def test_a_run_never_needs_them_again(run_zoo: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Resumed, extended and loaded from elsewhere, after what it began with is gone: bit for bit the straight run."""
    build(run_zoo, "--set", "train.steps=5", "--out", "runs/straight")
    build(run_zoo, "--set", "train.steps=2", "--set", "train.optimizer.rate=1.0", "--stop-after", "train")
    shutil.rmtree("runs/first")
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    build(run_zoo, "--set", "train.steps=5", recipe="../runs/second")
    assert run_zoo("sample", "../runs/second").code == 0
    runs = [load_file(f"../runs/{name}/model.safetensors") for name in ("straight", "second")]
    assert all(torch.equal(tensor, runs[1][name]) for name, tensor in runs[0].items())


@pytest.mark.usefixtures("both")
def test_the_same_weights_elsewhere_are_the_same_and_others_are_not(run_zoo: Run) -> None:
    build(run_zoo, "--set", "train.steps=2", "--stop-after", "train")
    shutil.copytree("runs/first", "moved")
    build(run_zoo, "--set", "train.steps=2", "--set", "slots.encoder.weights=moved")
    raw = ("--set", "slots.encoder.weights=runs/first/model.safetensors#encoder")
    refused = run_zoo("build", "second.yaml", "--set", "train.steps=2", *raw)
    assert "slots.encoder.weights is moved there and runs/first/model.safetensors#encoder here" in refused.err
    refused = run_zoo("build", "second.yaml", "--set", "train.steps=2", "--set", "slots.encoder.weights=nowhere")
    assert "slots.encoder.weights is moved there and nowhere here" in refused.err


@pytest.mark.usefixtures("both")
def test_each_way_to_name_them() -> None:
    """A run's averaged weights, another slot of it, its raw ones by their file, and a file of tensors alone."""
    ema, raw = (load_file(f"runs/first/{name}.safetensors") for name in ("ema", "model"))
    save_file(
        {k.removeprefix("encoder."): t.half() for k, t in ema.items() if k.startswith("encoder.")}, "half.safetensors"
    )
    save_file({f"a.b.{k}": t for k, t in ema.items()}, "deep.safetensors")
    ways = {
        "runs/first": ema,
        "runs/first#encoder": ema,
        "runs/first/model.safetensors#encoder": raw,
        "half.safetensors": {k: t.half().to(t.dtype) for k, t in ema.items()},
        "deep.safetensors#a.b.encoder": ema,
    }
    for weights, expected in ways.items():
        state = zoo.build("second.yaml", overrides={"slots.encoder.weights": weights}).encoder.state_dict()
        assert all(torch.equal(t, expected[f"encoder.{name}"]) for name, t in state.items()), weights


@pytest.mark.usefixtures("both")
def test_a_slot_that_trains_begins_there(run_zoo: Run) -> None:
    build(
        run_zoo, "--set", "phases=[{encoder + decoder: {reconstruction: 1, kl: 1}}]", "--set", "train.optimizer.lr=1e-9"
    )
    began, now = (load_file(file) for file in ("runs/first/ema.safetensors", "runs/second/model.safetensors"))
    for name in (name for name in began if name.startswith("encoder.") and "running" not in name and "num" not in name):
        torch.testing.assert_close(now[name], began[name], rtol=0, atol=1e-7)
    assert not torch.equal(now["encoder.mean.weight"], began["encoder.mean.weight"])


@pytest.mark.usefixtures("both")
def test_what_does_not_fit_is_said_and_nothing_is_changed(run_zoo: Run) -> None:
    tensors = {k.removeprefix("encoder."): t for k, t in load_file("runs/first/ema.safetensors").items() if "enc" in k}
    other = {**tensors, "mean.weight": torch.zeros(4, 5), "extra": torch.zeros(1)}
    del other["mean.bias"]
    save_file(other, "other.safetensors")
    assert problem(run_zoo, "other.safetensors") == (
        "other.safetensors does not fit: it lacks mean.bias; it has what the slot has not: extra; "
        "it has other shapes: mean.weight is [4, 5] there and [4, 64] here"
    )
    assert problem(run_zoo, "runs/first#encodr").endswith("has no part 'encodr'; did you mean 'encoder'?")
    assert problem(run_zoo, "runs/none").startswith("runs/none is not there; weights are a run's directory, RUN#SLOT")
    assert problem(run_zoo, "none.safetensors") == "there is no file none.safetensors"
    assert problem(run_zoo, "second.yaml").startswith("second.yaml is no such file; weights are a run's directory")
    assert problem(run_zoo, "runs").startswith("runs is no run; weights are")
    Path("torn.safetensors").write_bytes(Path("other.safetensors").read_bytes()[:400])
    assert "torn" in run_zoo("check", "second.yaml", "--set", "slots.encoder.weights=torn.safetensors").err
    damaged = Path("runs/first/ema.safetensors")
    damaged.write_bytes(damaged.read_bytes()[:-4] + b"\1\2\3\4")
    assert problem(run_zoo, "runs/first").endswith("its content is not what was written")
    for name in ("ema", "model"):
        Path(f"runs/first/{name}.safetensors").unlink()
    assert problem(run_zoo, "runs/first") == (
        "runs/first is not trained to its end; finish it with: zoo build runs/first"
    )


@pytest.mark.usefixtures("both")
def test_two_processes_are_as_one(forks: Forks, both: Path) -> None:
    sgd = ("--set", "train.optimizer={use: sgd, lr: 1.0e-5}", "--set", "train.sync_batch_norm=true")
    for count, out in ((1, "alone"), (2, "shared")):
        ranks = forks.ranks(count, "build", "second.yaml", "--device", "cpu", "--out", out, *sgd, cwd=both)
        assert all(done.code == 0 for done in ranks), [done.log for done in ranks]
    files = [f"{out}/model.safetensors" for out in ("alone", "shared")]
    assert digest(files[0], "encoder") == digest(files[1], "encoder") == digest("runs/first/ema.safetensors", "encoder")
    alone, shared = map(load_file, files)
    for name, expected in alone.items():
        torch.testing.assert_close(shared[name], expected, rtol=1e-5, atol=1e-6)


@pytest.fixture
def hub(first: Path) -> Iterator[str]:
    """A server on this machine that speaks as the hub does, and has the first run's weights as ``org/name``."""
    content = (first / "runs/first/ema.safetensors").read_bytes()

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(b"")

        def do_GET(self) -> None:
            self.answer(content)

        def answer(self, body: bytes) -> None:
            there = self.path == "/org/name/resolve/main/vae.safetensors"
            self.send_response(200 if there else 404)
            self.send_header("Content-Length", str(len(content) if there else 0))
            if there:
                self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
                self.send_header("X-Repo-Commit", "1" * 40)
            else:
                self.send_header("X-Error-Code", "EntryNotFound")
            self.end_headers()
            self.wfile.write(body if there else b"")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_file_of_the_hub_is_fetched(hub: str, both: Path) -> None:
    pytest.importorskip("huggingface_hub")
    env = {"HF_ENDPOINT": hub, "HF_HOME": str(both / "hf"), "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1"}
    weights = "slots.encoder.weights=hf://org/name/{}.safetensors#encoder"
    build = ["build", "second.yaml", "--no-tensorboard", "--stop-after", "train", "--set", weights.format("vae")]
    check = ["check", "second.yaml", "--set", weights.format("gone")]
    code = f"from zoo.cli import main; assert main({build}) == 0; raise SystemExit(main({check}))"
    done = python("-c", code, cwd=both, env=env)
    assert done.code == 2, done.err
    assert digest("runs/second/model.safetensors", "encoder") == digest("runs/first/ema.safetensors", "encoder")
    assert "hf://org/name/gone.safetensors cannot be fetched: " in done.err
