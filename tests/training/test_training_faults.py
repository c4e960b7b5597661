"""What goes wrong in a training stops it before it spreads, is named, and can be seen again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from conftest import TINY, Run
from helpers.engine import SLOTS, differing, images, pixels, small, snapshot
from helpers.forks import Forks
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

import zoo
from zoo import api
from zoo.engine.engine import Engine
from zoo.engine.keys import TermKey
from zoo.engine.sentinel import Poisoned, Sentinel, Unwell
from zoo.errors import TrainingError
from zoo.machine.processes import Processes
from zoo.training.diagnosis import memory_needed, out_of_memory

pytestmark = pytest.mark.usefixtures("here")
HERE = Path(__file__)
POISON = (
    "A term, gradient or weight that is not finite stops the training before anything moves by it or keeps it; the "
    "term, the network and the batch are named."
)
LARGE = "train.optimizers={encoder: {lr: 1e30}}"


# -- poison ----------------------------------------------------------------------------------------------------


@pytest.mark.promise(POISON)
@pytest.mark.parametrize("name", SLOTS)
@pytest.mark.parametrize("poison", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_moves_nobody(name: str, poison: float, record_property: pytest.RecordProperty) -> None:
    """Weights, moments and averages are those of the step before; one bad pixel is enough."""
    engine = Engine(small(name, "train.ema=0.9"))
    engine.step(images)
    before = {key: tensor.clone() for key, tensor in engine.state()[0].items() if "running" not in key}

    def spoilt(turn: int) -> Tensor:
        x = images(turn)
        x[0, 0, 0, 0] = poison
        return x

    with pytest.raises(Poisoned, match=r"step 1: .*; no weight has moved by it"):
        engine.step(spoilt)
    after = engine.state()[0]
    moved = [key for key in before if not torch.equal(before[key], after[key]) and "_u" not in key and "_v" not in key]
    assert [key for key in moved if "num_batches" not in key] == []
    assert engine.step_index == 1
    record_property("cases", 1)


@pytest.mark.promise(POISON)
def test_a_gradient_alone_is_enough() -> None:
    """sqrt at 0: the value is 0, its gradient infinite."""
    phases = [{"encoder + decoder": {"reconstruction": 1.0, "root": 1.0}}]
    model = small("vae", phases=phases, plugins=[HERE])
    with pytest.raises(TrainingError) as caught:
        zoo.train(model, pixels(), steps=3)
    said = str(caught.value)
    assert said.startswith("step 0: term 'root' of row 'encoder + decoder' is 0, and its gradient is not finite; ")
    assert "every weight is finite; no weight has moved by it. Lower the learning rate" in said


GRADIENTS = {
    "float32": torch.tensor([1.0, -0.0, 1e-45, 1e30]),  # whose norm overflows single precision
    "float64": torch.tensor([1e300], dtype=torch.float64),
    "bfloat16": torch.tensor([[1.0], [2.0]], dtype=torch.bfloat16),
    "complex64": torch.tensor([1.0 + 2.0j]),
    "empty": torch.zeros(0),
    "channels last": torch.ones(2, 3, 4, 4).to(memory_format=torch.channels_last),
}


@pytest.mark.parametrize("at_once", [True, False])
def test_what_is_finite_is_no_poison_and_stays_as_it_is(at_once: bool) -> None:
    sentinel = Sentinel(torch.device("cpu"), at_once)
    given = {name: gradient.clone() for name, gradient in GRADIENTS.items()}
    sentinel.look(0, (0, 0), {TermKey("row", "term"): torch.zeros(())}, given)
    sentinel.passed()
    sentinel.check(1)
    for name, gradient in GRADIENTS.items():
        assert torch.equal(given[name], gradient)
        assert not gradient.is_floating_point() or torch.equal(given[name].signbit(), gradient.signbit())


@pytest.mark.promise(POISON)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("where", [*(name for name in GRADIENTS if name != "empty"), TermKey("row", "term")])
def test_one_number_among_them_is_poison(where: str, bad: float) -> None:
    given = {name: gradient.clone() for name, gradient in GRADIENTS.items()}
    losses = {TermKey("row", "term"): torch.zeros(())}
    spoilt = losses[where] if where in losses else given[where]
    spoilt[(-1,) * spoilt.ndim] = bad
    sentinel = Sentinel(torch.device("cpu"), at_once=True)
    with pytest.raises(Poisoned, match="term 'term' of row 'row'" if where in losses else f"gradient of {where} is"):
        sentinel.look(3, (0, 0), losses, given)
    sentinel.look(4, (0, 0), {TermKey("row", "term"): torch.zeros(())}, GRADIENTS)  # each look is for itself
    later = Sentinel(torch.device("cpu"), at_once=False)
    later.look(3, (0, 0), losses, given)
    later.passed()
    with pytest.raises(Unwell):
        later.check(4)


@pytest.mark.parametrize("overrides", [(), ("train.clip=1.0",)])
def test_a_gradient_whose_numbers_share_one_place_is_looked_at_too(overrides: tuple[str, ...]) -> None:
    """Of a sum autograd gives one number, spread out: nothing can be written to it in place."""
    phases = [{"encoder": {"total": 1.0}, "decoder": {"reconstruction": 1.0}}]
    model = small("vae", *overrides, phases=phases, plugins=[HERE])
    before = model.encoder.log_sigma.bias.detach().clone()
    Engine(model).step(images)
    assert bool((model.encoder.log_sigma.bias != before).all())


@pytest.mark.promise(POISON)
def test_the_first_network_with_a_bad_output_is_named() -> None:
    model = small("avae", "train.optimizers={decoder: {lr: 1e30}}", dtype=torch.float32)
    with pytest.raises(TrainingError) as caught:
        zoo.train(model, pixels())
    said = str(caught.value)
    assert "step 1: term 'reconstruction' of row 'encoder + decoder' is " in said
    assert "; the first output that is not finite is that of decoder." in said


@pytest.mark.promise(POISON)
def test_weights_that_are_no_longer_finite_are_never_kept(run_zoo: Run) -> None:
    """A finite gradient and an absurd rate: the step overflows, and no checkpoint has it."""
    Path("tiny.yaml").write_text(TINY)
    overflow = ["--set", "train.optimizers={decoder: {use: sgd, lr: 1e38}}", "--set", "train.save_every=1"]
    outcome = run_zoo("build", "tiny.yaml", *overflow)
    assert outcome.code == 1
    assert "weights of decoder are no" in outcome.errors[-1]
    for path in Path("runs/tiny/state").glob("*.safetensors"):
        assert all(bool(tensor.isfinite().all()) for tensor in load_file(path).values())


# -- seen again --------------------------------------------------------------------------------------------------


@pytest.mark.promise("`zoo build --replay-fault` shows once more what made a training go wrong.")
def test_a_fault_is_kept_and_replayed(run_zoo: Run) -> None:
    Path("tiny.yaml").write_text(TINY)
    options = ["--set", LARGE, "--set", "train.save_every=1"]
    outcome = run_zoo("build", "tiny.yaml", *options)
    assert outcome.code == 1
    assert outcome.errors[-1].endswith(
        "this shows it again: zoo build runs/tiny --replay-fault. "
        "Lower the learning rate or the term's weight, or set train.clip"
    )
    kept = json.loads(Path("runs/tiny/state/fault.json").read_text())
    again = run_zoo("build", "runs/tiny", "--replay-fault", "--json")
    assert again.code == 0, again.err
    assert json.loads(again.out) == {**kept, "images": list(kept["images"])}
    assert len(kept["images"]) == 4
    shown = run_zoo("build", "tiny.yaml", *options, "--replay-fault")
    lines = shown.out.splitlines()
    assert lines[0] == "step 1 went wrong; replaying from step 1"
    assert any(line.startswith("encoder") and line.endswith("nan") for line in lines)
    assert lines[-1] == "the images of its batch: runs/tiny/fault.png"
    with Image.open("runs/tiny/fault.png") as picture:
        assert picture.width > 4 * 8


@pytest.mark.promise("`zoo build --replay-fault` shows once more what made a training go wrong.")
def test_a_fault_that_only_the_device_knows_of_at_first(run_zoo: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU: the host hears of it at the next record; then the same is told, kept and shown again."""
    Path("tiny.yaml").write_text(TINY)
    options = ["--set", LARGE, "--set", "train.log_every=3"]
    seen = run_zoo("build", "tiny.yaml", *options, "--out", "runs/seen")
    place = Engine._place

    def as_on_a_gpu(engine: Engine) -> None:
        place(engine)
        engine.sentinel = Sentinel(engine.device, at_once=False)

    monkeypatch.setattr(Engine, "_place", as_on_a_gpu)
    counted = run_zoo("build", "tiny.yaml", *options, "--out", "runs/counted")
    assert counted.code == seen.code == 1
    assert counted.errors[-1] == seen.errors[-1].replace("runs/seen", "runs/counted")
    kept = [json.loads(Path(f"runs/{name}/state/fault.json").read_text()) for name in ("seen", "counted")]
    assert kept[0] == kept[1]
    again = run_zoo("build", "tiny.yaml", *options, "--out", "runs/counted", "--replay-fault", "--json")
    assert json.loads(again.out) == kept[0]


