"""The whole explanation of a recipe: routes as planned and as autograd finds them, values, slots, costs."""

from __future__ import annotations

from typing import Any

from zoo.columns import table
from zoo.recipe.graph import route
from zoo.recipe.routes import routes, shown_slots, slots, values
from zoo.recipe.schema import Recipe, slot_of


def costs(recipe: Recipe) -> str:
    """What each slot and a whole step cost. Imports torch; counted on the meta device."""
    from zoo.check.cost import costs as counted
    from zoo.check.cost import megabytes

    lines = [["cost", "parameters", "MFLOP an image", "activations MiB", "weights MiB", "optimizer MiB"]]
    batch = recipe.train.batch
    for cost in counted(recipe):
        kept = megabytes(cost.activations * batch)
        sizes = [f"{cost.flops / 1e6:,.1f}", kept, megabytes(cost.weights), megabytes(cost.optimizer)]
        lines.append([cost.name, f"{cost.parameters:,}", *sizes])
    return (
        f"{table(lines)}\n\nA slot's FLOPs are a forward's, a step's are every forward's and backward's. "
        f"Activations are what autograd keeps for a batch of {batch}, in float32."
    )


def _probed(recipe: Recipe) -> str:
    from zoo.check.probe import probe

    lines, shown = [["phase", "row", "slot", "autograd finds that it"]], shown_slots(recipe)
    for reach in probe(recipe):
        if slot_of(reach.player) not in shown:
            continue
        found = (
            "is passed through" if reach.how == "passes" else f"learns: {reach.reached} of {reach.parameters} tensors"
        )
        lines.append([f"{reach.phase + 1}", reach.row, reach.player, found])
    return table(lines)


def explain(recipe: Recipe) -> str:
    """The whole explanation: routes as planned and as autograd found them, values, slots, costs."""
    sizes = recipe.sizes
    title = (
        f"{recipe.name}: images {sizes.channels} x {sizes.size} x {sizes.size} from {recipe.data.entry.id}, "
        f"latent {sizes.latent}, noise {sizes.noise}"
    )
    return "\n\n".join([title, routes(recipe), _probed(recipe), values(recipe), slots(recipe), costs(recipe)])


def as_json(recipe: Recipe) -> dict[str, Any]:
    """The routes, as planned and as autograd found them, and the costs, as one JSON document."""
    from dataclasses import asdict

    from zoo.check.cost import costs as counted
    from zoo.check.probe import probe

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
    probed, cost = map(asdict, probe(recipe)), map(asdict, counted(recipe))
    return {"name": recipe.name, "rows": planned, "probed": list(probed), "costs": list(cost)}
