"""What a model computes, each as a module of named tensors in and out: what exporters write for other programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from torch import Tensor, nn

from zoo.draws import Draw
from zoo.errors import RequestError
from zoo.model.model import Model, needs
from zoo.model.program import bound, names_computed, run
from zoo.recipe.data_fields import COUNTED, DataField

TRIED = (2, 3)
"""How many items a computation is tried with, so that it is seen which sizes are the batch's."""
RANDOM = {"normal": "standard normal numbers", "uniform": "numbers uniform in [0, 1)"}
GAUSSIAN = {"mean": "means of codes", "log_sigma": "logarithms of their standard deviations"}
RANGED = ("image", "signal", "volume")
"""Kinds of fields whose numbers are in [-1, 1]."""
Told = dict[str, Any]


class Computation(nn.Module):
    """A value of a recipe, of fields, codes and random numbers that are handed to it by name.

    Attributes:
        name: ``encode``, ``decode``, ``generate`` or ``reconstruct``.
        about: what it makes of what, in words.
        inputs: what ``forward`` takes, by these names: plain data that says ``kind``, ``about``, ``dtype`` and
            ``shape``, which begins with ``"batch"``.
        outputs: the same of what it gives.

    Raises:
        RequestError: if it depends on nothing, or draws numbers that are not a row for each item.
    """

    def __init__(self, model: Model, name: str, about: str, target: str, codes: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__()
        recipe, graph = model.recipe, model.recipe.graph
        together = ", by the statistics of the batch that they come in" if recipe.batch_stats == "batch" else ""
        self.name, self.about, self._target, self._draw = name, about + together, target, model.draw
        computed = names_computed(graph, [target], codes)
        self._program = [bound(value, graph, model.functions, model.network) for value in computed]
        self._known = {**model.counts(), "sizes": recipe.sizes}
        self.parts = nn.Module()
        used = {of: None for value in computed for of in graph.needs(value) if of in graph.slots}
        for label, part in [*((slot, model.network(slot)) for slot in used), *model.functions.items()]:
            if isinstance(part, nn.Module) and (label in used or label in computed):
                self.parts.add_module(label, part)
        dtype = str(model.dtype).removeprefix("torch.")
        fields = [field for field in graph.fields if needs(graph, [target], field, codes)]
        self.inputs: dict[str, Told] = {field: _of_field(recipe.fields[field], dtype) for field in fields}
        for code, shape in codes.items():
            self.inputs[code] = {"kind": "code", "about": "codes", "dtype": dtype, "shape": ["batch", *shape]}
        self._given = tuple(self.inputs)
        self._try(f"recipe '{recipe.name}': its {name}", dtype)
        if not self.inputs:
            raise RequestError(f"recipe '{recipe.name}': its {name} depends on nothing that could be handed to it")
        self.outputs = {key: _told(key, t, recipe.x) for key, t in self(**self.examples(TRIED[0])).items()}

    def _try(self, what: str, dtype: str) -> None:
        """Finds the random numbers that are drawn on the way: each is an input."""
        drawn = []
        for count in TRIED:
            made: list[tuple[str, str, Tensor]] = []

            def take(caller: str, kind: str, shape: Sequence[int], made: Any = made, count: int = count) -> Tensor:
                draw = self._draw("export", count, len(made))
                numbers: Tensor = draw.normal(*shape) if kind == "normal" else draw.uniform(*shape)
                made.append((caller, kind, numbers))
                return numbers

            known = self._run(self.examples(count), count, take)
            drawn.append(made)
        callers = [caller for caller, _, _ in drawn[0]]
        for number, ((caller, kind, few), (_, _, more)) in enumerate(zip(*drawn, strict=True)):
            if (few.shape[:1], more.shape[:1]) != ((TRIED[0],), (TRIED[1],)) or few.shape[1:] != more.shape[1:]:
                raise RequestError(f"{what} cannot be had elsewhere: '{caller}' draws numbers that are no item's own")
            own, nth = known[caller], f"_{callers[:number].count(caller) + 1}" * (callers.count(caller) > 1)
            name = caller if isinstance(own, Tensor) and own is more else f"random_{caller}{nth}"
            shape = ["batch", *few.shape[1:]]
            self.inputs[name] = {"kind": kind, "about": RANDOM[kind], "dtype": dtype, "shape": shape}

    def _run(self, given: Mapping[str, Any], batch: Any, take: Callable[..., Tensor]) -> dict[str, Any]:
        known = {**self._known, "batch": batch, **given}
        return run(self._program, known, lambda caller: cast(Draw, _Numbers(caller, take)))

    def forward(self, **tensors: Tensor) -> dict[str, Tensor]:
        """The value's tensors by name."""
        handed = iter([tensors[name] for name in self.inputs if name not in self._given])
        given = {name: tensors[name] for name in self._given}
        value = self._run(given, next(iter(tensors.values())).shape[0], lambda *_: next(handed))[self._target]
        return _flat(value, self.name)

    def examples(self, count: int) -> dict[str, Tensor]:
        """Made-up inputs of so many items, on the model's device."""
        return {name: self._example(name, told, count) for name, told in self.inputs.items()}

    def _example(self, name: str, told: Told, count: int) -> Tensor:
        draw: Draw = self._draw("export", name, count)
        shape = (count, *told["shape"][1:])
        if told["kind"] in COUNTED:
            return draw.uniform(*shape).mul(int(told["classes"])).long()
        if told["kind"] in (*RANGED, "uniform"):
            uniform = draw.uniform(*shape)
            return uniform if told["kind"] == "uniform" else 2 * uniform - 1
        numbers: Tensor = draw.normal(*shape)
        return numbers


class _Numbers:
    """In the place of a ``Draw``: whoever draws is handed what ``take`` gives."""

    def __init__(self, caller: str, take: Callable[..., Tensor]) -> None:
        self._caller, self._take = caller, take

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers."""
        return self._take(self._caller, "normal", shape)

    def uniform(self, *shape: int) -> Tensor:
        """Numbers uniform in [0, 1)."""
        return self._take(self._caller, "uniform", shape)


def computations(model: Model) -> list[Computation]:
    """All that a model computes for others, who have it as at evaluation and take no gradient while they use them.

    Raises:
        RequestError: if one of them cannot be had elsewhere.
    """
    outputs, sizes, graph = model.recipe.outputs, model.recipe.sizes, model.recipe.graph
    found = []
    if "posterior" in outputs:
        found += [Computation(model, "encode", "items to codes", outputs["posterior"], {})]
    if sample := outputs.get("sample"):
        coded = needs(graph, [sample], "z", {})
        decode = [Computation(model, "decode", "codes to samples", sample, {"z": sizes.code})] if coded else []
        generate = Computation(model, "generate", "random numbers to samples", sample, {})
        found += decode if decode and "z" in generate.inputs else [*decode, generate]
    if "reconstruction" in outputs:
        found += [Computation(model, "reconstruct", "items to reconstructions", outputs["reconstruction"], {})]
    if not found:
        raise RequestError(f"recipe '{model.recipe.name}' has no outputs, so there is nothing to export; name some")
    return found


def _of_field(field: DataField, dtype: str) -> Told:
    about = f"{field.name}, {field.kind}s"
    about += " in [-1, 1]" if field.kind in RANGED else ""
    told: Told = {"kind": field.kind, "about": about, "dtype": dtype, "shape": ["batch", *field.shape]}
    if field.kind in COUNTED:
        named = {"names": [*field.names]} if field.names else {}
        told |= {"dtype": "int64", "about": f"{field.name}, classes from 0", "classes": field.classes, **named}
    return told


def _told(name: str, tensor: Tensor, x: DataField) -> Told:
    """What is said of an output: it is like the data where it has its shape."""
    like = tensor.shape[1:] == x.shape and tensor.is_floating_point()
    about = _of_field(x, "")["about"].partition(", ")[2] if like else GAUSSIAN.get(name, "codes")
    shape, dtype = ["batch", *tensor.shape[1:]], str(tensor.dtype).removeprefix("torch.")
    return {"kind": x.kind if like else "code", "about": about, "dtype": dtype, "shape": shape}


def _flat(value: Any, name: str) -> dict[str, Tensor]:
    """The tensors of a value by name: of a dataclass by those of its fields."""
    if isinstance(value, Tensor):
        return {"codes" if name == "encode" else "images": value}
    fields = value if isinstance(value, Mapping) else {key: getattr(value, key) for key in value.__dataclass_fields__}
    return {key: tensor for key, tensor in fields.items() if isinstance(tensor, Tensor)}
