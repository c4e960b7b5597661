"""The whole explanation of a recipe: routes as planned and as autograd finds them, values, slots, costs."""

from __future__ import annotations

from typing import Any

from zoo.columns import table
from zoo.errors import RequestError
from zoo.recipe.dimensions import crossed
from zoo.recipe.graph import route
from zoo.recipe.routes import routes, settings, shown_slots, slots, values
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
    reaches, idle = probe(recipe)
    for reach in reaches:
        if slot_of(reach.player) not in shown:
            continue
        found = (
            "is passed through" if reach.how == "passes" else f"learns: {reach.reached} of {reach.parameters} tensors"
        )
        lines.append([f"{reach.phase + 1}", reach.row, reach.player, found])
    return "\n\n".join([table(lines), *idle])


def _shared(recipe: Recipe) -> str:
    from zoo.check.shares import BATCH, shares

    cells: dict[tuple[int, str, str], list[str]] = {}
    try:
        for share in shares(recipe):
            cell = cells.setdefault((share.phase, share.row, share.term), [])
            shown = "under 1%" if 0 < share.share < 0.01 else f"{share.share:.0%}"
            cell += [f"{share.player} {shown}"] if share.share else []
    except RequestError as error:
        return f"The terms' shares of the gradient cannot be measured here: {error}"
    lines = [["phase", "row", "term", "share of the gradient"]]
    lines += [[f"{phase + 1}", row, term, ", ".join(found) or "none"] for (phase, row, term), found in cells.items()]
    return (
        f"{table(lines)}\n\nA share is of the norms of a player's gradients, each term at its largest weight,\n"
        f"on the networks as they are made and {BATCH} smooth images that are made up."
    )


def described(recipe: Recipe) -> str:
    """What the data is: ``images 3 x 32 x 32 and label, one of 10, from generative-zoo/cifar10``."""
    sets = []
    for key, part in recipe.sets.items():
        own = [field for field in recipe.fields.values() if field.of == key and field.name in recipe.asked_fields]
        first, *others = own or [next(field for field in recipe.fields.values() if field.of == key)]
        named = f"{first.kind}s {' x '.join(map(str, first.shape))}" if first.own == "x" and not key else str(first)
        sets.append(f"{' and '.join([named, *map(str, others)])} from {part.entry.id}")
    return "; ".join(sets)


def explain(recipe: Recipe) -> str:
    """The whole explanation: routes as planned and as autograd found them, values, slots, settings, costs."""
    title = f"{recipe.name}: {described(recipe)}, latent {crossed(recipe.latent)}, noise {recipe.noise}"
    found = [routes(recipe), _probed(recipe), _shared(recipe), values(recipe), slots(recipe), settings(recipe)]
    return "\n\n".join([title, *found, costs(recipe)])


def as_json(recipe: Recipe) -> dict[str, Any]:
    """The routes, as planned and as autograd found them, the terms' shares, and the costs, as one JSON document."""
    from dataclasses import asdict

    from zoo.check.cost import costs as counted
    from zoo.check.probe import probe
    from zoo.check.shares import shares

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
    try:
        shared: Any = [*map(asdict, shares(recipe))]
    except RequestError as error:
        shared = str(error)
    reaches, idle = probe(recipe)
    found = {"probed": [*map(asdict, reaches)], "idle": idle, "shares": shared, "after": dict(recipe.after)}
    return {"name": recipe.name, "rows": planned, **found, "costs": [*map(asdict, counted(recipe))]}
