"""Who learns from what, said in tables."""

from __future__ import annotations

from typing import Any

from zoo.columns import table
from zoo.recipe.graph import BUILTINS, route
from zoo.recipe.schema import Phase, Recipe, Row, Term, slot_of

LEGEND = "learns: takes the gradient. passes: hands it on to a player, takes none. stops: none is asked for."


def route_lines(recipe: Recipe) -> list[list[str]]:
    """The routing table: its head, then a line for each row; a column for each slot. Static: torch is not imported."""
    learning = set(map(slot_of, recipe.players()))
    slots = [slot for slot, part in recipe.slots.items() if part.entry.kind != "prior" or slot in learning]
    slots += recipe.learners()
    lines = [["phase", "who", "minimises", *slots]]
    for number, phase in enumerate(recipe.phases, 1):
        for row in phase.played:
            terms = [term.part.arguments for term in row.terms]
            found = route(recipe.graph, row.slots, terms)
            name = f"{number}{_timing(phase)}"
            lines.append([name, row.label, _objective(row), *(found.get(slot, ".") for slot in slots)])
    return lines


def routes(recipe: Recipe) -> str:
    """The routing table as text, and what its words mean."""
    return f"{table(route_lines(recipe))}\n\n{LEGEND}"


def _objective(row: Row) -> str:
    off = f" ({', '.join(row.off)} off)" if row.off else ""
    return " + ".join(map(_weighted, row.terms)).replace("+ -", "- ") + off


def _weighted(term: Term) -> str:
    weight = str(term.weight)
    return term.label if weight == "1" else f"{weight if ' ' not in weight else f'({weight})'} {term.label}"


def _timing(phase: Phase) -> str:
    said = [
        f"x{phase.repeat}" if phase.repeat > 1 else "",
        "fresh" if phase.fresh else "",
        f"every {phase.every}" if phase.every > 1 else "",
        f"from step {phase.start}" if phase.start else "",
    ]
    told = ", ".join(filter(None, said))
    return f" ({told})" if told else ""


def values(recipe: Recipe) -> str:
    """The values a recipe uses: what each is made from, by whose component."""
    terms = [t.part for phase in recipe.phases for row in phase.played for t in row.terms]
    wanted = [name for part in terms for name in part.arguments.values()]
    wanted += [*recipe.outputs.values()]
    order = [n for n in recipe.graph.order(wanted) if n not in recipe.graph.slots and n not in BUILTINS]
    shown = {value: output for output, value in recipe.outputs.items()}
    lines = [["value", "made from", "component", "output"]]
    for name in order:
        part = recipe.values.get(name)
        made = ", ".join(recipe.graph.needs(name))
        lines.append([name, made, part.entry.id if part else "gradient stopped", shown.get(name, "")])
    return table(lines)


def slots(recipe: Recipe) -> str:
    """The slots: component, options, and the optimiser of each."""
    lines = [["slot", "component", "options", "optimizer"]]
    for label, part in [*recipe.slots.items(), *recipe.learners().items()]:
        optimizer = recipe.train.optimizers.get(label)
        told = f"{optimizer.part.entry.name} {_options(optimizer.part.options)}" if optimizer else ""
        lines.append([label, part.entry.id, _options(part.options), told])
    return table(lines)


def _options(options: Any) -> str:
    return " ".join(f"{key}={value}" for key, value in options.items())


def dot(recipe: Recipe) -> str:
    """The graph in Graphviz' language: slots are boxes, values ovals, rows diamonds that point at their players."""
    lines = [f"digraph {_quoted(recipe.name)} {{", "  rankdir=LR;"]
    lines += [f"  {_quoted(slot)} [shape=box];" for slot in recipe.graph.slots]
    terms = [t.part for phase in recipe.phases for row in phase.played for t in row.terms]
    wanted = [name for part in terms for name in part.arguments.values()]
    for name in recipe.graph.order([*wanted, *recipe.outputs.values()]):
        lines += [f"  {_quoted(need)} -> {_quoted(name)};" for need in dict.fromkeys(recipe.graph.needs(name))]
    for number, phase in enumerate(recipe.phases, 1):
        for row in phase.played:
            who = _quoted(f"{number}: {row.label}")
            lines.append(f"  {who} [shape=diamond];")
            for term in row.terms:
                lines += [
                    f"  {_quoted(need)} -> {who} [label={_quoted(_weighted(term))}];"
                    for need in dict.fromkeys(term.part.arguments.values())
                ]
            lines += [f"  {who} -> {_quoted(slot)} [style=bold, color=red];" for slot in sorted(row.slots)]
    return "\n".join([*lines, "}"])


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