@pytest.mark.parametrize("damaged", ["[]", '{"step": "one"}', "{}"])
def test_a_fault_that_does_not_say_which_step(run_zoo: Run, damaged: str) -> None:
    Path("tiny.yaml").write_text(TINY)
    assert run_zoo("build", "tiny.yaml").code == 0
    Path("runs/tiny/state/fault.json").write_text(damaged)
    outcome = run_zoo("build", "tiny.yaml", "--replay-fault")
    assert outcome.code == 2
    assert "state/fault.json does not say which step went wrong" in outcome.errors[-1]


@pytest.mark.parametrize("replay", ["--verify-resume", "--replay-fault"])
def test_another_recipe_is_told_apart_from_a_fault(run_zoo: Run, replay: str) -> None:
    Path("tiny.yaml").write_text(TINY)
    assert run_zoo("build", "tiny.yaml", "--set", LARGE, "--set", "train.save_every=1").code == 1
    outcome = run_zoo("build", "tiny.yaml", replay)
    assert outcome.code == 2
    assert "train.optimizers" in outcome.errors[-1]


@pytest.mark.parametrize("steps", ["1", "0", "-3"])
def test_too_few_steps_to_interrupt(run_zoo: Run, steps: str) -> None:
    Path("tiny.yaml").write_text(TINY)
    outcome = run_zoo("build", "tiny.yaml", f"--verify-resume={steps}")
    assert outcome.code == 2
    assert f"--verify-resume {steps}: between steps it is interrupted; take 2 or more" in outcome.errors[-1]


