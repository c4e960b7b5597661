"""Computations traced by ``torch.export``, and how far what comes of it is from the model."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from zoo_export.computations import Computation

TRACED, CHECKED = 4, (1, 3)
"""Items of the trace, and of each check: others, so that a size of the batch that stuck is noticed."""
BYTE = 1
"""By how much a pixel may differ that was halfway between two."""


class Named(nn.Module):
    """A computation whose ``forward`` has its inputs as parameters, by their names and in their order.

    With ``pixels`` its images are uint8 (B, H, W, C) in 0..255, as Pillow and OpenCV hold them.
    """

    def __init__(self, computation: Computation, pixels: bool = False) -> None:
        super().__init__()
        self.computation, self.pixels, self.dtype = computation, pixels, torch.float32
        self.name, self.about = computation.name, computation.about
        self.inputs, self.outputs = (
            {name: _as_pixels(told) if pixels else told for name, told in ports.items()}
            for ports in (computation.inputs, computation.outputs)
        )
        one = inspect.Parameter.POSITIONAL_OR_KEYWORD
        named = inspect.Signature([inspect.Parameter(name, one) for name in self.inputs])

        def forward(*tensors: Tensor, **others: Tensor) -> dict[str, Tensor]:
            return self._computed(named.bind(*tensors, **others).arguments)

        forward.__signature__ = named  # type: ignore[attr-defined]
        self.forward = forward

    def examples(self, count: int) -> dict[str, Tensor]:
        """Made-up inputs of so many items."""
        made = self.computation.examples(count)
        return {name: _pixels(t) if self._seen(self.inputs[name]) else t for name, t in made.items()}

    def _computed(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        given = {
            name: t.permute(0, 3, 1, 2).to(self.dtype) / 127.5 - 1 if self._seen(self.inputs[name]) else t
            for name, t in tensors.items()
        }
        found = self.computation(**given)
        return {name: _pixels(t) if self._seen(self.outputs[name]) else t for name, t in found.items()}

    def _seen(self, told: Mapping[str, Any]) -> bool:
        return self.pixels and told["kind"] == "image"


def _pixels(images: Tensor) -> Tensor:
    return ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def _as_pixels(told: Mapping[str, Any]) -> Mapping[str, Any]:
    if told["kind"] != "image":
        return told
    batch, channels, *sides = told["shape"]
    about = str(told["about"]).replace("in [-1, 1]", "in 0..255, channels last")
    return {**told, "about": about, "dtype": "uint8", "shape": [batch, *sides, channels]}


def traced(module: Named) -> ExportedProgram:
    """The program of a computation, for any number of items; a part may set a limit, ``most`` of the program.

    Raises:
        ValueError: if it cannot be traced.
    """
    example, refused = module.examples(TRACED), []
    for strict in (False, True):  # the second takes three times as long, and follows len()
        try:
            with quietly():
                found = torch.export.export(
                    module, (), example, dynamic_shapes={name: {0: Dim.AUTO} for name in example}, strict=strict
                )
                found.module()(**module.examples(CHECKED[1]))
        except Exception as error:  # noqa: BLE001 - the networks are anybody's, and torch raises of many kinds
            refused.append(error)
            continue
        return found
    said = next((line for line in str(refused[0]).splitlines() if line.strip()), type(refused[0]).__name__)
    cure = "write x.shape[0] for len(x), and torch.where for an if on numbers, in the part that it is of"
    raise ValueError(f"'{module.name}' cannot be traced: {said}; {cure}")


def most_of(program: ExportedProgram) -> int | None:
    """The most items that a program takes at a time; None for any number."""
    sizes = [int(bound.upper) for bound in program.range_constraints.values() if bound.upper.is_Integer]
    return min(sizes, default=None)


def checked(module: Named, run: Callable[[dict[str, Tensor]], Sequence[Tensor]], tolerance: float) -> float:
    """How far results of a program are from the model's, at most: over the largest of them where that is above 1.

    Where that is beyond the tolerance, they are held against the model in float64: what the model itself rounds in
    float32 is no fault of the program.

    Args:
        module: what was traced.
        run: gives the program's results for some inputs, in the order of the outputs.
        tolerance: up to which a difference is none.

    Raises:
        ValueError: if it is further.
    """
    largest = 0.0
    for count in CHECKED:
        given = module.examples(count)
        found, own = run(given), module(**given)
        apart = _apart(own, found)
        if not max(apart.values()) <= tolerance:
            apart = {name: min(apart[name], by) for name, by in _apart(_exactly(module, given), found).items()}
        for name, by in apart.items():
            if not by <= tolerance:
                cure = "its shape is another" if by == torch.inf else f"tolerance={by:.0e} would take it"
                raise ValueError(f"'{name}' of '{module.name}' differs from the model by {by:.2g}; {cure}")
        largest = max(largest, *(by for name, by in apart.items() if own[name].is_floating_point()), 0.0)
    return largest


def _apart(own: Mapping[str, Tensor], others: Sequence[Tensor]) -> dict[str, float]:
    """How far each is from another; infinitely if their shapes are others, not at all if pixels differ by one."""
    apart = {}
    for (name, ours), theirs in zip(own.items(), others, strict=True):
        if ours.shape != theirs.shape:
            apart[name] = torch.inf
            continue
        by = float((ours.double() - theirs.double()).abs().max()) if ours.numel() else 0.0
        if ours.is_floating_point():
            by /= max(1.0, float(ours.abs().max()))
        apart[name] = 0.0 if theirs.dtype == torch.uint8 and by <= BYTE else by
    return apart


def _exactly(module: Named, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a computation gives in float64."""
    inside = [(tensor, tensor.data) for tensor in (*module.parameters(), *module.buffers())]
    try:
        module.dtype = torch.float64
        for tensor, data in inside:
            tensor.data = data.double() if data.is_floating_point() else data
        return module(**{name: t.double() if t.is_floating_point() else t for name, t in given.items()})
    finally:
        module.dtype = torch.float32
        for tensor, data in inside:
            tensor.data = data


@contextmanager
def quietly() -> Iterator[None]:
    """Inside, torch tells nothing of what it tries: what fails is told by whoever tries it."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with redirect_stdout(StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
