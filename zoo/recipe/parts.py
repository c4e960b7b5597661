"""Reads the pieces that every section is made of: parts with options, weights, schedules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from zoo.errors import Position, Problem, RequestError, did_you_mean
from zoo.recipe import sections
from zoo.recipe.schema import Part, Schedule
from zoo.recipe.sections import MINIMA, SPELT
from zoo.recipe.text import Node
from zoo.registry import REQUIRED, Entry, Registry, Signature, check_options
from zoo.registry.option_types import shown
from zoo.registry.signature import from_object

Path = tuple[str | int, ...]
ON_OFF = {"on": 1.0, "off": 0.0}


@cache
def read_section(name: str) -> Signature:
    """The signature of a recipe's section, its keys as a recipe spells them."""
    found = from_object("section", getattr(sections, name))
    return replace(found, options=tuple(replace(o, name=SPELT.get(o.name, o.name)) for o in found.options))


def a(kind: str) -> str:
    """``an encoder``, ``a critic``."""
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


class PartReader:
    """Reads parts of one recipe. Problems are collected; a part that is wrong is left out."""

    def __init__(self, root: Node, registry: Registry) -> None:
        self.root = root
        self.registry = registry
        self.problems: list[Problem] = []
        self.incomplete: set[Position] = set()  # rows of which something is wrong already

    @property
    def run_steps(self) -> int:
        """``train.steps`` as written, or its default: how long a schedule is that does not say."""
        node = self.root.get(("train", "steps"))
        default = next(option.default for option in read_section("train").options if option.name == "steps")
        return node.value if node and isinstance(node.value, int) else int(str(default))

    def error(self, path: Path, message: str) -> None:
        """Notes a problem at a path of the recipe."""
        self.problems.append(Problem(self.root.at(path), message))

    def part(
        self,
        path: Path,
        kind: str,
        label: str,
        reserved: tuple[str, ...] = (),
        node: Node | None = None,
        default: str = "",
    ) -> Part | None:
        """A component with its options: ``NAME`` or ``{use: NAME, with: {...}, option: value}``."""
        node = node or self.root.get(path) or Node({}, self.root.at(path))
        spec = {"use": node} if isinstance(node.value, str) else node.value
        if spec is None:
            spec = {}
        if not isinstance(spec, dict):
            self.error(path, f"'{path[-1]}' must name one: NAME or {{use: NAME, ...}}, not {shown(node.plain())}")
            return None
        use = spec["use"].value if "use" in spec else default or label
        if not isinstance(use, str):
            self.error((*path, "use"), f"'use' must be the name of {a(kind)}, not {shown(use)}")
            return None
        try:
            entry = self.registry.find(kind, use)
            by = entry.component.by
            chosen = spec[by].value if by and by in spec else None
            entry = entry.variant(chosen)
            signature = entry.signature
        except RequestError as error:
            self.problems.append(Problem(spec["use"].position if "use" in spec else self.root.at(path), str(error)))
            return None
        options = {k: n for k, n in spec.items() if k not in ("use", "with", *reserved)}
        if chosen is not None and str(chosen) not in entry.component.variants:
            hint = did_you_mean(str(chosen), entry.component.variants)
            self.error((*path, by), f"{kind} '{entry.name}' has no {by} {shown(options.pop(by).plain())}{hint}")
        checked = self.options(path, options, signature, f"{kind} '{entry.name}'", ("use", "with", *reserved))
        return Part(label, entry, checked, self.root.at(path), self.bindings(path, spec.get("with"), entry))

    def bindings(self, path: Path, node: Node | None, entry: Entry) -> dict[str, str]:
        """``with: {parameter: name}``: parameters bound to other slots or values than their namesakes."""
        if node is None:
            return {}
        bound = node.plain()
        if not isinstance(bound, dict) or not all(isinstance(name, str) for name in bound.values()):
            self.error((*path, "with"), "'with' binds parameters to slots or values: {parameter: name}")
            return {}
        for need in bound:
            needs = (*entry.signature.needs, *(entry.signature.learn or ()))
            if need not in needs:
                hint = did_you_mean(need, needs)
                self.error((*path, "with", need), f"{entry.kind} '{entry.name}' asks for no '{need}'{hint}")
        return bound

    def options(
        self,
        path: Path,
        given: Mapping[str, Node],
        signature: Signature,
        what: str,
        besides: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        """Options complete with their defaults; what is wrong with them is noted.

        Args:
            path: where they are written.
            given: as written.
            signature: what there is to write.
            what: whose they are, for a sentence.
            besides: other keys that may stand there, for did-you-mean.
        """
        names = [option.name for option in signature.options]
        for key in given.keys() - names:
            self.error((*path, key), f"{what} has no option '{key}'{did_you_mean(key, [*names, *besides])}")
        checked, problems = check_options(signature, {k: n.plain() for k, n in given.items() if k in names})
        for problem in problems:
            self.error((*path, *problem.path), f"{what} {problem.message}")
        return dict(checked)

    def section(
        self, path: Path, given: Mapping[str, Node], name: str, what: str, besides: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """The keys of a section (``zoo.recipe.sections``), with their smallest values enforced."""
        signature = read_section(name)
        defaults = {option.name: option.default for option in signature.options if option.default is not REQUIRED}
        checked = defaults | self.options(path, given, signature, what, besides)
        for key, value in checked.items():
            low = MINIMA.get(key)
            if key in given and low is not None and isinstance(value, int | float) and value < low:
                self.error((*path, key), f"'{key}' must be at least {low}, not {value}")
        return checked

    def mapping(self, path: Path) -> dict[str, Node]:
        """The entries at a path; none when nothing is written there."""
        node = self.root.get(path)
        if node is None or node.value is None:
            return {}
        if not isinstance(node.value, dict):
            self.error(path, f"'{'.'.join(map(str, path))}' must be a mapping, not {shown(node.plain())}")
            return {}
        return node.value

    def weight(self, path: Path, label: str, written: Any) -> Schedule | None:
        """A term's weight: a number, on or off."""
        value = ON_OFF.get(written, written) if isinstance(written, str) else written
        value = float(value) if isinstance(value, bool) else value
        if isinstance(value, int | float) and abs(value) < float("inf"):
            return Schedule(float(value), float(value))
        choices = "a number, on, off or {from: A, to: B, steps: N}"
        self.error(path, f"the weight of '{label}' must be {choices}, not {shown(written)}")
        return None

    def schedule(self, path: Path, node: Node, what: str) -> Schedule | None:
        """A number, or ``{from, to, steps, start, shape}``."""
        if isinstance(node.value, int | float) and not isinstance(node.value, bool):
            return Schedule(float(node.value), float(node.value))
        if not isinstance(node.value, dict):
            self.error(path, f"{what} must be a number or {{from: A, to: B, steps: N}}, not {shown(node.plain())}")
            return None
        before = len(self.problems)
        options = self.section(path, node.value, "schedule", what)
        if len(self.problems) > before:
            return None
        options["first"], options["last"] = options.pop("from"), options.pop("to")
        options["steps"] = options["steps"] or max(self.run_steps - options["start"], 1)
        if options["shape"] == "exponential" and options["first"] * options["last"] <= 0:
            self.error(path, f"{what}: an exponential change needs two numbers of one sign, neither 0")
            return None
        return Schedule(**options)
