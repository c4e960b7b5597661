"""Reads the pieces that every section is made of: parts with options, weights, schedules."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from zoo.errors import Problem, RequestError, did_you_mean
from zoo.recipe import sections
from zoo.recipe.schema import Part, Schedule
from zoo.recipe.sections import MINIMA
from zoo.recipe.text import Node
from zoo.registry import Entry, Registry, Signature, check_options
from zoo.registry.signature import from_object

Path = tuple[str | int, ...]
ON_OFF = {"on": 1.0, "off": 0.0}


@cache
def read_section(name: str) -> Signature:
    """The signature of a recipe's section."""
    return from_object("section", getattr(sections, name))


class PartReader:
    """Reads parts of one recipe. Problems are collected; a part that is wrong is left out."""

    def __init__(self, root: Node, registry: Registry) -> None:
        self.root = root
        self.registry = registry
        self.problems: list[Problem] = []

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
            self.error(path, f"'{label}' must be the name of a {kind} or {{use: NAME, ...}}, not {node.plain()!r}")
            return None
        use = spec["use"].value if "use" in spec else default or label
        try:
            entry = self.registry.find(kind, str(use))
            signature = entry.signature
        except RequestError as error:
            self.problems.append(Problem(spec["use"].position if "use" in spec else node.position, str(error)))
            return None
        options = {k: n for k, n in spec.items() if k not in ("use", "with", *reserved)}
        checked = self.options(path, options, signature, f"{kind} '{entry.name}'")
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

    def options(self, path: Path, given: Mapping[str, Node], signature: Signature, what: str) -> dict[str, Any]:
        """Options complete with their defaults; what is wrong with them is noted."""
        checked, problems = check_options(signature, {k: n.plain() for k, n in given.items()})
        for problem in problems:
            self.error((*path, *problem.path), f"{what} {problem.message}")
        return dict(checked)

    def section(self, path: Path, given: Mapping[str, Node], name: str, what: str) -> dict[str, Any]:
        """The keys of a section (``zoo.recipe.sections``), with their smallest values enforced."""
        checked = self.options(path, given, read_section(name), what)
        for key, value in checked.items():
            low = MINIMA.get(key)
            if low is not None and isinstance(value, int | float) and value < low:
                self.error((*path, key), f"'{key}' must be at least {low}, not {value}")
        return checked

    def mapping(self, path: Path) -> dict[str, Node]:
        """The entries at a path; none when nothing is written there."""
        node = self.root.get(path)
        if node is None or node.value is None:
            return {}
        if not isinstance(node.value, dict):
            self.error(path, f"{'.'.join(map(str, path))} must be a mapping, not {node.plain()!r}")
            return {}
        return node.value

    def weight(self, path: Path, label: str, written: Any) -> Schedule | None:
        """A term's weight: a number, on or off."""
        value = ON_OFF.get(written, written) if isinstance(written, str) else written
        value = float(value) if isinstance(value, bool) else value
        if isinstance(value, int | float) and abs(value) < float("inf"):
            return Schedule(float(value), float(value))
        self.error(path, f"the weight of '{label}' must be a number, a schedule, on or off, not {written!r}")
        return None

    def schedule(self, path: Path, node: Node, what: str) -> Schedule | None:
        """A number, or ``{from, to, steps, start, shape}``."""
        if isinstance(node.value, int | float) and not isinstance(node.value, bool):
            return Schedule(float(node.value), float(node.value))
        if not isinstance(node.value, dict):
            self.error(path, f"{what} must be a number or {{from: A, to: B, steps: N}}, not {node.plain()!r}")
            return None
        written = {"from": "first", "to": "last"}
        renamed: dict[str, Node] = {str(written.get(key, key)): n for key, n in node.value.items()}
        before = len(self.problems)
        options = self.section(path, renamed, "schedule", what)
        if len(self.problems) > before:
            return None
        if options["shape"] == "exponential" and options["first"] * options["last"] <= 0:
            self.error(path, f"{what}: an exponential change needs two numbers of one sign, neither 0")
            return None
        return Schedule(**options)
