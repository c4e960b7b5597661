"""Everything a plugin may import: ``from zoo import api``.

Importing this module costs the standard library and pluggy, nothing else. The torch-side types that
plugins share (``Gaussian``, ``CriticOutput``, ``Draw``, ``Images``, ``to_model``, ``to_pixels``) come
from it on first use, so a plugin's entry-point module stays light and ``zoo list`` never imports torch.

A target (the class or function that a component names) is read by its parameters:

* positional parameters are asked for by name and given by the zoo: ``channels``, ``size``, ``latent``,
  ``noise`` for networks; slots, values, ``x``, ``batch``, ``draw``, ``step`` and ``sizes`` for values and terms;
* a value, term or metric may be a class: ``__init__`` has its options and may ask for sizes (a term's for
  ``weight`` too, its lowest and highest, so that it can refuse a sign); ``forward`` asks for what it needs;
* a term's class with a method ``learn`` owns networks that learn: with the rows of its phase plays one more,
  whose player is the term itself and which minimises what ``learn`` returns;
* a metric is a class: ``update`` asks for outputs or values of a batch, ``compute()`` gives the number; its
  attribute ``protocol`` says how it was measured, ``better`` is ``"lower"``, ``"higher"`` or ``"one"``; with
  ``computes = {"sample": ("z",)}`` it may ask for ``compute``, which gives samples of other codes; ``details()``,
  ``split``, ``samples`` with ``more()``, and ``training()`` are optional too; ``quick = True`` says that it costs
  little enough to be measured now and then during training;
* a data function may have an attribute ``ready``, a function of some of its options, which raises OSError where a
  file is missing that would not be fetched, and reads none: ``zoo compare --dry-run`` asks it;
* an augmentation, a function or a class with ``forward``, takes ``images`` (B, C, H, W) in [-1, 1] and, if it asks
  for it, ``draw``, and returns images of that shape and type; ``draw.uniform(B)`` and ``draw.normal(B, 2)`` have a
  row for each image that depends on that image alone;
* a watcher is a class with the methods of ``Watcher``; its ``__init__`` may ask for ``folder``,
  the run's directory, and ``recipe``, the resolved recipe as plain data;
* keyword-only parameters are options of the recipe: each needs a plain type (int, float, bool, str, Literal,
  tuple, list or dict of these, or None); one without a default must be given;
* ``*args``, ``**kwargs`` and untyped options are refused.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

import pluggy

if TYPE_CHECKING:
    from zoo.draws import Draw
    from zoo.machine.cache import cache_folder
    from zoo.machine.device import memory
    from zoo.machine.disk import locked
    from zoo.machine.progress import Progress
    from zoo.types import CriticOutput, Gaussian, Images, to_model, to_pixels

__all__ = [
    "KINDS",
    "SIZES",
    "VERSION",
    "Component",
    "CriticOutput",
    "Draw",
    "Gaussian",
    "Images",
    "Progress",
    "Recipe",
    "Record",
    "Watcher",
    "cache_folder",
    "hookimpl",
    "hookspec",
    "locked",
    "memory",
    "to_model",
    "to_pixels",
]

VERSION = (1, 1)
"""Version of this page as (major, minor).

A plugin states the one it was written for, ``ZOO_API = (1, 0)``; one that states none counts as (1, 0). It runs while
the major is this one and the minor no newer; otherwise it is reported as ``too new`` or ``incompatible``.

