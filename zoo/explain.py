"""Who learns from what, said in tables."""

from __future__ import annotations

from typing import Any

from zoo.graph import BUILTINS, route
from zoo.recipe.schema import Phase, Recipe, Row, Term, slot_of
from zoo.tables import table

LEGEND = "learns: takes the gradient. passes: hands it on to a player, takes none. stops: none is asked for."


def routes(recipe: Recipe) -> str:
    """The routing table: a line for each row, a column for each slot. Static: torch is not imported."""
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
    return f"{table(lines)}\n\n{LEGEND}"


def _objective(row: Row) -> str:
    return " + ".join(map(_weighted, row.terms)).replace("+ -", "- ")


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
    """The slots: component, options, parameters, and the optimiser of each. Imports torch; takes no memory."""
    from zoo.model import Model

    model = Model(recipe, "meta")
    lines = [["slot", "component", "options", "parameters", "optimizer"]]
    for label, part in [*recipe.slots.items(), *recipe.learners().items()]:
        count = sum(p.numel() for p in model.network(label).parameters())
        optimizer = recipe.train.optimizers.get(label)
        lines.append(
            [
                label,
                part.entry.id,
                _options(part.options),
                f"{count:,}",
                f"{optimizer.part.entry.name} {_options(optimizer.part.options)}" if optimizer else "",
            ]
        )
    return table(lines)


def _options(options: Any) -> str:
    return " ".join(f"{key}={value}" for key, value in options.items())


def explain(recipe: Recipe) -> str:
    """The whole explanation: routes as planned and as autograd found them, values, slots."""
    from zoo.probe import probe

    sizes = recipe.sizes
    title = (
        f"{recipe.name}: images {sizes.channels} x {sizes.size} x {sizes.size} from {recipe.data.entry.id}, "
        f"latent {sizes.latent}, noise {sizes.noise}"
    )
    lines = [["phase", "row", "player", "parameter tensors its gradient reaches"]]
    for reach in probe(recipe):
        lines.append([f"{reach.phase + 1}", reach.row, reach.player, f"{reach.reached} of {reach.parameters}"])
    parts = [title, routes(recipe), table(lines), values(recipe), slots(recipe)]
    return "\n\n".join(parts)


def as_json(recipe: Recipe) -> dict[str, Any]:
    """The routes, as planned and as autograd found them, as one JSON document."""
    from dataclasses import asdict

    from zoo.probe import probe

    planned = [
        {
            "phase": number,
            "row": row.label,
            "minimises": {term.label: term.weight.plain() for term in row.terms},
            "routes": route(recipe.graph, row.slots, [term.part.arguments for term in row.terms]),
        }
        for number, phase in enumerate(recipe.phases)
        for row in phase.played
    ]
    return {"name": recipe.name, "rows": planned, "probed": [asdict(reach) for reach in probe(recipe)]}
