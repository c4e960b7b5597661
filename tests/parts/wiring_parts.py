"""A plugin of parts for the wiring of recipes, without torch: nothing here is ever called (``--plugin``)."""

from __future__ import annotations

from zoo import api


@api.hookimpl
def zoo_components() -> list[api.Component]:
    made = {
        ("data", "sizeless"): "sizeless",
        ("data", "colourless"): "colourless",
        ("augmentation", "labelled"): "labelled",
        ("augmentation", "still"): "still",
        ("watcher", "curious"): "Curious",
        ("decoder", "torn"): "no_such_thing",
        ("term", "reader"): "Reader",
        ("term", "watcher_of_noise"): "watcher_of_noise",
        ("term", "ramp"): "watcher_of_noise",
        ("value", "ramp"): "ramp",
        ("value", "spread"): "spread",
        ("value", "needy"): "needy",
        ("value", "starred"): "starred",
        ("metric", "varying"): "Varying",
    }
    return [api.Component(*key, f"wiring_parts:{target}", "for wiring") for key, target in made.items()]


def sizeless(*, channels: int = 3): ...


def colourless(*, size: int = 8): ...


def labelled(images, labels): ...


def still(images): ...


class Curious:
    def __init__(self, folder, recipe, model): ...


class Reader:
    def __init__(self, latent, *, bias: bool = True): ...
    def forward(self, generated, z): ...
    def learn(self, generated_held, z): ...


class Varying:
    computes = {"sample": ("z",)}  # noqa: RUF012 - as a plugin writes it

    def update(self, x, compute): ...


def watcher_of_noise(noise): ...


def ramp(z, *, to: float = 1.0): ...


def spread(encoder, x):
    return encoder(*x)


def needy(z, *, width: int): ...


def starred(z, **options): ...
