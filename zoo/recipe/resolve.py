"""A positioned tree and a registry -> a resolved recipe, or every problem at once. Never imports torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from zoo.api import KINDS
from zoo.errors import RecipeError, did_you_mean
from zoo.recipe.parts import PartReader, Path
from zoo.recipe.schema import ONE, Optimizer, Part, Phase, Recipe, Row, Sizes, Term, Train, slot_of
from zoo.recipe.text import Node
from zoo.recipe.tree import merge
from zoo.recipe.wiring import Demand, connect
from zoo.registry import Registry

SECTIONS = ("data", "slots", "values", "phases", "outputs", "train", "evaluate")


class Reader(PartReader):
    """Reads the sections of a recipe."""

    # -- sections ----------------------------------------------------------------------------------------

    def recipe(self) -> Recipe:
        """The whole recipe.

        Raises:
            RecipeError: with every problem found.
        """
        top = self.section((), self._top(), "recipe", "a recipe")
        data = self._required("data", self._data)
        slots = self._slots()
        values = self._parts("values", "value")
        phases = self._phases(slots)
        outputs = self._outputs()
        train = self._train(phases)
        evaluate = self._evaluate()
        demands = [*self._demands(phases), *self._shown(outputs, evaluate)]
        graph, values = connect(self, slots, values, demands, phases)
        if self.problems or data is None:
            raise RecipeError(self.problems)
        file = self.root.position.file
        sizes = Sizes(data.options["channels"], data.options["size"], top["latent"], top["noise"])
        return Recipe(
            name=top["name"] or PurePath(file).stem,
            file=file,
            seed=top["seed"],
            sizes=sizes,
            batch_stats=top["batch_stats"],
            data=data,
            slots=slots,
            values=values,
            phases=phases,
            outputs=outputs,
            train=train,
            evaluate=evaluate,
            graph=graph,
            source=self.root,
        )

    def _top(self) -> dict[str, Node]:
        return {key: node for key, node in self.mapping(()).items() if key not in SECTIONS}

    def _required(self, key: str, read: Any) -> Any:
        if key not in self.root.value:
            self.error((), f"the recipe has no '{key}'")
            return None
        return read()

    def _data(self) -> Part | None:
        part = self.part(("data",), "data", "data")
        missing = [o for o in ("size", "channels") if part and o not in part.options]
        for option in missing:
            self.error(("data",), f"data '{part and part.entry.name}' lacks the option '{option}'")
        return None if missing else part

    def _slots(self) -> dict[str, Part]:
        slots = {}
        for label in self.mapping(("slots",)):
            path: Path = ("slots", label)
            kind = self._kind(path, label)
            part = kind and self.part(path, kind, label, reserved=("kind",))
            if part:
                slots[label] = part
        if not slots and not self.problems:
            self.error(("slots",), "the recipe has no slots; a model needs at least one network")
        return slots

    def _kind(self, path: Path, label: str) -> str | None:
        """A slot's kind: what it says, else its name, else the last word of its name."""
        node = self.root.get((*path, "kind"))
        kind = node.value if node else label.rsplit("_", 1)[-1]
        if kind in KINDS:
            return str(kind)
        cure = "" if node else "; write 'kind: ...' in it"
        self.error(path, f"slot '{label}' is of no known kind ('{kind}'){did_you_mean(str(kind), KINDS)}{cure}")
        return None

    def _parts(self, key: str, kind: str) -> dict[str, Part]:
        parts = {label: self.part((key, label), kind, label) for label in self.mapping((key,))}
        return {label: part for label, part in parts.items() if part}

    def _outputs(self) -> dict[str, str]:
        outputs = {}
        for label, node in self.mapping(("outputs",)).items():
            if isinstance(node.value, str):
                outputs[label] = node.value
            else:
                self.error(("outputs", label), f"output '{label}' must name a value, not {node.plain()!r}")
        return outputs

    def _evaluate(self) -> tuple[Part, ...]:
        found: dict[str, Part] = {}
        for path, label in self._evaluate_items():
            part = self.part(path, "metric", label)
            if part and label in found:
                self.error(path, f"two metrics are called '{label}'; give one a name: 'other: {{use: ...}}'")
            elif part:
                found[label] = part
        return tuple(found.values())

    def _evaluate_items(self) -> list[tuple[Path, str]]:
        node = self.root.get(("evaluate",))
        if node is None or node.value is None:
            return []
        if isinstance(node.value, dict):
            return [(("evaluate", label), label) for label in node.value]
        items: list[tuple[Path, str]] = []
        for i, item in enumerate(node.value if isinstance(node.value, list) else [node]):
            path: Path = ("evaluate", i) if isinstance(node.value, list) else ("evaluate",)
            if isinstance(item.value, dict) and len(item.value) == 1 and "use" not in item.value:
                label = next(iter(item.value))
                items.append(((*path, label), label))
            elif isinstance(item.value, dict) and isinstance(self._use(item), str):
                items.append((path, str(self._use(item))))
            elif isinstance(item.value, str):
                items.append((path, item.value.rsplit("/", 1)[-1]))
            else:
                self.error(path, "'evaluate' lists metrics: names, or 'label: {use: NAME, ...}'")
        return items

    @staticmethod
    def _demands(phases: tuple[Phase, ...]) -> Iterator[Demand]:
        for row in (row for phase in phases for row in phase.played):
            for term in row.terms:
                names = tuple(term.part.arguments.values())
                yield Demand(f"term '{term.label}' of row '{row.label}'", names, term.part.position)

    def _shown(self, outputs: Mapping[str, str], metrics: tuple[Part, ...]) -> Iterator[Demand]:
        for label, name in outputs.items():
            yield Demand(f"output '{label}'", (name,), self.root.at(("outputs", label)))
        for part in metrics:
            names = tuple(outputs.get(name, name) for name in part.arguments.values())
            yield Demand(f"metric '{part.label}'", names, part.position)

    @staticmethod
    def _use(node: Node) -> Any:
        use = node.value.get("use")
        return use and use.value

    # -- training ----------------------------------------------------------------------------------------

    def _train(self, phases: tuple[Phase, ...]) -> Train:
        keys = {k: n for k, n in self.mapping(("train",)).items() if k not in ("optimizer", "optimizers")}
        options = self.section(("train",), keys, "train", "'train'")
        if not 0 <= options.get("ema", 0) < 1:
            self.error(("train", "ema"), f"'ema' is a decay in [0, 1), not {options['ema']}")
        return Train(optimizers=self._optimizers(phases), **options)

    def _optimizers(self, phases: tuple[Phase, ...]) -> dict[str, Optimizer]:
        players = dict.fromkeys(p for phase in phases for row in phase.played for p in row.players)
        own = self.mapping(("train", "optimizers"))
        for name in own:
            if name not in players:
                self.error(
                    ("train", "optimizers", name),
                    f"no row has a player '{name}'{did_you_mean(name, players)}",
                )
        found = {player: self._optimizer(player, own.get(player)) for player in players}
        return {player: optimizer for player, optimizer in found.items() if optimizer}

    def _optimizer(self, player: str, own: Node | None) -> Optimizer | None:
        common = self.root.get(("train", "optimizer"))
        path: Path = ("train", "optimizers", player) if own else ("train", "optimizer")
        if common and own:
            node: Node | None = merge(common, own, lambda path: path == ())
        else:
            node = own or common
        part = self.part(path, "optimizer", player, reserved=("rate",), node=node, default="adam")
        rate = node.value.get("rate") if node and isinstance(node.value, dict) else None
        schedule = self.schedule((*path, "rate"), rate, "'rate'") if rate else ONE
        return Optimizer(part, schedule) if part and schedule else None

    def _phases(self, slots: Mapping[str, Part]) -> tuple[Phase, ...]:
        node = self.root.get(("phases",))
        if node is None or not isinstance(node.value, list) or not node.value:
            self.error(("phases",), "the recipe has no 'phases': a list whose items say who minimises what")
            return ()
        return tuple(self._phase(("phases", i), slots) for i in range(len(node.value)))

    def _phase(self, path: Path, slots: Mapping[str, Part]) -> Phase:
        items = self.mapping(path)
        rows_path: Path = (*path, "rows") if "rows" in items else path
        timing: dict[str, Any] = {}
        if "rows" in items:
            keys = {k: n for k, n in items.items() if k != "rows"}
            timing = self.section(path, keys, "phase", "a phase")
        rows = [self._row((*rows_path, label), slots) for label in self.mapping(rows_path)]
        if not rows:
            self.error(path, "a phase needs at least one row: 'players: {term: weight}'")
        return Phase(tuple(rows), **timing, position=self.root.at(path))

    def _row(self, path: Path, slots: Mapping[str, Part]) -> Row:
        label = str(path[-1])
        players = tuple(player.strip() for player in label.split("+"))
        for player in players:
            if slot_of(player) not in slots and slot_of(player) not in self.mapping(("slots",)):
                hint = did_you_mean(slot_of(player), slots)
                self.error(path, f"player '{player}' of row '{label}' is no slot of this recipe{hint}")
        if len(set(players)) < len(players):
            self.error(path, f"row '{label}' names a player twice")
        terms = [self._term((*path, name)) for name in self.mapping(path)]
        kept = tuple(term for term in terms if term and not term.weight.always_zero)
        if not terms:
            self.error(path, f"row '{label}' minimises nothing: give it a term, 'term: weight'")
        elif not kept and all(terms):
            self.error(path, f"row '{label}' minimises nothing: every weight in it is 0")
        return Row(players, kept, self.root.at(path))

    def _term(self, path: Path) -> Term | None:
        node = self.root.get(path) or Node(None, self.root.at(path))
        label = str(path[-1])
        written = node.value
        if isinstance(written, dict):
            part = self.part(path, "term", label, reserved=("weight",))
            written = written["weight"].value if "weight" in written else 1.0
            path = (*path, "weight")
        else:
            part = self.part(path, "term", label, node=Node({}, node.position))
        if isinstance(written, dict):
            weight = self.schedule(path, self.root.get(path) or node, f"the weight of '{label}'")
        else:
            weight = self.weight(path, label, written)
        if not part or not weight:
            return None
        asks = "weight" in part.entry.signature.sizes
        return Term(replace(part, weight=weight.extremes) if asks else part, weight)


def resolve(root: Node, registry: Registry) -> Recipe:
    """A merged tree as a recipe.

    Raises:
        RecipeError: with every problem, sorted by place.
    """
    return Reader(root, registry).recipe()
