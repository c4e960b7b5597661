"""Checks of what belongs to a training: recipes, optimisers, watchers."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager, redirect_stdout
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import safetensors.torch
import torch
from torch import Tensor, nn

from zoo.api import Record
from zoo.check.probe import probe, probe_model
from zoo.engine.engine import Engine
from zoo.engine.sentinel import Poisoned
from zoo.errors import RequestError
from zoo.model.model import Model
from zoo.model.tensorfile import pieces
from zoo.recipe import load_recipe, write_recipe
from zoo.recipe.schema import Recipe
from zoo.recipe.yaml.read import read
from zoo.registry import FIRST_PARTY, RecipeEntry
from zoo.runs.export import run_exporter
from zoo.testing.arrays import copied, equal, fields, finite, sides
from zoo.testing.core import Bench, Component, ContractError, Subject, require
from zoo.testing.values import SIDES, sizes_of, tiny
from zoo.types import Batch

STEPS = 3
"""Before an optimiser is interrupted, and after."""
TERMS = ("encoder + decoder/reconstruction", "critic/hinge")
"""Of the records that watchers see."""


def batches(recipe: Recipe, turn: int) -> Batch:
    """The batch of a turn."""
    return fields(recipe, recipe.train.batch, seed=turn)


def resumed(old: Engine, new: Engine) -> Engine:
    """A new training that takes up an old one from what is saved of it."""
    tensors, plain = old.state()
    new.restore(safetensors.torch.load(b"".join(pieces(tensors, {}))), plain)
    return new


class Begun(NamedTuple):
    """A training, the terms of its first step, the players that stood still in it, and the state that it led to."""

    engine: Engine
    terms: Mapping[str, Tensor]
    still: set[str]
    after: Mapping[str, Any]


class Shipped(Subject):
    """A recipe that ships in a package."""

    kind = "recipe"

    def __init__(self, entry: RecipeEntry, bench: Bench) -> None:
        self.name, self.entry, self.bench = entry.name, entry, bench

    def left_out(self) -> Collection[str]:
        """All but ``resolves``, of one that cannot be resolved."""
        try:
            self.check_resolves()
        except ContractError:
            return {*self.names()} - {"resolves"}
        return ()

    @cached_property
    def whole(self) -> Recipe:
        """The recipe as it ships."""
        return self.bench.recipe(self.entry)

    @cached_property
    def small(self) -> Recipe:
        """Made tiny: as small as its parts can be."""
        plain, reasons = self.whole.plain(), []
        for size in sizes_of(plain):
            try:
                recipe = load_recipe(tiny(plain, self.bench, size), (), self.bench.registry)
                probe_model(Model(recipe))  # on meta tensors, whose kernels are Python, it takes longer
            except RequestError as error:
                reasons.append(str(error).splitlines()[0])
                continue
            return recipe
        raise ContractError(f"{self} cannot be made small: {reasons[-1]}; give examples of its parts' options")

    def begun(self) -> Begun:
        """A training of it, one step on."""
        engine = Engine(Model(self.small))
        players = {name: [*player.parameters.values()] for name, player in engine.players.items()}
        before, terms = copied(players), self.step(engine)
        still = {name for name, weights in players.items() if equal(before[name], weights)}
        return Begun(engine, terms, still, copied(engine.model.state_dict()))

    @property
    def first(self) -> Begun:
        """The training that several checks look at, and one takes further."""
        return self.bench.kept(self, "first", self.begun)

    def step(self, engine: Engine) -> Mapping[str, Tensor]:
        """The terms of a step; what is not finite moves nothing, and is ``training``'s to tell."""
        try:
            return engine.step(lambda turn: batches(self.small, turn))
        except Poisoned as poisoned:
            return {str(key): value for key, value in poisoned.losses.items()}

    def check_resolves(self) -> None:
        """Every name in it is known, every option right."""
        try:
            _ = self.whole
        except RequestError as error:
            raise ContractError(f"{self} cannot be resolved: {error}") from error

    def check_shapes(self) -> None:
        """Shapes fit, and every row reaches its players ('zoo check'); values as their examples say, in few steps."""
        plain = self.whole.plain()
        values = {label: {**part, **self.bench.example("value", part)} for label, part in plain["values"].items()}
        try:
            probe(self.whole if values == plain["values"] else self.bench.tiny({**plain, "values": values}))
        except RequestError as error:
            raise ContractError(f"{self} does not fit together: {error}") from error

    def check_round_trip(self) -> None:
        """Written out with every default and read again, it is the same."""
        written = read(write_recipe(self.whole), "written").plain()
        same = load_recipe(written, (), self.bench.registry).plain() == self.whole.plain()
        self.require(same, "is another when written out and read again; choose plainer defaults for its parts' options")

    def check_training(self) -> None:
        """One step at tiny size gives finite terms and moves every player that has a rate."""
        begun = self.first
        wrong = [name for name, value in begun.terms.items() if not finite(value)]
        require(not wrong, f"{self}: {' and '.join(wrong)} is not finite at the first step, at tiny size")
        rows = [row for phase in self.small.phases if phase.start == 0 for row in phase.played]
        due = {player for row in rows for player in row.players if any(term.weight(0) for term in row.terms)}
        players = begun.engine.players.items()
        still = [name for name, player in players if name in due and player.rate(0) and name in begun.still]
        require(not still, f"{self}: {' and '.join(still)} does not move in the first step; what does its row reach?")

    def check_determinism(self) -> None:
        """Two trainings of one seed are equal, bit for bit."""
        same = equal(self.first.after, self.begun().after)
        self.require(same, "trains otherwise the second time; look for random numbers that are not from 'draw'")

    def check_state_round_trip(self) -> None:
        """Saved after a step and taken up again, it ends as if it had not been: nothing is remembered elsewhere."""
        whole, new = self.first.engine, Engine(Model(self.small))
        for engine in (whole, resumed(whole, new)):
            self.step(engine)
        same = equal(whole.model.state_dict(), new.model.state_dict())
        self.require(same, "goes on otherwise when saved and taken up again; keep what is remembered in buffers")

    def check_outputs(self) -> None:
        """It has an output 'sample' or 'reconstruction', and these are images."""
        recipe = self.small
        told = "has no output 'sample', nor 'reconstruction'; write outputs: {sample: VALUE}"
        self.require(bool({"sample", "reconstruction"} & recipe.outputs.keys()), told)
        model, batch = Model(recipe), fields(recipe, 3)
        x = batch[recipe.x.name]
        for name in {"sample", "reconstruction"} & recipe.outputs.keys():
            with torch.no_grad():
                (given,) = model.compute(name, given=batch, batch=3)
            fits = isinstance(given, Tensor) and given.shape == x.shape and finite(given)
            require(fits, f"output '{name}' of {self} gives {sides(given)} for three images of {sides(x[0])}")


