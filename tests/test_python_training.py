"""Training in Python: one's own images, a loop of one's own, runs, and what goes on where it ended."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY, Run
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import zoo
from zoo.api import Examples, Images, Record
from zoo.data.batches import Batches
from zoo.draws import WHOLE
from zoo.engine.engine import Engine
from zoo.errors import Interrupted, RecipeError, RequestError
from zoo.recipe.yaml.read import read

pytestmark = pytest.mark.usefixtures("here")

PIXELS = torch.randint(0, 256, (12, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
FLOATS = PIXELS / 127.5 - 1
X = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
BUNDLED = ("vae", "gan", "vaegan", "bigan", "ali", "avae", "avae-joint", "avae-plus")


def tiny(*overrides: str) -> Any:
    return zoo.build(read(TINY, "tiny.yaml").plain(), overrides=overrides)


def small(name: str, *overrides: str) -> Any:
    slots = zoo.build(name).recipe.slots if name not in _slots else _slots[name]
    _slots[name] = slots
    widths = [f"slots.{slot}.width=4" for slot, part in slots.items() if "width" in part.options]
    return zoo.build(name, overrides=[*widths, "data.size=16", "latent=4", *overrides])


_slots: dict[str, Any] = {}


def same(one: nn.Module, other: nn.Module) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


def train(model: Any, steps: int | None, data: Any = PIXELS, **more: Any) -> Engine:
    return zoo.train(model, data, steps=steps, progress=False, **more)


def values(losses: Any) -> dict[str, float]:
    return {row: own.objective.item() for row, own in losses.items()}


# -- one training, in pieces -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "overrides", [(), ("train.ema=0.9",), ("phases.0.encoder+decoder.kl={from: 0, to: 1, steps: 4}",)]
)
def test_two_trainings_in_a_row_are_one(overrides: tuple[str, ...]) -> None:
    whole, pieces = tiny(*overrides), tiny(*overrides)
    train(whole, 5)
    train(pieces, 2)
    pieces.sample(2)
    assert train(pieces, 3).step_index == 5
    assert same(whole, pieces)
    train(pieces, None)  # as many again as the recipe says
    train(whole, 3)
    assert same(whole, pieces)


@pytest.mark.parametrize("how", ["deepcopy", "pickle", "torch.save", "device"])
def test_a_copy_goes_on_as_the_model_would(how: str) -> None:
    whole, first = tiny("train.ema=0.9"), tiny("train.ema=0.9")
    train(whole, 4)
    train(first, 2)
    again = first.to("cpu") if how == "device" else copied(first, how)
    train(again, 2)
    assert same(whole, again)


def copied(model: Any, how: str) -> Any:
    if how == "deepcopy":
        return copy.deepcopy(model)
    if how == "pickle":
        return pickle.loads(pickle.dumps(model))
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("name", BUNDLED)
def test_every_bundled_model_can_be_copied_and_saved(name: str) -> None:
    model = small(name)
    for how in ("deepcopy", "pickle", "torch.save"):
        other = copied(model, how)
        assert same(model, other)
        assert torch.equal(model.sample(2, seed=1), other.sample(2, seed=1))
        assert values(model.losses(X, seed=3)) == values(other.losses(X, seed=3))


def test_a_term_that_learns_is_pickled() -> None:
    model = tiny("phases.0.generator.entropy={estimator: mutual_information, weight: -0.01}")
    other = copied(model, "pickle")
    train(model, 2)
    train(other, 2)
    assert same(model, other)


def test_weights_given_meanwhile_are_trained_on() -> None:
    model, other = tiny("train.ema=0.9"), tiny("train.ema=0.9", "seed=7")
    train(model, 2)
    model.load_state_dict(other.state_dict())
    engine = train(model, 1)
    assert engine.step_index == 3
    assert not same(model, other)
    moved = max(
        (a - b).detach().abs().max().item() for a, b in zip(engine.model.parameters(), other.parameters(), strict=True)
    )
    assert moved < 0.02  # from the weights that it was given


def test_cut_short_it_trains_up_to_the_recipe_s_number() -> None:
    whole, cut = tiny(), tiny()
    train(whole, None)
    with pytest.raises(Interrupted):
        train(cut, None, stop=lambda: True)
    assert train(cut, None).step_index == 3
    assert same(whole, cut)


def test_steps_that_teach_nothing_are_told() -> None:
    """A schedule that ends in 0 ends with the recipe's number of steps."""
    model = tiny("train.optimizer.rate={from: 1, to: 0, shape: linear}")
    train(model, 2)
    before = copy.deepcopy(model)
    train(model, 1)  # of the recipe's three
    whole = copy.deepcopy(model)
    with pytest.warns(UserWarning, match=r"steps 4 to 5 teach nothing: .* all 0; overrides=\{\"train.steps\": 5\}"):
        zoo.train(model, PIXELS, steps=2, progress=False)
    assert [same_parameters(model, other) for other in (before, whole)] == [False, True]


