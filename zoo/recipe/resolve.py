"""A positioned tree and a registry -> a resolved recipe, or every problem at once. Never imports torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import PurePath
from typing import Any

from zoo.api import IMAGE
from zoo.errors import RecipeError, a, closest
from zoo.recipe.contract import as_code, code_told, contract_of
from zoo.recipe.data_fields import DataField, Number, Sizes
from zoo.recipe.misfit import code_misfits
from zoo.recipe.parts import Path
from zoo.recipe.schema import PLACES, Part, Recipe, Trained
from zoo.recipe.sections import DEFAULT_LATENT, DEFAULT_WATCHER, LONGEST_NAME, NEEDED, OUTPUTS, SECTIONS, SLIP, TAKES
from zoo.recipe.sets import fields_of, offered
from zoo.recipe.slots import SlotReader
from zoo.recipe.wiring import Demand, connect
from zoo.recipe.yaml.read import Node
from zoo.recipe.yaml.tree import label_of
from zoo.registry.option_types import shown


class Reader(SlotReader):
    """Reads the sections of a recipe."""

    def recipe(self) -> Recipe:
        """The whole recipe, or a RecipeError with every problem found."""
        top, sets, slots = self._top(), self.sets(), self.slots()
        latent = self._latent(top, slots)
        values = self._values()
        phases = self.phases(slots)
        outputs, train = self._outputs(slots), self.train(phases)
        after = self.after(slots, phases, outputs)
        evaluate, augment = self._listed("evaluate", "metric"), self._listed("augment", "augmentation")
        watch = self._listed("watch", "watcher") if "watch" in self.root.value else self._default_watch()
        rows = [row for phase in phases for row in phase.played]
        demands = [Demand.of(t.part, f"term '{t.label}' of row '{row.label}'") for row in rows for t in row.terms]
        demands += self._shown(outputs, evaluate, top["noise"])
        demands += [Demand(f"'after' of '{s}'", (v,), self.root.at(("after", s))) for s, v in after.items()]
        graph, values = connect(self, (*self.fields,) or ("x",), slots, values, demands, phases)
        if self.fields or not self.written(("data",)):  # else any name may be that of a field
            self.report_lacking()
        self.refuse_played(graph, after, rows)
        if self.problems or not sets:
            raise RecipeError(self.problems)
        top |= {"name": top["name"] or PurePath(self.root.position.file).stem, "latent": latent}
        recipe = Recipe(
            **top,
            file=self.root.position.file,
            sets=sets,
            fields=self.fields,
            slots=slots,
            values=values,
            phases=phases,
            after=after,
            outputs=outputs,
            train=train,
            evaluate=tuple(part for part in evaluate if f"metric '{part.label}'" not in self.left_out),
            augment=augment,
            watch=watch,
            graph=graph,
            source=self.root,
        )
        if problems := [*code_misfits(recipe)]:
            raise RecipeError(problems)
        return recipe

    def _top(self) -> dict[str, Any]:
        """The keys that stand beside the sections."""
        keys = {key: node for key, node in self.mapping(()).items() if key not in SECTIONS}
        self._refuse_absent({closest(key, (*SECTIONS, "extends")) for key in keys})
        top = self.section((), keys, "recipe", "a recipe", (*SECTIONS, "extends"))
        self._check_name(top["name"])
        return top

    def _refuse_absent(self, slips: set[str | None]) -> None:
        """Refuses a recipe without sections that it needs, but for those that an unknown key may be a slip of."""
        absent = [key for key in NEEDED if not (self.written((key,)) or slips & {key, "extends"})]
        for place in dict.fromkeys(self.root.at((key,)) for key in absent):
            keys = [f"'{key}'" for key in absent if self.root.at((key,)) == place]
            cure = "add what is missing, or begin with 'extends: NAME' ('zoo list recipe' has the names)"
            self.note(place, f"the recipe has no {', no '.join(keys)}; {cure}")

    def _check_name(self, name: str) -> None:
        if name and (PurePath(name).name != name or name == ".."):
            self.error(("name",), f"'name' is the name of the run's directory, and {shown(name)} is a path")
        elif not name.isprintable() or name != name.strip() or len(name.encode()) > LONGEST_NAME:
            cure = f"write at most {LONGEST_NAME} letters, none of them invisible, no blank at either end"
            self.error(("name",), f"'name' is the name of the run's directory, and {shown(name)} cannot be; {cure}")

    def sets(self) -> dict[str, Part]:
        """The sets of data, by the fields they are written for; one that is for none is by an empty key."""
        written = self.written(("data",))
        paths: dict[str, Path] = {"": ("data",)} if written and written.value else {}
        if written and isinstance(written.value, dict) and "use" not in written.value:
            paths = {key: ("data", key) for key in written.value if self._name("field", ("data", key))}
        parts = {key: self._data(path) for key, path in paths.items()}
        sets = {key: part for key, part in parts.items() if part}
        try:
            fields, sets = fields_of(sets) if len(sets) == len(paths) else ({}, sets)
            wrong = [name for name, field in fields.items() if not self._named(name, field, paths[field.of], sets)]
            if not wrong:
                self.fields, self.offered = fields, offered(sets)
        except RecipeError as error:
            self.problems += error.problems
        return sets

    def _named(self, name: str, field: DataField, path: Path, sets: Mapping[str, Part]) -> bool:
        """Checks a field's name where an option of its set gives it, else at the set."""
        places = ((*path, option, field.own) for option in sets[field.of].options)
        return self._name("field", next((place for place in places if self.root.get(place)), path), name)

    def _data(self, path: Path) -> Part | None:
        part = self.part(path, "data", "data", reserved=("without",))
        if part is None or any(option.name not in part.options for option in part.entry.signature.options):
            return None  # what is wrong with its options is told
        without = self.mapping((*path, "without")).items()
        part = replace(part, without={name: node.plain() for name, node in without})
        self._given(path, part)
        lacking = {"size", "channels"}.difference(option.name for option in part.entry.signature.options)
        for option in lacking if part.entry.part.fields == {"x": IMAGE} else ():
            self.error(path, f"data '{part.entry.name}' has no option '{option}', which every data of images needs")
            return None
        for option in {"size", "channels"}.intersection(part.options):
            sides = part.options[option]
            if min([sides] if isinstance(sides, int) else sides, default=1) < 1:
                self.error((*path, option), f"'{option}' must be at least 1, not {sides}")
                return None
        said = [name for name in (*PLACES, "root") if self.root.get((*path, name)) and part.options.get(name)]
        beside = {name: self._beside((*path, name), part.options[name]) for name in said}
        part = replace(part, options={**part.options, **beside})
        place = str(part.options.get("run", ""))
        return replace(part, trained=Trained(place, partial(self.run_at, place))) if place else part

    def _latent(self, top: Mapping[str, Any], slots: Mapping[str, Part]) -> Number:
        """The shape of a code; notes contracts that name what is not there, or come to no shape."""
        written = as_code(top["latent"] or DEFAULT_LATENT)
        if not self.fields:
            return written
        sizes = Sizes.of(self.fields, latent=written, noise=top["noise"])
        with suppress(ValueError):  # told below
            latent = written if top["latent"] else code_told(slots, sizes) or written
            sizes = Sizes.of(self.fields, latent=latent, noise=top["noise"])
        for part in slots.values():
            try:
                contract_of(part, sizes)
            except ValueError as error:
                self.note(part.position, f"{part.entry.kind} '{part.entry.name}': {error}")
        return sizes.latent  # type: ignore[no-any-return]

    def _values(self) -> dict[str, Part]:
        labels = [label for label in self.mapping(("values",)) if self._name("value", ("values", label))]
        parts = {label: self.part(("values", label), "value", label) for label in labels}
        return {label: part for label, part in parts.items() if part}

    def _outputs(self, slots: Mapping[str, Part]) -> dict[str, str]:
        outputs = {}
        for label, node in self.mapping(("outputs",)).items():
            if not isinstance(node.value, str):
                self.error(("outputs", label), f"output '{label}' must name a value, not {shown(node.plain())}")
            elif (meant := closest(label, OUTPUTS, SLIP)) and meant not in self.mapping(("outputs",)):
                self.error(("outputs", label), f"nothing shows an output '{label}'; did you mean '{meant}'?")
            elif node.value in slots:
                self.error(("outputs", label), f"output '{label}' must name a value, and '{node.value}' is a slot")
            else:
                outputs[label] = node.value
        return outputs

    def _listed(self, section: str, kind: str) -> tuple[Part, ...]:
        """A section that is a list, or a mapping, of parts of one kind."""
        parts: dict[str, Part] = {}
        for path, label in self._items(section, kind):
            part = self.part(path, kind, label, ["optional"] if kind == "metric" else ())
            if part and label in parts:
                self.error(path, f"two {kind}s are called '{label}'; give one a name: 'other: {{use: ...}}'")
            elif part:
                parts[label] = replace(part, optional=kind == "metric" and self._flag((*path, "optional")))
                self._given(path, part)
        return tuple(parts.values())

    def _flag(self, path: Path) -> bool:
        node = self.root.get(path) or Node(False, self.root.position)
        if not isinstance(node.value, bool):
            self.error(path, f"'{path[-1]}' must be true or false, not {shown(node.plain())}")
        return bool(node.value)

    def _given(self, path: Path, part: Part) -> None:
        """Refuses what a part asks for and those of its kind are not given."""
        kind, needs = part.entry.kind, part.entry.signature.needs
        given = TAKES.get(kind, needs)
        for need in (need for need in needs if need not in given):
            only = f"{a(kind)} is given {' and '.join(map(repr, given))} only"
            self.error(path, f"{kind} '{part.entry.name}' asks for '{need}'; {only}")

    def _default_watch(self) -> tuple[Part, ...]:
        """The watcher of a recipe that names none: TensorBoard's files, if their plugin is installed."""
        there = any(entry.name == DEFAULT_WATCHER for entry in self.registry.components("watcher"))
        node = Node({}, self.root.position)
        part = self.part(("watch",), "watcher", DEFAULT_WATCHER, node=node) if there else None
        return (part,) if part else ()

    def _items(self, section: str, kind: str) -> list[tuple[Path, str]]:
        if not (node := self.written((section,))):
            return []
        if isinstance(node.value, dict):
            return [((section, label), label) for label in node.value]
        items: list[tuple[Path, str]] = []
        for i, item in enumerate(node.value if isinstance(node.value, list) else [node]):
            path: Path = (section, i) if isinstance(node.value, list) else (section,)
            if labelled := label_of(item):
                items.append(((*path, *labelled[1]), labelled[0]))
            else:
                what = f"'{section}' lists {kind}s: names, or 'label: {{use: NAME, ...}}'"
                self.error(path, f"{what}, not {shown(item.plain())}")
        return items

    def _shown(self, outputs: Mapping[str, str], metrics: tuple[Part, ...], noise: int) -> Iterator[Demand]:
        for label, name in outputs.items():
            place = self.root.at(("outputs", label))
            home = self.home(self.mapping(("outputs",))[label].position.file)
            yield Demand(f"output '{label}'", (name,), place, written={name: place}, packages=(home, home))
        written = self.written(("outputs",))
        if written and not isinstance(written.value, dict):
            return  # reported; what metrics call outputs cannot be known
        wrong = self.mapping(("outputs",)).keys() - outputs
        for part in metrics:
            asked = (*part.arguments.values(), *part.computed)
            names = tuple(outputs.get(name, name) for name in asked)
            shown = tuple(outputs[name] for name in asked if name in outputs)
            varied = {outputs.get(name, name): given for name, given in part.computed.items()}
            if not noise and any("noise" in given for given in varied.values()):
                said = "computes something for other values of 'noise', of which this recipe has none (noise: 0)"
                self.left_out.add(f"metric '{part.label}'")
                if not part.optional:
                    self.note(part.position, f"metric '{part.label}' {said}")
                continue
            if not wrong.intersection(names):
                yield replace(Demand.of(part, f"metric '{part.label}'"), names=names, shown=shown, varied=varied)