class Optimizer(Component):
    """An optimiser, and something to move."""

    def make(self, parameters: list[nn.Parameter]) -> Any:
        """A new one."""
        return self.refused(lambda: self.target(parameters, **self.part.arguments_for()))

    @cached_property
    def recipe(self) -> Recipe:
        """A tiny recipe whose every player it moves: the smallest that is installed."""
        plain = tiny(next(self.bench.bundled(FIRST_PARTY)).plain(), self.bench, SIDES[0])
        players = {player: {"use": self.entry.id, **self.given} for player in plain["train"]["optimizers"]}
        return load_recipe({**plain, "train": {**plain["train"], "optimizers": players}}, (), self.bench.registry)

    def trained(self, steps: int, engine: Engine | None = None) -> Engine:
        """A training, a new one if none is given, so many steps on."""
        engine = engine or Engine(Model(self.recipe))
        for _ in range(steps):
            engine.step(lambda turn: batches(self.recipe, turn))
        return engine

    def use(self) -> None:
        """Makes one, and takes a step."""
        weight = nn.Parameter(torch.ones(3))
        weight.grad = torch.ones(3)
        self.make([weight]).step()

    def check_optimizer(self) -> None:
        """It gives a ``torch.optim.Optimizer`` of the parameters it is handed, each group with an 'lr' to be set."""
        parameters = [nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))]
        made = self.make(parameters)
        self.require(isinstance(made, torch.optim.Optimizer), f"gives {type(made).__name__}, no torch.optim.Optimizer")
        moved = {id(p) for group in made.param_groups for p in group["params"]}
        self.require(moved == {id(p) for p in parameters}, "does not move the parameters it is handed, all and only")
        rates = all(isinstance(group.get("lr"), float) for group in made.param_groups)
        self.require(rates, "has a group without a number 'lr', which the recipe's 'rate' is multiplied into")

    def check_descent(self) -> None:
        """Fifty steps on a parabola bring it down."""
        weight = nn.Parameter(torch.tensor([1.0, -2.0, 3.0]))
        optimizer = self.make([weight])
        for _ in range(50):
            weight.grad = weight.detach().clone()  # of half the sum of squares
            optimizer.step()
        last = float(weight.detach().square().sum())
        self.require(last < 14, f"brings a sum of squares from 14 to {last:.4g} in 50 steps; down is less")

    def check_state_round_trip(self) -> None:
        """A training that is saved and taken up again ends as the one that was not interrupted, bit for bit."""
        whole, begun = self.trained(2 * STEPS), self.trained(STEPS)
        second = self.trained(STEPS, resumed(begun, self.trained(0)))
        cure = "keep what it remembers in self.state[parameter], as tensors; nothing in groups or attributes is saved"
        same = equal(whole.model.state_dict(), second.model.state_dict())
        self.require(same, f"goes on otherwise when saved after {STEPS} steps than uninterrupted; {cure}")

    def check_pickle_free_save(self) -> None:
        """It remembers nothing of a parameter but tensors and numbers."""
        optimizers = [player.optimizer for player in self.trained(1).players.values() if player.optimizer]
        for key, value in [item for o in optimizers for state in o.state.values() for item in state.items()]:
            told = f"remembers '{key}' as {type(value).__name__}, which no checkpoint holds"
            self.require(isinstance(value, Tensor | int | float), f"{told}; keep tensors and numbers")