def same_parameters(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_a_training_of_no_steps_is_refused() -> None:
    with pytest.raises(RequestError, match="steps=0: a training takes 1 step or more"):
        train(tiny(), 0)


# -- runs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("overrides", [(), ("train.ema=0.9",)])
def test_a_run_is_loaded_and_goes_on(overrides: tuple[str, ...], run_zoo: Run) -> None:
    whole, model = tiny(*overrides), tiny(*overrides)
    train(whole, 5)
    train(model, 2, run="runs/x")
    loaded = zoo.load("runs/x")
    assert same(loaded, model)
    train(loaded, 1, run="runs/x")  # takes up the checkpoint
    train(zoo.load("runs/x"), 1, run="runs/x")
    train(loaded, 2, run="runs/x")
    assert same(zoo.load("runs/x"), loaded)
    assert same(whole, loaded)
    assert run_zoo("sample", "runs/x", "-n", 4).code == 0
    steps = [
        line.partition('"step": ')[2].partition(",")[0]
        for line in Path("runs/x/metrics.jsonl").read_text().splitlines()
    ]
    assert steps == ["1", "2", "3", "4", "5"]


def test_a_training_cut_short_is_taken_up_from_its_run() -> None:
    whole = tiny()
    train(whole, 5)
    with pytest.raises(Interrupted):
        train(tiny(), 5, run="runs/x", stop=iter([False, False, True]).__next__)
    assert train(tiny(), 5, run="runs/x").step_index == 5
    assert same(zoo.load("runs/x"), whole)
    assert train(tiny(), 5, run="runs/x").step_index == 5  # is whole


def test_other_images_and_other_models_are_kept_apart() -> None:
    model = tiny()
    train(model, 2, run="runs/x")
    with pytest.raises(RequestError, match=r"trained on other images .* choose another directory, .* with extend=True"):
        train(model, 1, PIXELS[:6], run="runs/x")
    assert train(model, 1, PIXELS[:6], run="runs/x", extend=True).step_index == 3
    train(other := tiny(), 5)
    with pytest.raises(RequestError, match="holds 3 steps, and this model has 5: it is of another training"):
        train(other, 1, run="runs/x")
    with pytest.raises(RequestError, match="holds a run of another recipe: seed is 0 there and 1 here"):
        train(tiny("seed=1"), 1, run="runs/x")


@pytest.mark.parametrize("overrides", [(), ("train.ema=0.9",)])
def test_a_saved_model_is_loaded_as_it_was(overrides: tuple[str, ...], run_zoo: Run) -> None:
    model = tiny(*overrides)
    train(model, 2)
    zoo.save(model, "there/saved")
    loaded = zoo.load("there/saved")
    assert same(loaded, model)
    assert torch.equal(loaded.sample(2, seed=1), model.sample(2, seed=1))
    assert run_zoo("reconstruct", "there/saved", _picture()).code == 0
    with pytest.raises(RequestError, match="there/saved: is there already; save into another directory"):
        zoo.save(model, "there/saved")


def _picture() -> str:
    from PIL import Image

    Image.new("RGB", (8, 8)).save("one.png")
    return "one.png"


def test_parts_of_a_file_are_in_the_run() -> None:
    from conftest import PARTS

    model = zoo.build(read(TINY, "tiny.yaml").plain(), plugins=[PARTS])
    zoo.save(model, "saved")
    assert str(PARTS) in Path("saved/plugins.json").read_text()


# -- a loop of one's own ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUNDLED)
def test_objectives_have_the_gradients_of_the_engine(name: str) -> None:
    """Each row's reaches its own players alone: all together they are what the engine takes, to the last bit."""
    mine, engines = small(name), small(name)
    engine = Engine(engines, optimizers=False)
    mine.train()
    engines.train()
    sum(row.objective for row in mine.losses(X, seed=engines.recipe.seed).values()).backward()
    expected: dict[str, Tensor] = {}
    for number in range(len(engines.recipe.phases)):
        draws = engine.streams.draws(0, (), WHOLE, 4)
        plan = engine.plan_now(number)
        _, taken = plan.compute({"x": X}, 0, draws, lambda term: term.weight(0))
        expected |= {key: expected[key] + grad if key in expected else grad for key, grad in taken.items()}
    found = {key: p.grad for key, p in mine.named_parameters() if p.grad is not None}
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in found)
    assert same(mine, engines)  # batch norm and spectral norm took note of the same


