"""The one engine: plays a recipe's phases. The only code that takes a row's gradient, and has players move by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Any

from torch import Tensor

from zoo.draws import WHOLE, Draws, Streams
from zoo.engine.average import Average
from zoo.engine.capture import WARM, Captured, CaptureError, Recorder, counting, why_not
from zoo.engine.compiled import Compiled
from zoo.engine.keys import StateKey, TermKey
from zoo.engine.layout import Layout
from zoo.engine.phases import Look, PhasePlan, Plans, Replay, Weights
from zoo.engine.players import Gradients, laid_out_like, move, players_of, summed
from zoo.engine.sentinel import Sentinel
from zoo.errors import RequestError, TrainingError
from zoo.machine.device import repeatable
from zoo.machine.processes import ALONE, Processes, check_shares
from zoo.machine.torch_private import spectral_norms
from zoo.model.batch_norm import synchronise
from zoo.model.model import Model
from zoo.recipe.schedule import Schedule
from zoo.recipe.schema import Phase, Term
from zoo.types import Batch, count_of, parts_of

Batches = Callable[[int], "Tensor | Batch"]
"""turn -> this process's share of a batch, its fields by name, or a tensor for the first; a step takes
``Engine.turns`` of them."""


class Engine:
    """Plays the phases of a model's recipe.

    One phase is one shared forward, every row's gradient at the old weights by ``torch.autograd.grad``, then every
    player's step. Phases follow one another. A batch may be taken in parts (``train.accumulate``) and be shared among
    processes, each with an engine of its own: gradients are averaged before anybody moves.

    A parameter that asks for no gradient (``requires_grad_(False)``) when the engine is made stays as it is, and so do
    the statistics of a player that has no other. Without ``optimizers`` it takes gradients only, as a probe does.

    Attributes:
        step_index: steps done.
        seen_images: images that those were taken on, in all processes.
        alarms: plain data that ``zoo.training.alarms`` keeps from step to step; it is saved with the rest.
        average: the averaged weights, where the recipe averages them.
        eager: why steps are not replayed as CUDA graphs; empty if they are.

    Raises:
        RequestError: if the batch cannot be shared out, or the recipe wants what cannot be had here.
    """

    def __init__(self, model: Model, *, optimizers: bool = True, processes: Processes = ALONE) -> None:
        self.model, self.recipe, self.device, self.processes = model, model.recipe, model.device, processes
        self.step_index = self.seen_images = 0
        self.alarms: dict[str, Any] = {}
        settings = self.recipe.train
        if settings.sync_batch_norm and processes.count > 1:
            synchronise(model)
        self.shards = Layout(model, processes)
        networks = {name: model.network(name) for name in self.recipe.players()}
        every = {name: {f"{name}.{key}": p for key, p in one.named_parameters()} for name, one in networks.items()}
        # what asks for no gradient as the training starts is frozen
        learning = {name: {key: p for key, p in own.items() if p.requires_grad} for name, own in every.items()}
        places = {name: {key: place for place, key in enumerate(own)} for name, own in every.items()}
        model.requires_grad_(False)
        for parameter in chain.from_iterable(own.values() for own in learning.values()):
            parameter.requires_grad_(True)
        self.players = players_of(learning, settings.optimizers, optimizers, places)
        self.shards.check(self.players)
        self._counts = model.counts()
        self._plans = Plans(model, self.players, self._counts)
        self._vectors = [vector for norm in spectral_norms(model) for vector in norm.buffers()]
        self.turns = self.recipe.turns
        self.streams = Streams(self.recipe.seed, model.device, model.dtype)
        self.average = Average(model, Schedule.of(settings.ema)) if settings.ema and optimizers else None
        self.eager = ""
        self.recorder: Recorder | None = None
        self.sentinel = Sentinel(self.device, at_once=True)
        if optimizers:
            check_shares(settings.batch, settings.accumulate, processes.count)
            self._place()

    # -- what does not change from step to step ------------------------------------------------------------

    @property
    def frozen(self) -> list[str]:
        """Names of what no step changes: parameters that do not learn, and the buffers of slots that have no others."""
        found = [name for name, parameter in self.model.named_parameters() if not parameter.requires_grad]
        for slot in self.recipe.slots:
            module = self.model.get_submodule(slot)
            if not any(parameter.requires_grad for parameter in module.parameters()):
                found += [f"{slot}.{name}" for name, _ in module.named_buffers()]
        return found

    def _place(self) -> None:
        """Puts on the device what a step reads, and decides how steps are taken there."""
        players, on_cpu = self.players.values(), self.device.type == "cpu"
        for player in () if on_cpu else players:
            player.put_on_device()
        if self.recipe.train.compile and (asking := counting(self.recipe)):
            told = f"'{asking}' asks for a count of the training, which a compiled graph would keep as it was"
            raise RequestError(f"train.compile: true is not to be had: {told}; set it to false")
        self.eager = why_not(self.recipe, self.device, players, self.processes.count, self.shards.collective)
        self.sentinel = Sentinel(self.device, at_once=on_cpu or not all(player.skips for player in players))

    def plan(self, phase: Phase) -> PhasePlan:
        """A phase with everything bound that does not change from step to step."""
        return self._plans.plan(phase)

    def plan_now(self, number: int) -> PhasePlan:
        """The plan of a phase as it stands at this step."""
        return self._plans.at(number, self.step_index)

    # -- a step --------------------------------------------------------------------------------------------

    def step(self, batches: Batches) -> dict[str, Tensor]:
        """Plays every phase that is due, once; turns of step s are ``s * turns`` to ``(s + 1) * turns - 1``.

        Returns:
            ``"row/term"`` -> the term's value, a scalar still on the device; good until the next step. Where another
            phase has such a row and term the phase's number stands before it: ``"2: row/term"``.

        Raises:
            Poisoned: if a term or a gradient is not finite; no weight has moved by it.
        """
        if not self.model.training:
            self.model.train()
        step = self.step_index
        shared = self.batch(batches(step * self.turns))
        losses: dict[str, Tensor] = {}
        for number, play in self.due():
            fresh = self.recipe.phases[number].fresh
            batch = self.batch(batches(self.turn((number, play)))) if fresh else shared
            played = self._play(self.plan_now(number), batch, (number, play))
            losses |= {str(key): value for key, value in played.items()}
        if self.average:
            self.average.update(step)
        self.sentinel.passed()
        self.step_index += 1
        self.seen_images += self.recipe.train.batch
        return losses

    def batch(self, given: Tensor | Batch) -> Batch:
        """A batch; of a tensor alone, which is the first field."""
        return {self.recipe.graph.fields[0]: given} if isinstance(given, Tensor) else given

    def due(self) -> Iterator[tuple[int, int]]:
        """The phases that are played at this step, each as often as it is: its number, and which play of it."""
        for number, phase in enumerate(self.recipe.phases):
            begun, over = self.step_index >= phase.start, phase.until and self.step_index >= phase.until
            if begun and not over and (self.step_index - phase.start) % phase.every == 0:
                yield from ((number, play) for play in range(phase.repeat))

    def turn(self, which: tuple[int, int]) -> int:
        """The turn whose images a play of a phase is given at this step."""
        number, play = which
        phases = self.recipe.phases
        before = sum(phase.repeat for phase in phases[:number] if phase.fresh)
        return self.step_index * self.turns + (before + play + 1 if phases[number].fresh else 0)

    def count(self, which: tuple[int, int]) -> None:
        """Has values and terms see the counts of a play at this step."""
        size, taken = self.model.train_size, self.turn(which) * self.recipe.train.batch
        self._counts |= {"epoch": taken // size, "images_seen": self.seen_images, "train_size": size}

    def check(self) -> None:
        """Looks at the weights, and waits for what only the device knows; a TrainingError if one is not finite."""
        self.sentinel.check(self.step_index)
        if spoilt := self.shards.spoilt(self.players):
            raise TrainingError(f"step {self.step_index}: weights of {', '.join(spoilt)} are no longer finite")

    def _play(self, plan: PhasePlan, batch: Batch, which: tuple[int, int]) -> dict[TermKey, Tensor]:
        self.count(which)
        for player in plan.leaders:
            player.set_rate(self.step_index)
        if not plan.rows:  # every term of it weighs nothing yet
            return {}
        if graph := self._captured(plan, batch):
            self.streams.begin_global(self.step_index, which, WHOLE)
            return graph.play(batch, which if plan.phase.fresh else (), self.step_index)
        plan.played += 1
        before = self.shards.versions()
        losses, gradients = self.shards.mean(*self.shares(plan, batch, which), before)
        self.move(plan, losses, gradients, which)
        return losses

    def _captured(self, plan: PhasePlan, batch: Batch) -> Replay | None:
        """A phase as a CUDA graph, recorded once it was played often enough; None if it is to be played eagerly.

        A phase that waits for the device, as ``.item()`` does, cannot be recorded: from then on ``eager`` says so, or a
        RequestError if the recipe wants it (``train.cuda_graph: on``).
        """
        if self.eager or plan.played < WARM:
            return None
        if plan.captured is None:
            self.recorder = self.recorder or Recorder(self.device)
            gradients, moving = partial(self.taken, plan), partial(self.move, plan)
            try:
                plan.captured = Captured(self.model, plan, batch, gradients, moving, self.streams.key, self.recorder)
            except CaptureError as error:
                if self.recipe.train.cuda_graph == "on":
                    where = f"{plan.phase.position}: train.cuda_graph: on is not to be had"
                    raise RequestError(f"{where}: {error}; choose auto or off") from error
                self.eager = str(error)
        return plan.captured

    def shares(self, plan: PhasePlan, batch: Batch, which: tuple[int, int], *, every_term: bool = False) -> Gradients:
        """The gradients of a play of a phase, as ``gradients`` gives them: of the batch's parts, averaged."""
        weights = self._some_weight if every_term else self._weight
        parts, draw = self.recipe.train.accumulate, which if plan.phase.fresh else ()
        vectors = self._vectors if parts > 1 else []
        begun = [vector.clone() for vector in vectors]
        total: Gradients | None = None
        for number, piece in enumerate(parts_of(batch, parts) if parts > 1 else [batch]):
            for vector, value in zip(vectors, begun, strict=True):
                vector.copy_(value)  # so that every part has the weights of the first: one iteration a play
            shard = self.processes.shard.part(number, parts)
            self.streams.begin_global(self.step_index, which, shard)
            new = self.taken(plan, piece, self.streams.draws(self.step_index, draw, shard, count_of(piece)), weights)
            total = summed(total, new) if total else new
        assert total
        if parts == 1:
            return total
        return {k: v / parts for k, v in total[0].items()}, {k: v / parts for k, v in total[1].items()}

    def _weight(self, term: Term) -> float:
        return term.weight(self.step_index)

    def _some_weight(self, term: Term) -> float:
        return self._weight(term) or 1.0

    def taken(self, plan: PhasePlan, batch: Batch, draws: Draws, weights: Weights) -> Gradients:
        """The gradients of a phase, by a compiled graph where the recipe asks for one."""
        with repeatable(self.device):
            if not self.recipe.train.compile:
                with self.shards.computing():
                    return plan.compute(batch, self.step_index, draws, weights)
            plan.compiled = plan.compiled or Compiled(self.model, plan, self.step_index, batch, draws, weights)
            return plan.compiled(batch, draws, weights)

    def gradients(
        self, plan: PhasePlan, given: Tensor | Batch, draw: tuple[int, ...] = (), *, every_term: bool = False
    ) -> Gradients:
        """The terms' values and every row's gradients at the present weights, as ``PhasePlan.compute`` gives them.

        With ``every_term`` what weighs nothing at this step weighs 1.
        """
        batch = self.batch(given)
        draws = self.streams.draws(self.step_index, draw, WHOLE, count_of(batch))
        with repeatable(self.device):
            return plan.compute(batch, self.step_index, draws, self._some_weight if every_term else self._weight)

    def by_term(self, plan: PhasePlan, batch: Batch, look: Look) -> None:
        """Has ``look`` take the gradient of every term of a phase by itself."""
        with repeatable(self.device):
            plan.by_term(batch, self.step_index, self.streams.draws(self.step_index, (), WHOLE, count_of(batch)), look)

    def move(
        self,
        plan: PhasePlan,
        losses: Mapping[TermKey, Tensor],
        gradients: Mapping[str, Tensor],
        which: tuple[int, int] = (0, 0),
    ) -> None:
        """Every player's step, after a look at what they would move by."""
        clip = self.recipe.train.clip
        gradients = laid_out_like(gradients, plan.parameters, apart=clip > 0)
        norms = self.shards.norms(gradients)
        self.sentinel.look(self.step_index, which, losses, gradients if norms is None else norms)
        move(plan.movers, gradients, clip, self.sentinel.poison, norms)

    # -- state ---------------------------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that the next step, and what is told of it, depend on: tensors (this process's pieces), plain data."""
        tensors = {StateKey("model", k): v for k, v in self.model.state_dict().items()}
        if self.average:
            tensors |= {StateKey("ema", k): v for k, v in self.average.averaged.items()}
        for player in self.players.values():
            tensors |= player.state()
        plain = {"step": self.step_index, "images": self.seen_images, "alarms": self.alarms}
        return {str(key): v for key, v in tensors.items()}, plain

    def restore(self, tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> None:
        """Takes up a saved state, whole; the next step is bit for bit the one that would have followed."""
        known = {StateKey.read(name): tensor for name, tensor in self.shards.taken(tensors).items()}
        self.model.load_state_dict({key.name: tensor for key, tensor in known.items() if key.kind == "model"})
        if self.average:
            self.average.restore({key.name: tensor for key, tensor in known.items() if key.kind == "ema"})
        for player in self.players.values():
            player.restore(known)
        self._plans = Plans(self.model, self.players, self._counts)  # what was captured moves what was there before
        self.remember(plain["alarms"])
        self.begin_at(plain["step"])
        self.seen_images = plain["images"]  # the batch may have been another one

    def begin_at(self, step: int) -> None:
        """Goes on as after ``step`` steps of the recipe's batch."""
        self.step_index, self.seen_images = step, step * self.recipe.train.batch
        self.sentinel.begin(step)

    def remember(self, alarms: Mapping[str, Any]) -> None:
        """Keeps plain data for the next look at the training, and in every saved state."""
        self.alarms = dict(alarms)

    def look_closely(self, why: str) -> None:
        """From now on no step is replayed as a CUDA graph, and every gradient is looked at before anybody moves."""
        self.eager, self.sentinel = why, Sentinel(self.device, at_once=True)

    def end(self) -> None:
        """Makes a model that is sharded, and its averaged weights, ordinary ones again; every process calls it."""
        self.shards.end(self.average)
