"""Tables and a graph of a recipe: which slots each row trains, passes and stops at, its values, its slots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.columns import table
from zoo.recipe.graph import route
from zoo.recipe.parts import read_section
from zoo.recipe.schema import ONE, Optimizer, Part, Phase, Recipe, Row, Term, slot_of
from zoo.recipe.sections import DEFAULT_LATENT
from zoo.registry import check_options

LEGEND = "learns: takes the gradient. passes: hands it on to a player, takes none. stops: none is asked for."


def shown_slots(recipe: Recipe) -> list[str]:
    """The slots that tables show: all but priors that learn nothing; and terms that own networks."""
    learning = set(map(slot_of, recipe.players()))
    slots = [slot for slot, part in recipe.slots.items() if part.entry.kind != "prior" or slot in learning]
    return [*slots, *recipe.learners()]


def route_lines(recipe: Recipe) -> list[list[str]]:
    """The routing table: its head, then a line for each row; a column for each slot. Static: torch is not imported."""
    slots = shown_slots(recipe)
    lines = [["phase", "who", "minimises", *slots]]
    for number, phase in enumerate(recipe.phases, 1):
        for row in phase.played:
            terms = [term.part.arguments for term in row.terms]
            does = route(recipe.graph, row.slots, terms)
            cells = [does.get(slot, ".") for slot in slots]
            lines.append([f"{number}{_timing(phase)}", row.label, _objective(row), *cells])
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
    said = [f"x{phase.repeat}"] if phase.repeat > 1 else []
    said += ["fresh"] if phase.fresh else []
    said += [f"every {phase.every}"] if phase.every > 1 else []
    said += [f"from step {phase.start}"] if phase.start else []
    said += [f"until step {phase.until}"] if phase.until else []
    return f" ({', '.join(said)})" if said else ""


def values(recipe: Recipe) -> str:
    """The values a recipe uses: what each is made from, by whose component."""
    shown = {value: output for output, value in recipe.outputs.items()}
    lines = [["value", "made from", "component", "output"]]
    for name in _needed(recipe):
        if name not in recipe.graph.slots and name not in recipe.graph.provided:
            component = recipe.values[name].entry.id if name in recipe.values else "gradient stopped"
            lines.append([name, ", ".join(recipe.graph.needs(name)), component, shown.get(name, "")])
    return table(lines)


def _needed(recipe: Recipe) -> tuple[str, ...]:
    return recipe.graph.order([*recipe.needed, *recipe.outputs.values()])


def slots(recipe: Recipe) -> str:
    """The slots: component, options, and the optimiser of each."""
    lines = [["slot", "component", "options", "optimizer"]]
    for label, part in [*recipe.slots.items(), *recipe.learners().items()]:
        optimizer = recipe.train.optimizers.get(label)
        own = _options({**part.options, **part.sizes})
        lines.append([label, part.entry.id, own, _moved(optimizer) if optimizer else ""])
    fitted = [f"When the training ends, '{slot}' is fitted on '{value}'." for slot, value in recipe.after.items()]
    return "\n".join([table(lines), *fitted])


def _moved(optimizer: Optimizer) -> str:
    rate = "" if optimizer.rate == ONE else f" rate {optimizer.rate}"
    return f"{optimizer.part.entry.name} {_options(optimizer.part.options)}{rate}"


def settings(recipe: Recipe) -> str:
    """What differs from its default of everything but the slots: of the recipe, its training, and each part."""
    terms = [(row, term) for phase in recipe.phases for row in phase.rows for term in row.terms]
    parts = [(f"data {key}".strip(), part) for key, part in recipe.sets.items()]
    parts += [*((f"value {part.label}", part) for part in recipe.values.values())]
    parts += [(f"term {term.label} of {row.label}", term.part) for row, term in terms]
    lines = [["of", "what differs from its default"]]
    for name, plain in {"recipe": recipe.plain(), "train": recipe.train.plain()}.items():
        defaults = {option.name: option.default for option in read_section(name).options}
        told = defaults | ({"latent": DEFAULT_LATENT} if name == "recipe" else {})
        lines.append([name, _options({key: plain[key] for key in defaults if key in plain}, told)])
    lines += [[what, _set(part)] for what, part in parts]
    listed = (*recipe.augment, *recipe.evaluate, *recipe.watch)
    lines += [[f"{part.entry.kind} {part.label}", _set(part) or part.entry.id] for part in listed]
    others = {name: optimizer for name, optimizer in recipe.train.optimizers.items() if "." in name}
    lines += [[f"optimizer {player}", _moved(optimizer)] for player, optimizer in others.items()]
    return table([line for number, line in enumerate(lines) if line[1] or not number])


def _set(part: Part) -> str:
    """What a part is, where its label does not say it; its options that differ, and those that choose; its bindings."""
    defaults, _ = check_options(part.entry.signature, {})
    use = "" if part.label in (part.entry.name, part.entry.kind) else part.entry.id
    bound = " ".join(f"with {need}: {name}" for need, name in part.wiring.items())
    return " ".join(filter(None, [use, _options(part.options, {**defaults, part.entry.part.by: ...}), bound]))


def _options(options: Mapping[str, Any], defaults: Mapping[str, Any] | None = None) -> str:
    """Options as text; where defaults are given, those that differ."""
    shown = {k: v for k, v in options.items() if defaults is None or k not in defaults or v != defaults[k]}
    return " ".join(f"{key}={value}" for key, value in shown.items())


def dot(recipe: Recipe) -> str:
    """The graph in Graphviz' language: slots are boxes, values ovals, rows diamonds that point at their players."""
    lines = [f"digraph {_quoted(recipe.name)} {{", "  rankdir=LR;"]
    lines += [f"  {_quoted(slot)} [shape=box];" for slot in recipe.graph.slots]
    for name in _needed(recipe):
        lines += [f"  {_quoted(need)} -> {_quoted(name)};" for need in dict.fromkeys(recipe.graph.needs(name))]
    for number, phase in enumerate(recipe.phases, 1):
        for row in phase.played:
            who = _quoted(f"{number}: {row.label}")
            lines.append(f"  {who} [shape=diamond];")
            for term in row.terms:
                label = f"[label={_quoted(_weighted(term))}]"
                lines += [
                    f"  {_quoted(need)} -> {who} {label};" for need in dict.fromkeys(term.part.arguments.values())
                ]
            lines += [f"  {who} -> {_quoted(slot)} [style=bold, color=red];" for slot in sorted(row.slots)]
    return "\n".join([*lines, "}"])


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
