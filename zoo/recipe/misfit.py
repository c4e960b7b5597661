"""What does not fit, in sentences: the shapes between slots, and codes that a part cannot take; with where they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from zoo.api import SHAPES
from zoo.errors import Position, Problem
from zoo.recipe.contract import LETTERS, Contract, code_told, contract_of, encoder_of
from zoo.recipe.dimensions import BATCH, Dims, Shape, crossed
from zoo.recipe.schema import Part, Recipe
from zoo.recipe.sections import NETWORKS
from zoo.registry.signature import CALLED

SEVERAL: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "latent": ("a vector", "latent", ("latent",)),
    "size": ("the side of a square", "images", ("data", "size")),
}
"""Sizes that may be several numbers: what one number is then, how the size is told of, and where a recipe has it."""


def code_misfits(recipe: Recipe) -> Iterator[Problem]:
    """An encoder that says another code than the recipe, and parts that ask for a size of other dimensions."""
    told, part = code_told(recipe.slots, recipe.sizes), encoder_of(recipe.slots)
    if part and told is not None and told != recipe.latent:
        at, whose = seen_from(recipe, part, recipe.source.at(("latent",)))
        cure = "leave latent out ('latent: null'), or take another encoder"
        yield Problem(at, f"{whose} gives codes of {crossed(told)}, and {size_told('latent', recipe, at)}; {cure}")
        return  # the others fit the one or the other
    for part in recipe.parts():
        signature = part.entry.signature
        asked = signature.sizes if part.entry.kind in CALLED else signature.needs
        for name, (single, told_as, path) in SEVERAL.items():
            written = signature.annotations.get(name, "") if name in asked else ""
            size = part.sees(recipe.sizes).numbers.get(name, 0)
            if _dimensions(written) not in (0, len(size) if isinstance(size, tuple) else 1):
                at, whose = seen_from(recipe, part, recipe.source.at(path))
                what = single if written == "int" else f"{_dimensions(written)} dimensions"
                whose_size = (
                    str(recipe.fields[part.of]) if part.of and name == "size" else size_told(told_as, recipe, at)
                )
                yield Problem(at, f"{whose} asks for '{name}: {written}', {what}, and {whose_size}")


def _dimensions(annotation: str) -> int:
    """The dimensions of a size that ``int`` or ``tuple[int, int, int]`` asks for; 0 for any."""
    fixed = annotation == "int" or (annotation.startswith("tuple[") and "..." not in annotation)
    return annotation.count("int") if fixed else 0


def wrong_count(part: Part, contract: Contract, given: int) -> Problem:
    """A slot that is called with more inputs than it takes, or fewer."""
    takes = f"{len(contract.inputs)} input{'s' if len(contract.inputs) > 1 else ''}"
    return Problem(part.position, f"{named(part)} takes {takes} ('{contract.text}') and is handed {given}")


def wrong_input(part: Part, shape: Shape, given: Dims, letters: Mapping[str, int], recipe: Recipe) -> Problem:
    """A slot that is handed another shape than it expects: both shapes, and where each comes from."""
    sizes, givers = recipe.sizes, dict[str, Position]()
    for label, slot in recipe.slots.items():
        contract = contract_of(slot, sizes)
        if slot is not part and contract and any(output.admits(given) for output in contract.outputs):
            givers[label] = slot.position
    at, whose = seen_from(recipe, part, *givers.values())
    sources = [f"as slot '{label}' gives, {_place(place, at)}" for label, place in givers.items()]
    codes = {"latent": sizes.code, "noise": (sizes.noise,)}
    sources += [size_told(name, recipe, at) for name, code in codes.items() if given[1:] == code]
    if given[1:] == recipe.x.shape:
        sources.append(size_told("images", recipe, at))
    source = f" ({'; '.join(sources)})" if sources else ""
    expected = with_sources(shape, part, recipe, at, letters)
    return Problem(at, f"{whose} expects {expected} and is handed {dims(given, letters)}{source}")


def seen_from(recipe: Recipe, part: Part, *others: Position) -> tuple[Position, str]:
    """Where to tell of a part that does not fit what others say, and how it is called from there.

    It is where the user wrote one of them, rather than in what that extends.
    """
    users = [place for place in (part.position, *others) if place.file == recipe.file or not place.line]
    at = (users or [part.position])[0]
    return at, named(part) if at == part.position else f"{named(part)}, {_place(part.position, at)},"


def named(part: Part) -> str:
    """A slot, or another part, and its component, for a sentence."""
    kind = part.entry.kind
    whose = f"slot '{part.label}'" if kind in NETWORKS else f"{kind} '{part.label}'"
    return f"{whose} ({kind} '{part.entry.name}')" if kind in NETWORKS else whose


def dims(shape: Sequence[int], letters: Mapping[str, int] | None = None) -> str:
    """A tensor's shape, for a sentence: ``B x 64``; with its number where that is not the batch's in ``letters``."""
    if not len(shape):
        return "a scalar"
    first = shape[0] if (letters or {}).get(BATCH, shape[0]) != shape[0] else BATCH
    return " x ".join(map(str, [first, *shape[1:]]))


def with_sources(shape: Shape, part: Part, recipe: Recipe, at: Position, letters: Mapping[str, int]) -> str:
    """A shape with where its numbers come from: ``B x 64 (latent is 64, line 3)``."""
    own = {LETTERS.get(name, name) for name in shape.names} & part.sizes.keys()
    if own:
        told = " and ".join(f"{name} {crossed(part.sizes[name])}" for name in sorted(own))
        return f"{shape} (of {told})"
    sources = [size_told(name, recipe, at) for name in ("latent", "noise") if name in shape.names]
    if {"C", "H", "W", *SHAPES["image"].split(), "size"} & shape.names:
        sources.append(size_told("images", recipe, at))
    for name in sorted(shape.names & part.options.keys()):
        node = recipe.source.get(("slots", part.label, name))
        place = _place(node.position, at) if node else "by default"
        sources.append(f"{name} is {shape.numbers[name]}, {place}")
    sources += [f"{name} is {letters[name]} in this call" for name in sorted(shape.names & letters.keys() - {BATCH})]
    return f"{shape} ({', '.join(sources)})" if sources else str(shape)


def size_told(name: str, recipe: Recipe, at: Position) -> str:
    """``latent is 64, line 3``."""
    sizes, source = recipe.sizes, recipe.source
    text, paths = f"images are {crossed(recipe.x.shape)}", [("data", "size"), ("data",)]
    if name != "images":
        text, paths = f"{name} is {crossed(getattr(sizes, name))}", [(name,)]
    written = next((path for path in paths if (node := source.get(path)) and node.value is not None), None)
    encoder = encoder_of(recipe.slots)
    if name == "latent" and not written and encoder and code_told(recipe.slots, sizes) is not None:
        return f"{text}, as slot '{encoder.label}' gives, {_place(encoder.position, at)}"
    return f"{text}, {_place(source.at(written), at) if written else 'by default'}"


def _place(position: Position, at: Position) -> str:
    """``line 3``; with the file where that is not the one pointed at."""
    return f"line {position.line}" if position.line and position.file == at.file else str(position)
