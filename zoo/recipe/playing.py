"""Reads how a recipe trains: phases of rows, their terms, and an optimiser for each player."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields, replace
from typing import Any

from zoo.errors import RequestError, did_you_mean
from zoo.recipe.parts import Lack, PartReader, Path
from zoo.recipe.schema import ONE, Optimizer, Part, Phase, Row, Schedule, Term, Train, slot_of
from zoo.recipe.sections import Timing
from zoo.recipe.yaml.read import Node
from zoo.recipe.yaml.tree import merge
from zoo.registry.option_types import shown


class PhaseReader(PartReader):
    """Reads ``phases`` and ``train``."""

    def train(self, phases: tuple[Phase, ...]) -> Train:
        """Reads ``train``."""
        keys = {k: n for k, n in self.mapping(("train",)).items() if k not in ("optimizer", "optimizers")}
        options = self.section(("train",), keys, "train", "'train'", ("optimizer", "optimizers"))
        decay = Schedule.of(options["ema"])
        if not 0 <= decay.extremes[0] <= decay.extremes[1] < 1:
            self.error(("train", "ema"), f"'ema' is a decay in [0, 1), not {decay}")
        if options["epochs"] and "steps" in keys:
            self.error(("train", "epochs"), "a training is so many steps or so many epochs long; write one of both")
        options["steps"] = 0 if options["epochs"] else options["steps"]
        if options["batch"] % max(options["accumulate"], 1):
            parts = f"a batch of {options['batch']} cannot be taken in {options['accumulate']} equal parts"
            self.error(("train", "accumulate"), f"{parts}; choose a divisor of it, or another batch")
        for key in ("activation_checkpointing", "fully_shard"):
            if options["compile"] and options[key]:
                self.error(("train", key), f"train.{key} does not go with train.compile; set one to false")
        return Train(optimizers=self._optimizers(phases), **options)

    def _optimizers(self, phases: tuple[Phase, ...]) -> dict[str, Optimizer]:
        players = dict.fromkeys(p for phase in phases for row in phase.played for p in row.players)
        overrides = self.mapping(("train", "optimizers"))
        for name in (name for name in overrides if name not in players):
            self.error(("train", "optimizers", name), f"no row has a player '{name}'{did_you_mean(name, players)}")
        self._refuse_unheard(players, overrides)
        made = {player: self._optimizer(player, overrides.get(player)) for player in players}
        return {player: optimizer for player, optimizer in made.items() if optimizer}

    def _refuse_unheard(self, players: Mapping[str, None], own: Mapping[str, Node]) -> None:
        """Refuses an override of the common optimiser that no player takes, as where a run's recipe says each whole."""
        common = self.root.get(("train", "optimizer"))
        for key, node in common.value.items() if common and isinstance(common.value, dict) else ():
            said = [isinstance(mine.value, dict) and key in mine.value for mine in map(own.get, players) if mine]
            if players and len(said) == len(players) and all(said) and node.position.file.startswith("--set"):
                cure = f"write train.optimizers.{next(iter(players))}.{key}"
                self.error(("train", "optimizer", key), f"'{key}' reaches nobody: every player has its own; {cure}")

    def _optimizer(self, player: str, override: Node | None) -> Optimizer | None:
        common = self.root.get(("train", "optimizer"))
        path: Path = ("train", "optimizers", player) if override else ("train", "optimizer")
        node = merge(common, override, path) if common and override else override or common
        part = self.part(path, "optimizer", player, reserved=("rate",), node=node, name="adam")
        rate = node.value.get("rate") if node and isinstance(node.value, dict) else None
        schedule = self.schedule((*path, "rate"), rate, "'rate'") if rate else ONE
        if schedule and min(schedule.extremes) < 0:
            self.error((*path, "rate"), f"'rate' must be at least 0, not {schedule}: a player goes down its gradient")
        return Optimizer(part, schedule) if part and schedule else None

    def phases(self, slots: Mapping[str, Part]) -> tuple[Phase, ...]:
        """Reads ``phases``."""
        if not (node := self.written(("phases",))):
            return ()  # said of the recipe already
        if isinstance(node.value, list) and node.value:
            return tuple(self._phase(("phases", i), slots) for i in range(len(node.value)))
        wrong = f", not {node.kind}" if node.value != [] else " with at least one item"
        self.error(("phases",), f"'phases' must be a list{wrong}: '- players: {{term: weight}}'")
        return ()

    def _phase(self, path: Path, slots: Mapping[str, Part]) -> Phase:
        items = self.mapping(path)
        below: Path = (*path, "rows") if "rows" in items else path
        timing: dict[str, Any] = {}
        misplaced: list[str] = []
        if "rows" in items:
            keys = {key: node for key, node in items.items() if key != "rows"}
            timing = self.section(path, keys, "phase", "a phase", ("rows",))
            if 0 < timing["until"] <= timing["start"]:
                never = f"the phase ends at step {timing['until']}, before it begins at step {timing['start']}"
                self.error((*path, "until"), f"{never}; 'until' is the first step without it")
        else:
            misplaced = [key.name for key in fields(Timing) if key.name in items and key.name not in slots]
        before = len(self.problems)
        for key in misplaced:
            cure = f"write '- rows: {{players: {{term: weight}}}}', and '{key}' beside 'rows'"
            self.error((*path, key), f"'{key}' says how often a phase is played, and is no player; {cure}")
        rows = [self._row((*below, label), slots) for label in self.mapping(below) if label not in misplaced]
        self._refuse_overlap(rows)
        if not rows and len(self.problems) == before:
            self.error(path, "a phase needs at least one row: 'players: {term: weight}'")
        return Phase(tuple(rows), **timing, position=self.root.at(path))

    def _row(self, path: Path, slots: Mapping[str, Part]) -> Row:
        label = str(path[-1])
        players = self._players(path, slots)
        node = self.written(path)
        written = node.value if node and isinstance(node.value, dict) else {}
        terms = [self._term((*path, name)) for name in written]
        kept = tuple(term for term in terms if term and not term.weight.always_zero)
        if not all(terms) or not kept:
            self.incomplete.add(self.root.at(path))
        if node and not isinstance(node.value, dict):
            self.error(path, f"row '{label}' must say what it minimises, {{term: weight}}, not {shown(node.plain())}")
        elif not kept and all(terms):
            why = "every weight in it is 0" if terms else "give it a term, 'term: weight'"
            self.error(path, f"row '{label}' minimises nothing: {why}")
        off = tuple(term.label for term in terms if term and term.weight.always_zero)
        return Row(players, kept, self.root.at(path), off)

    def _players(self, path: Path, slots: Mapping[str, Part]) -> tuple[str, ...]:
        label = str(path[-1])
        players = tuple(player.strip() for player in label.split("+"))
        written = self.mapping(("slots",))
        unknown = [player for player in players if written and slot_of(player) not in {*slots, *written}]
        named = [name for name in re.split(r"[^\w.]+|\band\b", label) if name]
        if not all(name for player in players for name in player.split(".")):
            cure = "'encoder', 'encoder + decoder', or a part of one, 'encoder.trunk'"
            self.error(path, f"row '{label}' leaves a player out; a row is called by its players: {cure}")
        elif unknown and len(named) > len(players) and {slot_of(name) for name in named} <= {*written}:
            self.error(path, f"row '{label}' must join its players with '+': '{' + '.join(named)}'")
        elif len(set(players)) < len(players):
            self.error(path, f"row '{label}' names a player twice")
        else:
            for player in unknown:
                who = f"player '{player}' of row '{label}'"
                message = f"{who} is no slot of this recipe{did_you_mean(slot_of(player), slots)}"
                self.lacks(slot_of(player), Lack(self.root.at(path), who, message, written=True))
            if not unknown:
                return players
        self.incomplete.add(self.root.at(path))
        return players

    def _refuse_overlap(self, rows: list[Row]) -> None:
        """Refuses players of a phase that share weights: those would be moved twice."""
        wholes = [player for row in rows for player in row.players]
        for row, player in [(each, player) for each in rows for player in each.players]:
            if whole := next((name for name in wholes if player.startswith(f"{name}.")), None):
                message = f"player '{player}' is a part of player '{whole}', and would be moved twice"
                self.note(row.position, f"{message}; give it a phase of its own")

    def _term(self, path: Path) -> Term | None:
        node = self.root.get(path) or Node(None, self.root.at(path))
        label = str(path[-1])
        written = node.value
        if isinstance(written, dict) and not self._is_schedule(label, written):
            part = self.part(path, "term", label, reserved=("weight",))
            node = written.get("weight", Node(1.0, node.position))
            path = (*path, "weight")
        else:
            part = self.part(path, "term", label, node=Node({}, node.position))
        weight = self.schedule(path, node, f"the weight of '{label}'", switch=True)
        if not part or not weight:
            return None
        asks = "weight" in part.entry.signature.sizes
        return Term(replace(part, weight=weight.extremes) if asks else part, weight)

    def _is_schedule(self, label: str, written: Mapping[str, Node]) -> bool:
        """Tells whether a term's mapping is the schedule of its weight, rather than its options."""
        if "from" in written or "to" not in written:
            return "from" in written  # no option can be called that
        options: set[str] = set()
        with suppress(RequestError):
            options = {option.name for option in self.registry.find("term", label).signature.options}
        return written.keys() <= {"to", "steps", "start", "shape"} - options