def test_a_run_without_a_fault_says_so(run_zoo: Run) -> None:
    Path("tiny.yaml").write_text(TINY)
    assert run_zoo("build", "tiny.yaml").code == 0
    outcome = run_zoo("build", "tiny.yaml", "--replay-fault")
    assert outcome.code == 2
    assert "has no fault to replay" in outcome.errors[-1]


@pytest.mark.promise("`zoo build --verify-resume` finds what a checkpoint does not hold.")
def test_verify_resume(run_zoo: Run) -> None:
    Path("tiny.yaml").write_text(TINY)
    empty = run_zoo("build", "tiny.yaml", "--verify-resume")
    assert empty.code == 2
    assert "has no checkpoint to verify; build it first" in empty.errors[-1]
    assert run_zoo("build", "tiny.yaml").code == 0
    before = {path: path.read_bytes() for path in Path("runs/tiny").rglob("*") if path.is_file()}
    outcome = run_zoo("build", "tiny.yaml", "--verify-resume", "4")
    assert outcome.code == 0, outcome.err
    first, second = outcome.out.splitlines()
    assert first.startswith("steps 3 to 7, with and without an interruption: the same to the last bit")
    assert second.startswith("steps 2 to 3, as they were taken and once more: the same to the last bit")
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.promise("`zoo build --verify-resume` finds what a checkpoint does not hold.")
def test_verify_resume_finds_what_no_checkpoint_holds(run_zoo: Run) -> None:
    """A term that counts its own calls goes on otherwise after an interruption."""
    extra = "phases:\n  - encoder + decoder: {reconstruction: 1.0, forgetful: 1.0}\n"
    Path("tiny.yaml").write_text(
        TINY.replace("extends: avae", "extends: vae")
        .replace("noise: 4\n", "")
        .replace(", generator: {width: 4}, critic: {width: 4}", "")
        + extra
    )
    plugin = ["--plugin", str(HERE)]
    assert run_zoo("build", "tiny.yaml", *plugin).code == 0
    outcome = run_zoo("build", "tiny.yaml", *plugin, "--verify-resume", "4")
    assert outcome.code == 1
    assert "came out differently: something in this recipe draws from no stream" in outcome.errors[-1]


