"""What a model computes, each as a module of named tensors in and out: what exporters write for other programs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from torch import Tensor, nn

from zoo import api

TRIED = (2, 3)
"""How many items a computation is tried with, so that it is seen which sizes are the batch's."""
RANDOM = {"normal": "standard normal numbers", "uniform": "numbers uniform in [0, 1)"}
GAUSSIAN = {"mean": "means of codes", "log_sigma": "logarithms of their standard deviations"}
COUNTED = ("label", "mask")
"""Kinds of fields that are classes."""
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
        ValueError: if it depends on nothing, or draws numbers that are not a row for each item.
    """

    def __init__(self, model: Any, name: str, about: str, target: str, codes: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__()
        recipe, graph = model.recipe, model.recipe.graph
        together = ", by the statistics of the batch that they come in" if recipe.batch_stats == "batch" else ""
        self.name, self.about, self._target, self._draw = name, about + together, target, model.draw
        self._values, self._known = model.values, {**model.counts(), "sizes": recipe.sizes}
        self.computed = needed(graph, target, codes)
        self.parts = nn.Module()
        for label in self.computed:
            part = model.network(label) if label in graph.slots else model.functions.get(label)
            if isinstance(part, nn.Module):
                self.parts.add_module(label, part)
        dtype = str(model.dtype).removeprefix("torch.")
        fields = [field for field in graph.fields if field in self.computed]
        self.inputs: dict[str, Told] = {field: _of_field(recipe.fields[field], dtype) for field in fields}
        for code, shape in codes.items():
            self.inputs[code] = {"kind": "code", "about": "codes", "dtype": dtype, "shape": ["batch", *shape]}
        self._given = tuple(self.inputs)
        self._try(f"recipe '{recipe.name}': its {name}", dtype)
        if not self.inputs:
            raise ValueError(f"recipe '{recipe.name}': its {name} depends on nothing that could be handed to it")
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

            callers = [caller for caller, _, _ in drawn[0]] if drawn else []
            own = self._run(callers, self.examples(count), count, take)
            drawn.append(made)
        for number, ((caller, kind, few), (_, _, more)) in enumerate(zip(*drawn, strict=True)):
            if (few.shape[:1], more.shape[:1]) != ((TRIED[0],), (TRIED[1],)) or few.shape[1:] != more.shape[1:]:
                raise ValueError(f"{what} cannot be had elsewhere: '{caller}' draws numbers that are no item's own")
            nth = f"_{callers[:number].count(caller) + 1}" * (callers.count(caller) > 1)
            name = caller if own[number + 1] is more else f"random_{caller}{nth}"
            shape = ["batch", *few.shape[1:]]
            self.inputs[name] = {"kind": kind, "about": RANDOM[kind], "dtype": dtype, "shape": shape}

    def _run(self, others: Sequence[str], given: Mapping[str, Any], batch: Any, take: Callable[..., Tensor]) -> Any:
        """The value, and others that are computed on the way."""
        known = {**self._known, "batch": batch, **given}
        return self._values([self._target, *others], known, lambda caller: cast(api.Draw, _Numbers(caller, take)))

    def forward(self, **tensors: Tensor) -> dict[str, Tensor]:
        """The value's tensors by name."""
        handed = iter([tensors[name] for name in self.inputs if name not in self._given])
        given = {name: tensors[name] for name in self._given}
        value = self._run((), given, next(iter(tensors.values())).shape[0], lambda *_: next(handed))[0]
        return _flat(value, self.name)

    def examples(self, count: int) -> dict[str, Tensor]:
        """Made-up inputs of so many items, on the model's device."""
        return {name: self._example(name, told, count) for name, told in self.inputs.items()}

    def _example(self, name: str, told: Told, count: int) -> Tensor:
        draw: api.Draw = self._draw("export", name, count)
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


def computations(model: Any) -> list[Computation]:
    """All that a model computes for others, who have it as at evaluation and take no gradient while they use them.

    Raises:
        ValueError: if one of them cannot be had elsewhere.
    """
    outputs, sizes, graph = model.recipe.outputs, model.recipe.sizes, model.recipe.graph
    found = []
    if "posterior" in outputs:
        found += [Computation(model, "encode", "items to codes", outputs["posterior"], {})]
    if sample := outputs.get("sample"):
        coded = "z" in needed(graph, sample, ())
        decode = [Computation(model, "decode", "codes to samples", sample, {"z": sizes.code})] if coded else []
        generate = Computation(model, "generate", "random numbers to samples", sample, {})
        found += decode if decode and "z" in generate.inputs else [*decode, generate]
    if "reconstruction" in outputs:
        found += [Computation(model, "reconstruct", "items to reconstructions", outputs["reconstruction"], {})]
    if not found:
        raise ValueError(f"recipe '{model.recipe.name}' has no outputs, so there is nothing to export; name some")
    return found


def needed(graph: Any, target: str, given: Collection[str]) -> tuple[str, ...]:
    """Every slot, value and field that a value needs where some are given."""
    bare = {**graph.arguments, **{name: {} for name in given}}
    return tuple(name for name in replace(graph, arguments=bare).order([target]) if name not in given)


def _of_field(field: Any, dtype: str) -> Told:
    about = f"{field.name}, {field.kind}s"
    about += " in [-1, 1]" if field.kind in RANGED else ""
    told: Told = {"kind": field.kind, "about": about, "dtype": dtype, "shape": ["batch", *field.shape]}
    if field.kind in COUNTED:
        named = {"names": [*field.names]} if field.names else {}
        told |= {"dtype": "int64", "about": f"{field.name}, classes from 0", "classes": field.classes, **named}
    return told


def _told(name: str, tensor: Tensor, x: Any) -> Told:
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
