"""Reads slots: what fills them, whose sizes they have, what they begin with, and which are fitted at the end."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from keyword import iskeyword
from pathlib import Path as File
from typing import Any

from zoo.api import SIZES
from zoo.errors import RecipeError, RequestError, did_you_mean
from zoo.recipe.contract import as_code, asked_sizes
from zoo.recipe.data_fields import Number
from zoo.recipe.graph import BUILTINS, HELD, Graph
from zoo.recipe.parts import Path
from zoo.recipe.playing import PhaseReader
from zoo.recipe.provided import absent
from zoo.recipe.schema import Part, Phase, Recipe, Row
from zoo.recipe.sections import NETWORKS
from zoo.recipe.weights import FORMS, HUB, RUN_RECIPE, SUFFIX, options_saved, split_part
from zoo.recipe.yaml.read import read
from zoo.registry import check_options
from zoo.registry.option_types import shown

BESIDE = ("of", "weights")
"""What a slot may say beside its component's options."""


class SlotReader(PhaseReader):
    """Reads ``slots`` and ``after``."""

    def _beside(self, path: Path, place: Any) -> Any:
        """A place that a recipe's file says lies beside that file; where only the working directory has it, there."""
        file = self.root.at(path).file
        folder = os.path.dirname(file)
        if self._of_run(path) or not isinstance(place, str) or place[0] in "~$" or not os.path.isfile(file):
            return place
        beside = os.path.join(folder, place)
        return beside if os.path.exists(beside) or not os.path.exists(place) else place

    def _of_run(self, path: Path) -> bool:
        """Tells whether a run's own recipe says it, whose places are those of where it was built."""
        return os.path.isfile(os.path.join(os.path.dirname(self.root.at(path).file), "plugins.json"))

    def slots(self) -> dict[str, Part]:
        """Reads ``slots``."""
        slots = {}
        for label in self.mapping(("slots",)):
            path: Path = ("slots", label)
            if not self._name("slot", path):
                continue
            begins = self._begins((*path, "weights"))
            of_run = begins and not begins.startswith(HUB) and File(split_part(begins)[0]).suffix != SUFFIX
            if of_run and self.root.get((*path, "use")) is None:
                part = self._taken(path, begins)
            else:
                kind = self._kind(path, label)
                part = self.part(path, kind, label, reserved=("kind", *BESIDE)) if kind else None
            if part:
                said = self.root.get((*path, "of"))
                if said is not None and isinstance(said.value, dict):
                    part = replace(part, sizes=self._sizes((*path, "of")))
                else:
                    part = replace(part, of=self._of((*path, "of")))
                slots[label] = self._as_saved((*path, "weights"), replace(part, begins=begins))
        if not slots and not self.problems and self.written(("slots",)):
            self.error(("slots",), "the recipe has no slots; a model needs at least one network")
        return slots

    def _as_saved(self, path: Path, part: Part) -> Part:
        """A slot with the options that its weights were saved with, where the recipe does not write them."""
        if not part.begins or self._of_run(path):
            return part
        signature = part.entry.signature
        try:
            saved = options_saved(part.begins, part.label, part.entry.part.weights, part.entry.id)
        except RequestError as error:
            self.error(path, f"weights of slot '{part.label}': {error}")
            return part
        names = [o.name for o in signature.options if o.name in saved and not self.root.get((*path[:-1], o.name))]
        options, _ = check_options(signature, {name: saved[name] for name in names})
        return replace(part, options={**part.options, **{name: options[name] for name in names if name in options}})

    def _of(self, path: Path) -> str:
        """The field whose sizes a slot has; empty where it does not say."""
        node = self.written(path)
        if not node or not self.fields:
            return ""
        if node.value in [*self.fields]:
            return str(node.value)
        self.error(
            path, f"'of' is a field of the data, not {shown(node.plain())}{did_you_mean(str(node.value), self.fields)}"
        )
        return ""

    def _begins(self, path: Path) -> str:
        """Where the weights lie that a slot begins with; empty for none."""
        if not (node := self.written(path)):
            return ""
        if not isinstance(node.value, str) or not node.value:
            self.error(path, f"'weights' are those of {FORMS}, not {shown(node.plain())}")
            return ""
        where, part = split_part(node.value)
        beside = where if where.startswith(HUB) else self._beside(path, where)
        return f"{beside}#{part}" if part else str(beside)

    def _kind(self, path: Path, label: str) -> str | None:
        """A slot's kind: as it says, else its name, else the last word of its name."""
        node = self.root.get((*path, "kind"))
        kind = node.value if node else label.rsplit("_", 1)[-1]
        if kind in NETWORKS:
            return str(kind)
        if node:
            hint = did_you_mean(str(kind), NETWORKS)
            self.error((*path, "kind"), f"slot '{label}' has no kind {shown(node.plain())}{hint}")
        else:
            use = self.root.get((*path, "use")) or self.root.get(path)
            kinds = {e.kind for e in self.registry.components() if use and e.name == use.value} & {*NETWORKS}
            what = f"kind: {kinds.pop()}, use: {use.value}" if use and len(kinds) == 1 else "kind: encoder, use: ..."
            cure = f"write {label}: {{{what}}}{did_you_mean(str(kind), NETWORKS)}"
            self.error(path, f"slot '{label}' does not say what kind it is, and its name tells none; {cure}")
        return None

    def _name(self, what: str, path: Path, name: str = "") -> bool:
        """Checks that parameters can ask for a field, slot or value by its name, the last of ``path`` if not given."""
        label = name or str(path[-1])
        taken = "what the zoo provides" if label in (*BUILTINS, *self.fields) else ""
        if what != "value" and label.endswith(HELD):
            taken = f"'{label.removesuffix(HELD)}' with its gradient stopped"
        if what == "value" and label in self.mapping(("slots",)):
            taken = "a slot"
        if not label.isidentifier() or iskeyword(label):
            cure = "write it with letters, digits and '_', so that a parameter can ask for it"
            self.error(path, f"{what} '{label}' is not a name; {cure}")
        elif taken:
            self.error(path, f"{what} '{label}' has the name of {taken}; call it something else")
        else:
            return True
        return False

    def run_at(self, place: str) -> Recipe:
        """The recipe of a run, which plugins of this registry must have; a RequestError if there is none."""
        file = File(os.path.expandvars(place)).expanduser() / RUN_RECIPE
        try:
            found = type(self)(read(file.read_bytes(), str(file)), self.registry).recipe()  # type: ignore[attr-defined]
        except OSError as error:
            raise RequestError(f"{place} is no run: {RUN_RECIPE} cannot be read ({error.strerror})") from None
        except RecipeError as error:
            if cures := absent(file.parent, self.registry):
                raise RequestError(f"{place} was built with plugins that are not here: {'; '.join(cures)}") from None
            raise RequestError(f"the recipe of {place} cannot be used here: {error.problems[0]}") from None
        return found  # type: ignore[no-any-return]

    def _taken(self, path: Path, begins: str) -> Part | None:
        """A slot that says no component, but a run: it is that run's, of the sizes that it has there."""
        place, slot = split_part(begins)
        label = str(path[-1])
        try:
            run = self.run_at(place)
            if (slot or label) not in run.slots:
                raise RequestError(f"{place} has no slot '{slot or label}'{did_you_mean(slot or label, run.slots)}")
        except RequestError as error:
            self.error((*path, "weights"), f"slot '{label}': {error}; or say 'use', which network it is")
            return None
        for key in sorted(self.mapping(path).keys() - {"kind", *BESIDE}):
            self.error((*path, key), f"slot '{label}' is that of {place}, as it is there; say 'use' to have another")
        part = run.slots[slot or label]
        return replace(part, label=label, position=self.root.at(path), sizes=asked_sizes(part, run.sizes))

    def _sizes(self, path: Path) -> dict[str, Number]:
        """The sizes that a slot says it has, in place of the recipe's."""
        found: dict[str, Number] = {}
        for name, node in self.mapping(path).items():
            size = node.plain()
            sides = size if isinstance(size, list) and size else [size]
            if name not in SIZES:
                self.error((*path, name), f"there is no size '{name}'{did_you_mean(name, SIZES)}")
            elif not all(type(side) is int and side >= (name != "noise") for side in sides):
                self.error((*path, name), f"'{name}' is a whole number, or several in a list, not {shown(size)}")
            else:
                found[name] = as_code(sides)
        return found

    def after(self, slots: Mapping[str, Part], phases: Iterable[Phase], outputs: Mapping[str, str]) -> dict[str, str]:
        """Reads ``after``: slot -> the value that it is fitted on, by default the output 'posterior'."""
        if not (node := self.written(("after",))):
            return {}
        written = node.value if isinstance(node.value, dict) else None
        plain = node.plain() if written is None else [*written]
        labels = [plain] if isinstance(plain, str) else plain
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
            self.error(("after",), f"'after' lists slots, or is {{slot: value}}, not {shown(node.plain())}")
            return {}
        players = {slot for phase in phases for row in phase.rows for slot in row.slots}
        found: dict[str, str] = {}
        for label in labels:
            path: Path = ("after", label) if written is not None else ("after",)
            value = (written[label].value if written else None) or outputs.get("posterior")
            if label not in slots:
                if label not in self.mapping(("slots",)):
                    self.error(path, f"'after' fits slots, and '{label}' is none{did_you_mean(label, slots)}")
            elif label in players:
                self.error(path, f"'{label}' learns in a row already; 'after' fits what does not")
            elif not isinstance(value, str):
                self.error(
                    path, f"'{label}' is fitted on the output 'posterior', and the recipe has none; name a value"
                )
            else:
                found[label] = value
        return found

    def refuse_played(self, graph: Graph, after: Mapping[str, str], rows: Iterable[Row]) -> None:
        """Refuses to fit at the end what terms ask for on the way, or what its own codes are made with."""
        terms = [(f"term '{term.label}' of row '{row.label}'", term.part) for row in rows for term in row.terms]
        for slot, value in after.items():
            asking = [(who, [*part.arguments.values()]) for who, part in terms]
            for who, names in [*asking, (f"'{value}', on which it is fitted,", [value])]:
                if all(map(graph.asked, names)) and slot in graph.order(names):
                    told = f"'{slot}' is fitted when the training ends, and {who} asks for it"
                    self.error(("after",), f"{told}; give the one a slot of its own")
                    break