# -- memory ------------------------------------------------------------------------------------------------------


@pytest.mark.promise("Out of memory says what a step needs and which option halves it.")
def test_out_of_memory_says_what_a_step_needs(run_zoo: Run, forks: Forks, here: Path) -> None:
    """For real: a process that may take little more than it has, and a batch that is far too large."""
    Path("tiny.yaml").write_text(TINY)
    sets = ["data.size=64", "train.batch=2048", "slots.decoder.width=64", "evaluate=[]"]
    arguments = ["build", "tiny.yaml", *(word for text in sets for word in ("--set", text))]
    outcome = forks.zoo(*arguments, cwd=here, growth=0.1)
    assert outcome.code == 1, outcome.log
    said = outcome.log.splitlines()[-1]
    assert said.startswith("zoo: error: step 0: out of memory: a step needs about ")
    assert "train.accumulate=2 halves the latter; train.activation_checkpointing=true" in said
    assert not run_zoo("list", "critic").code


def test_what_is_advised_is_what_is_left() -> None:
    engine = Engine(small("vae", "train.activation_checkpointing=true", "train.accumulate=2"))
    assert memory_needed(engine).endswith(
        "train.accumulate=4 halves the latter; train.precision=bfloat16 makes activations half as large"
    )
    engine.processes = Processes(0, 2)
    assert "train.fully_shard=true shares the former out among the 2 processes" in memory_needed(engine)
    assert "of 1 images" in memory_needed(engine)
    assert out_of_memory(MemoryError())
    assert not out_of_memory(RuntimeError("shapes do not match"))


def test_statistics_of_a_poisoned_forward_do_not_reach_the_next_build() -> None:
    """Batch norm has seen the bad images; what a build goes on from is the checkpoint, from before."""
    model = small("vae")
    engine = Engine(model)
    engine.step(images)
    tensors, plain = engine.state()
    kept = {name: tensor.clone() for name, tensor in tensors.items()}
    with pytest.raises(Poisoned):
        engine.step(lambda turn: images(turn) * float("nan"))
    engine.restore(kept, plain)
    engine.step(images)
    whole = Engine(small("vae"))
    for _ in range(2):
        whole.step(images)
    assert not differing(snapshot(model), snapshot(whole.model))


# -- the plugin of toys ------------------------------------------------------------------------------------


@api.hookimpl
def zoo_components() -> tuple[api.Component, ...]:
    """Terms that go wrong, or could."""
    names = ("root", "total", "forgetful")
    return tuple(api.Component("term", name, f"test_training_faults:{name}", "a toy") for name in names)


def root(reconstruction: Tensor) -> Tensor:
    """sqrt(0 r^2): 0, with a gradient that is not finite."""
    return (0 * reconstruction.square()).sum().sqrt()


def total(encoder: nn.Module, x: Tensor) -> Tensor:
    """A sum of weights, whose gradient is one number spread out."""
    return encoder.log_sigma.bias.sum() + encoder(x).mean.mean()


class forgetful(nn.Module):
    """Counts its calls in what is no buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, reconstruction: Tensor) -> Tensor:
        """The mean, times the calls so far."""
        self.calls += 1
        return self.calls * reconstruction.mean()