def test_a_loop_of_ones_own_trains_as_zoo_does() -> None:
    recipe = ("train.optimizer={use: sgd, lr: 0.001}", "train.steps=3")
    ours, own = tiny(*recipe), tiny(*recipe)
    zoo.train(ours, PIXELS, progress=False)
    batches = Batches.of(own.recipe, Examples(PIXELS, PIXELS), own.device, own.dtype)
    optimizer = torch.optim.SGD(own.train().parameters(), lr=0.001)
    for step in range(3):
        losses = own.losses(batches(step), step=step, seed=own.recipe.seed)
        optimizer.zero_grad()
        sum(row.objective for row in losses.values()).backward()
        optimizer.step()
    assert same(ours, own)


def test_losses_say_what_a_row_minimises() -> None:
    model = tiny()
    losses = model.losses(FLOATS[:4])
    assert list(losses) == ["encoder + decoder", "generator", "critic"]
    generator = losses["generator"]
    weights = {term.label: term.weight(0) for term in model.recipe.phases[0].rows[1].terms}
    total = sum(weights[label] * value for label, value in generator.terms.items())
    torch.testing.assert_close(generator.objective, total)
    generator.objective.backward()
    assert {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None} == {"generator"}
    generator.terms["latent_nll"].backward()  # a term's own is not kept from anybody that it was computed by


def test_losses_of_a_model_as_it_stands() -> None:
    model = tiny().eval()
    with torch.no_grad():
        one, two = (model.losses(FLOATS[:4], seed=1) for _ in range(2))
    assert not one["critic"].objective.requires_grad
    assert values(one) == values(two) != values(model.losses(FLOATS[:4]))  # other noise
    warm = tiny("phases.0.encoder+decoder.kl={from: 0, to: 2, steps: 4}")
    assert set(warm.losses(FLOATS[:4])["encoder + decoder"].terms) == {"reconstruction"}
    assert set(warm.losses(FLOATS[:4], step=2)["encoder + decoder"].terms) == {"reconstruction", "kl"}
    with pytest.raises(RequestError, match="has phases 0 to 0, and no 1"):
        model.losses(FLOATS[:4], phase=1)


def test_losses_of_a_step_before_the_first_are_refused() -> None:
    with pytest.raises(RequestError, match="step is the number of steps done, 0 or more, not -1"):
        zoo.build({"extends": "vae", "data": {"size": 8}}).losses(FLOATS[:4], step=-1)


def test_losses_of_several_phases() -> None:
    rows = {"encoder + decoder": {"reconstruction": 1.0, "kl": 1.0}}
    model = zoo.build({"extends": "vae", "data": {"size": 8}, "phases": [{"rows": rows}, {"rows": rows}]})
    x = FLOATS[:4]
    assert list(model.losses(x)) == ["encoder + decoder", "2: encoder + decoder"]
    assert list(model.losses(x, phase=1)) == ["encoder + decoder"]


# -- images in any form ----------------------------------------------------------------------------------------


class Items(Dataset[Any]):
    def __init__(self, made: Any) -> None:
        self.made = made

    def __len__(self) -> int:
        return len(PIXELS)

    def __getitem__(self, index: int) -> Any:
        return self.made(PIXELS[index])


class Endless(IterableDataset[Any]):
    def __init__(self, count: int) -> None:
        self.count = count

    def __iter__(self) -> Iterator[Tensor]:
        yield from PIXELS[: self.count]


def as_picture(pixels: Tensor) -> Any:
    from PIL import Image

    return Image.fromarray(pixels.movedim(0, -1).numpy())


@pytest.mark.parametrize(
    "given",
    [
        TensorDataset(FLOATS, torch.zeros(12)),
        Items(lambda pixels: (pixels, 3)),
        Items(lambda pixels: {"image": as_picture(pixels), "label": 1}),
        Items(as_picture),
        Endless(12),
        dict.fromkeys(PIXELS).keys(),  # a length, an order, and no index
        DataLoader(TensorDataset(PIXELS, torch.zeros(12)), batch_size=5),
        DataLoader(Items(lambda pixels: {"pixel_values": pixels / 127.5 - 1}), batch_size=5),
        [(pixels, 0) for pixels in PIXELS],
        [as_picture(pixels) for pixels in PIXELS],
        (pixels for pixels in PIXELS),
    ],
)
def test_images_in_any_form_give_one_model(given: Any) -> None:
    model, expected = tiny(), tiny()
    train(model, 1, given, value_range=(-1, 1))
    train(expected, 1)
    assert same(model, expected)


def test_what_is_no_set_of_images_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RequestError, match="an item has left, right; its image must be called x or image or"):
        train(tiny(), 1, Items(lambda _: {"left": 1, "right": 2}))
    with pytest.raises(RequestError, match=r"there are no images: their shape is \(0,\)"):
        train(tiny(), 1, Endless(0))
    monkeypatch.setattr("zoo.data.given.memory", lambda: 1000)
    with pytest.raises(RequestError, match=r"images are more than the .* of memory here, or never end; give fewer"):
        train(tiny(), 1, Endless(12))


