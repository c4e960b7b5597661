"""Checks of augmentations."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor

from zoo.draws import TicketDraw
from zoo.recipe.schema import Sizes
from zoo.testing.arrays import close, devices, equal, images, sides
from zoo.testing.common import refused, settled, untouched
from zoo.testing.core import Body, Case, require

SIDES = (16, 32)
BATCHES = (1, 4)


class Augmenter:
    """An augmentation, and images to do it to."""

    def __init__(self, case: Case) -> None:
        self.case = case

    def __str__(self) -> str:
        return str(self.case)

    def __call__(self, x: Tensor, tickets: Tensor | None = None) -> Any:
        """What a new one makes of images; row i of its random numbers is a function of ticket i."""
        tickets = torch.arange(len(x), device=x.device) if tickets is None else tickets
        given = {"images": x, "draw": TicketDraw(tickets, "contract", dtype=x.dtype)}
        asked = {name: given[name] for name in self.case.entry.signature.needs}
        return self._function(x)(**asked)

    def _function(self, x: Tensor) -> Any:
        sizes = Sizes(x.shape[1], x.shape[2], 8, 4)
        part = self.case.part
        if not inspect.isclass(self.case.target):
            return lambda **asked: self.case.target(**asked, **part.arguments_for())
        return refused(self.case, lambda: self.case.target(**part.arguments_for(sizes)), "made").forward


def batch(count: int = 4, side: int = SIDES[0], seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Images."""
    return images(count, 3, side, side, seed=seed, dtype=dtype)


def shapes(augmenter: Augmenter) -> None:
    """Images keep their shape, at two image sizes and two batch sizes."""
    for side in SIDES:
        for count in BATCHES:
            x = batch(count, side)
            given = augmenter(x)
            what = sides(given.shape) if isinstance(given, Tensor) else type(given).__name__
            fits = isinstance(given, Tensor) and given.shape == x.shape
            require(fits, f"{augmenter} makes {what} of {sides(x.shape)}; the shape is kept")


def range_kept(augmenter: Augmenter) -> None:
    """Images in [-1, 1] stay in [-1, 1]."""
    given = augmenter(batch(8))
    low, high = float(given.min()), float(given.max())
    inside = -1.001 <= low <= high <= 1.001
    require(inside, f"{augmenter} makes images in [{low:.3g}, {high:.3g}] of some in [-1, 1]; clamp them")


def dtype(augmenter: Augmenter) -> None:
    """The type that goes in comes out: float32 and float64."""
    for kind in (torch.float32, torch.float64):
        given = augmenter(batch(dtype=kind)).dtype
        require(given is kind, f"{augmenter} takes {kind} and gives {given}; make new tensors like the images")


def determinism(augmenter: Augmenter) -> None:
    """Equal random numbers give equal images, so that a resumed run sees what an uninterrupted one saw."""
    same = equal(augmenter(batch()), augmenter(batch()))
    require(same, f"{augmenter} makes something else of the same images; take every random number from 'draw'")


def batch_independence(augmenter: Augmenter) -> None:
    """What happens to an image does not depend on the images beside it, nor on how many they are."""
    x, tickets = batch(), torch.tensor([5, 6, 7, 8])
    whole = augmenter(x.clone(), tickets)
    cure = "row i of draw.uniform(B) is for image i; use no statistics of the batch and no other image"
    beside = augmenter(torch.cat([x[:1], batch(3, seed=1)]), tickets)
    require(close(whole[:1], beside[:1], 1e-5), f"{augmenter} makes an image depend on those beside it; {cure}")
    alone = augmenter(x[:1].clone(), tickets[:1])
    require(close(whole[:1], alone, 1e-5), f"{augmenter} makes an image depend on the size of the batch; {cure}")


def inputs_untouched(augmenter: Augmenter) -> None:
    """The images that go in are not changed in place."""
    x = batch()
    augmenter(x)
    require(equal(x, batch()), f"{augmenter} changes the images in place; work on a copy")


def device_move(augmenter: Augmenter) -> None:
    """Images stay where they are: on meta, and on a GPU, if there is one, where it does what it does on the CPU."""
    for device in devices():
        try:
            there = augmenter(batch().to(device))
        except NotImplementedError:
            if device.type == "meta":
                continue  # it looks at numbers
            raise
        told = f"{augmenter} makes images on {there.device} of some on {device}"
        require(there.device.type == device.type, f"{told}; make new tensors where the images are")
        if device.type != "meta":
            same = close(augmenter(batch()), there, 1e-2)
            require(same, f"{augmenter} makes other images on {device} than on the CPU")


def no_global_side_effect(augmenter: Augmenter) -> None:
    """Augmenting changes nothing that belongs to the whole process, random numbers included."""
    augment = settled(lambda: augmenter(batch()))
    with untouched(augmenter.case, "it is done"):
        augment()


BATTERY: tuple[Body, ...] = (
    shapes,
    range_kept,
    dtype,
    determinism,
    batch_independence,
    inputs_untouched,
    device_move,
    no_global_side_effect,
)


def battery(_: Case) -> tuple[Body, ...]:
    """The checks of an augmentation."""
    return BATTERY