Within a major nothing here is removed or changes its meaning; a minor adds. What will go is named in ``DEPRECATED``
for at least one minor before the major that drops it.
"""

DEPRECATED: Mapping[str, str] = {}
"""Name of this page that the next major drops -> what to use instead. Its use raises a DeprecationWarning."""

KINDS = (
    "encoder",
    "decoder",
    "generator",
    "critic",
    "value",
    "term",
    "prior",
    "data",
    "metric",
    "optimizer",
    "watcher",
    "augmentation",
)
"""What a component can be."""

SIZES = ("channels", "size", "latent", "noise")
"""Sizes a target may ask for by parameter name: image channels C, image side H = W, latent K, noise A."""

hookspec = pluggy.HookspecMarker("zoo")
hookimpl = pluggy.HookimplMarker("zoo")


@dataclass(frozen=True)
class Component:
    """One part on the shelf, described without importing it.

    Args:
        kind: one of ``KINDS``.
        name: the name recipes use; letters, digits and ``-``, or an identifier for values and terms.
        target: ``"package.module:attribute"``, imported only when a recipe uses it.
        summary: one line for ``zoo list``.
        contract: shapes in and out, such as ``"B C H W -> B latent"``. Letters B, C, H, W and the
            names in ``SIZES`` are bound by the recipe, numbers are literal, inputs are separated by
            commas. Empty means the kind's own contract.
        double_backward: whether gradients of its gradients are promised (critics).
        by: an option that chooses among ``variants``, such as ``estimator``; empty for none.
        variants: value of that option -> target, each with needs and options of its own. ``target`` is
            what serves where a recipe does not say.
    """

    kind: str
    name: str
    target: str
    summary: str
    contract: str = ""
    double_backward: bool = False
    by: str = ""
    variants: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Recipe:
    """A recipe that ships in a package.

    Args:
        name: what ``zoo build NAME`` and ``extends: NAME`` call it.
        path: ``"package:relative/path.yaml"`` of the file inside the package.
        summary: one line for ``zoo list``.
        table: whether it is a table of recipes instead, for ``zoo compare NAME`` alone.
    """

    name: str
    path: str
    summary: str
    table: bool = False


@dataclass(frozen=True)
class Record:
    """What is known of a training at a step.

    Args:
        step: steps done.
        seen_images: images seen.
        seconds: since this process began to train.
        images_per_s: over the stretch since the record before.
        losses: ``"row/term"`` -> value.
    """

    step: int
    seen_images: int
    seconds: float
    images_per_s: float
    losses: Mapping[str, float]


class Watcher(Protocol):
    """Someone who looks on.

    It may also have ``picture(step, name, image)``, which is shown samples on the way as uint8 (C, H, W), and
    ``scores(step, values)``, which is told the scores of the finished model after ``end``.
    """

    def start(self, step: int, steps: int, batch: int) -> None:
        """Training begins at ``step`` of ``steps``."""

    def log(self, record: Record) -> None:
        """A record was taken."""

    def end(self) -> None:
        """Training ended, or was interrupted."""


class Hooks:
    """The two hooks of a plugin. Both return plain data and import nothing heavy."""

    @hookspec
    def zoo_components(self) -> Sequence[Component]:  # type: ignore[empty-body]
        """Components this package provides; called once, when the registry is first read."""

    @hookspec
    def zoo_recipes(self) -> Sequence[Recipe]:  # type: ignore[empty-body]
        """Recipes this package ships; called once, when the registry is first read."""


_ON_USE = {
    "CriticOutput": "zoo.types",
    "Draw": "zoo.draws",
    "Gaussian": "zoo.types",
    "Images": "zoo.types",
    "Progress": "zoo.machine.progress",
    "cache_folder": "zoo.machine.cache",
    "locked": "zoo.machine.disk",
    "memory": "zoo.machine.device",
    "to_model": "zoo.types",
    "to_pixels": "zoo.types",
}
"""Name -> module it comes from on first use."""


def __getattr__(name: str) -> Any:
    if name not in _ON_USE:
        raise AttributeError(f"module 'zoo.api' has no attribute {name!r}")
    if name in DEPRECATED:
        text = f"zoo.api.{name} goes with version {VERSION[0] + 1}.0 of zoo.api; use {DEPRECATED[name]}"
        warnings.warn(text, DeprecationWarning, stacklevel=2)
    return getattr(import_module(_ON_USE[name]), name)