def records(first: int = 1, terms: tuple[str, ...] = TERMS) -> list[Record]:
    """Three records from a step on."""
    steps = range(first, first + 3)
    return [Record(step, 4 * step, 0.1 * step, 40.0, dict.fromkeys(terms, 1.0 / step)) for step in steps]


@contextmanager
def run_folder() -> Iterator[Path]:
    """A run's directory, and another empty one to stand in."""
    with TemporaryDirectory() as folder:
        there, here = Path(folder, "run"), Path(folder, "here")
        there.mkdir()
        here.mkdir()
        with chdir(here):
            yield there


class Exporter(Component):
    """An exporter, and a model that is not trained: of the recipe that is given, else of the smallest there is."""

    @cached_property
    def recipe(self) -> Recipe:
        """Of the model."""
        given = self.bench.recipes.get(self.key)
        return next(self.bench.bundled(FIRST_PARTY)) if given is None else load_recipe(given, (), self.bench.registry)

    def export(self, folder: Path, model: Model | None = None) -> None:
        """Writes a model."""
        used, options = model or Model(self.recipe), self.part.arguments_for()
        self.refused(lambda: run_exporter(self.entry, used, folder, options), "used on this model")

    def use(self) -> None:
        """Writes a model."""
        with run_folder() as folder:
            self.export(folder)

    def check_files(self) -> None:
        """It writes files, and nowhere but into the folder."""
        with run_folder() as folder:
            self.export(folder)
            astray = sorted(path.name for path in Path.cwd().iterdir())
            self.require(
                any(path.is_file() for path in folder.rglob("*")),
                "writes no file into 'folder', the directory that it is given",
            )
        self.require(not astray, f"writes {' and '.join(astray)} where the user stands; write into 'folder'")

    def check_model_untouched(self) -> None:
        """The model is after it what it was before."""
        model = Model(self.recipe)
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        with run_folder() as folder:
            self.export(folder, model)
        self.require(equal(before, model.state_dict()), "changes the model, with which others go on; work on a copy")


class Watcher(Component):
    """A watcher, and a training to look at."""

    def make(self, folder: Path) -> Any:
        """A new one, for a run's directory."""
        given = {"folder": folder, "recipe": next(self.bench.bundled(FIRST_PARTY)).plain()}
        asked = {name: given[name] for name in self.entry.signature.needs}
        return self.refused(lambda: self.target(**asked, **self.part.arguments_for()))

    def watch(self, folder: Path, shown: Sequence[Record] | None = None, step: int = 0) -> None:
        """Shows it a training from a step on."""
        made = self.make(folder)
        made.start(step, 10, 4)
        for record in records() if shown is None else shown:
            made.log(record)
        made.end()

    def use(self) -> None:
        """Shows it a training."""
        with run_folder() as folder:
            self.watch(folder)

    def check_protocol(self) -> None:
        """It has the methods ``start(step, steps, batch)``, ``log(record)`` and ``end()``."""
        with run_folder() as folder:
            made = self.make(folder)
        missing = " and ".join(name for name in ("start", "log", "end") if not callable(getattr(made, name, None)))
        self.require(not missing, f"has no method {missing}; zoo.api.Watcher says what they are given")

    def check_watching(self) -> None:
        """It sees a training from beginning to end, in which terms come and go."""
        later = records(4, terms=(*TERMS[1:], "generator/entropy"))
        with run_folder() as folder:
            self.watch(folder, [*records(), *later])

    def check_resuming(self) -> None:
        """It sees one that was interrupted before its first record, and one that goes on in the same directory."""
        with run_folder() as folder:
            self.watch(folder, [])
            self.watch(folder, records())
            self.watch(folder, records(4), step=3)

    def check_records_untouched(self) -> None:
        """It changes nothing in a record; other watchers see it too."""
        shown = records()
        with run_folder() as folder:
            self.watch(folder, shown)
        self.require(shown == records(), "changes the records it is shown; work on a copy (dict(record.losses))")

    def check_own_folder(self) -> None:
        """It writes nowhere but below the run's directory."""
        with run_folder() as folder:
            self.watch(folder)
            astray = sorted(path.name for path in Path.cwd().iterdir())
        told = f"writes {' and '.join(astray)} where the user stands"
        self.require(not astray, f"{told}; ask for 'folder' in __init__, and write below it")

    def check_quiet(self) -> None:
        """It prints nothing on stdout, which may be carrying JSON."""
        said = io.StringIO()
        with redirect_stdout(said):
            self.use()
        self.require(not said.getvalue(), f"prints {said.getvalue()[:40]!r} on stdout; print to sys.stderr")