# -- what is told ----------------------------------------------------------------------------------------------


def test_functions_and_watchers_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    steps: list[int] = []

    class Watching:
        started = ended = 0

        def start(self, step: int, steps: int, batch: int) -> None:  # noqa: ARG002
            self.started = steps

        def log(self, record: Record) -> None:
            steps.append(-record.step)

        def end(self) -> None:
            self.ended = 1

    watching = Watching()
    zoo.train(tiny(), PIXELS, watchers=lambda record: steps.append(record.step))
    assert steps == [1, 2, 3]
    assert "step 3/3, " in capsys.readouterr().err  # a line of progress
    train(tiny(), 2, watchers=[watching, lambda record: steps.append(record.step)])
    assert steps[3:] == [-1, 1, -2, 2]
    assert (watching.started, watching.ended) == (2, 1)
    assert capsys.readouterr().err == ""


# -- scores and parts --------------------------------------------------------------------------------------------


def test_scores_are_those_of_the_command_line(finished: Path) -> None:
    import json

    model = zoo.load(finished)
    kept = json.loads((finished / "scores.json").read_text())
    scores = zoo.evaluate(model)
    assert {label: (score["value"], score["protocol"]) for label, score in scores.items()} == {
        label: (score["value"], score["protocol"]) for label, score in kept.items()
    }
    alone = zoo.evaluate(model, metrics=["psnr"])
    assert list(alone) == ["psnr"]


def test_scores_of_ones_own_images() -> None:
    model = tiny()
    (mse,) = zoo.evaluate(model, FLOATS, value_range=(-1, 1), metrics=["mse"]).values()
    assert mse["protocol"]["n"] == 12
    assert mse == zoo.evaluate(model, Images(PIXELS, PIXELS), metrics=["mse"])["mse"]
    with pytest.raises(RequestError, match="metrics='mse' is text; give a list"):
        zoo.evaluate(model, metrics="mse")
    with pytest.raises(RequestError, match="there is no metric 'mes'; did you mean 'mse'"):
        zoo.evaluate(model, metrics=["mes"])


def test_what_is_installed() -> None:
    assert {"dcgan", "timm"} <= {row["name"] for row in zoo.list("encoder")}
    assert {"avae", "vae"} <= {row["name"] for row in zoo.list("recipes")}
    assert {row["kind"] for row in zoo.list()} >= {"encoder", "term", "recipe"}
    with pytest.raises(RequestError, match="there is no kind 'encodr'; did you mean 'encoder'"):
        zoo.list("encodr")


# -- arguments -------------------------------------------------------------------------------------------------


def test_overrides_as_a_list_or_a_dict() -> None:
    plain = read(TINY, "tiny.yaml").plain()
    one = zoo.build(
        plain,
        overrides=["latent=6", "train.optimizer={use: adam, lr: 1e-3, betas: [0.5, 0.9]}", "slots.critic.norm=none"],
    )
    betas = {"use": "adam", "lr": 1e-3, "betas": (0.5, 0.9)}
    other = zoo.build(plain, overrides={"latent": 6, "train.optimizer": betas, "slots": {"critic": {"norm": "none"}}})
    assert one.recipe.plain() == other.recipe.plain()
    assert same(one, other)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ("train.steps=20", r"overrides is text, 'train.steps=20'; give a list, \['train.steps=20'\], or a dict"),
        (["seed=-1"], "^overrides: seed=-1: error: "),
        ({"seed": -1}, "^overrides: seed=-1: error: "),
        ({"seed": object()}, "a recipe cannot hold <object"),
        ({"slots.encoder.widht": 4}, "overrides: slots.encoder.widht=4: error: .*did you mean 'width'"),
    ],
)
def test_errors_speak_python(overrides: Any, said: str) -> None:
    with pytest.raises(RequestError, match=said) as caught:
        zoo.build(read(TINY, "tiny.yaml").plain(), overrides=overrides)
    assert "--" not in str(caught.value)
    if isinstance(caught.value, RecipeError):
        assert all("--set" not in str(problem) for problem in caught.value.problems)


def test_a_run_without_checkpoints_is_not_trained_anew() -> None:
    """As one that was saved, or lost its state: its weights stay as they are."""
    model = tiny()
    train(model, 2)
    zoo.save(model, "saved")
    before = Path("saved/model.safetensors").read_bytes()
    with pytest.raises(RequestError, match=r"has no checkpoint .* from which its 2 steps could be trained on"):
        train(zoo.load("saved"), 3, run="saved")
    assert Path("saved/model.safetensors").read_bytes() == before
