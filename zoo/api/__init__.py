"""Everything a plugin may import: ``from zoo import api``.

Importing this module costs the standard library and pluggy, nothing else. What needs torch (``Gaussian``, ``Draw``,
``CriticOutput``, ``Examples``, ``to_model`` ...) and what the zoo lends (``memory``, ``Progress`` ...) comes from it on
first use, so a plugin's entry-point module stays light and ``zoo list`` never imports torch.

What a part of each kind must have is told by the Protocols of ``zoo.api.kinds``, for type checkers too. They cannot say
which parameters a target (the class or function that a component names) has, for it is read by them:

* positional parameters are asked for by name and given by the zoo: ``SIZES`` in the ``__init__`` of networks and
  priors; slots, values, fields of the data (``x``), ``batch``, ``draw``, ``sizes`` and counts of the training
  (``step``, ``epoch``, ``images_seen``, ``train_size``) in values and terms; outputs, values, fields and ``draw`` in a
  metric's ``update``; ``images`` and ``draw`` in augmentations; ``parameters`` in optimisers; ``folder``, the run's
  directory, and ``recipe``, the resolved recipe as plain data, in the ``__init__`` of watchers; ``model``,
  ``run`` and ``folder`` in exporters; ``trained``, a run, in data;
* where a value, term, metric or augmentation is a class, its ``__init__`` may ask for sizes (a term's for ``weight``
  too, its lowest and highest, so that it can refuse a sign), and ``forward`` or ``update`` asks for the rest;
* keyword-only parameters, of a class those of ``__init__``, are options of the recipe: each needs a plain type (int,
  float, ``Scheduled``, bool, str, Literal, tuple, list or dict of these, or None); one without a default must be given;
* ``*args``, ``**kwargs`` and untyped options are refused.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pluggy

from zoo.api import kinds
from zoo.api.kinds import *  # noqa: F403 - every name of that page, as __all__ there has them

if TYPE_CHECKING:
    from zoo.draws import Draw
    from zoo.machine.cache import cache_folder
    from zoo.machine.device import memory
    from zoo.machine.disk import locked
    from zoo.machine.process import restoring
    from zoo.machine.progress import Progress
    from zoo.types import CriticOutput, Examples, Gaussian, Images, to_model, to_pixels

__all__ = ["IMAGE", "KINDS", "SHAPES", "SIZES", "VERSION", "Component", "Field", "Recipe", "Saved", "Scheduled"]
__all__ += ["CriticOutput", "Draw", "Examples", "Gaussian", "Images", "Progress", "cache_folder", "hookimpl"]
__all__ += ["hookspec", "locked", "memory", "restoring", "to_model", "to_pixels"]
__all__ += kinds.__all__

VERSION = (1, 3)
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
    "module",
    "value",
    "term",
    "prior",
    "data",
    "metric",
    "optimizer",
    "watcher",
    "augmentation",
    "exporter",
)
"""The kinds of components."""

SIZES = ("channels", "size", "latent", "noise", "height", "width", "depth", "length", "features", "classes")
"""Sizes a target may ask for: latent K (its shape by ``tuple[int, ...]``), noise A, and of the data's fields channels
C, height H, width W, depth, length, size (the side of a square; sides by ``tuple``), a vector's features, classes."""

SHAPES = {
    "image": "channels height width",
    "mask": "height width",
    "label": "",
    "vector": "features",
    "signal": "channels length",
    "volume": "channels depth height width",
}
"""Kind of a field -> the sizes that one item of it has, in order."""

Scheduled = Annotated[float, "Scheduled"]
"""Type of an option that may change with the step: one of a function of a value or a term, or of an optimiser."""

hookspec = pluggy.HookspecMarker("zoo")
hookimpl = pluggy.HookimplMarker("zoo")


@dataclass(frozen=True)
class Field:
    """What a field of a data set is: a tensor (N, ...) for each split, and this of each.

    Models see numbers in [-1, 1] where it has a range, classes as int64, and everything else as it is.

    Args:
        kind: one of ``SHAPES``.
        shape: of one item, in words as a contract has them: numbers, options of the data, and H and W for its
            ``size``, such as ``"channels H W"`` or ``"2 length"``; nothing for a label.
        classes: of a label or a mask: their names, how many there are, or the option that says it.
        range: the numbers that become -1 and 1; None for 0 and 255 where an image, signal or volume is uint8, 0 and
            65535 where it is uint16, and for numbers that stay as they are.
    """

    kind: Literal["image", "mask", "label", "vector", "signal", "volume"]
    shape: str = ""
    classes: int | str | tuple[str, ...] = 0
    range: tuple[float, float] | None = None


IMAGE = Field("image", "channels H W")
"""What ``x`` is where data does not say what it has."""


@dataclass(frozen=True)
class Component:
    """One part on the shelf, described without importing it.

    Args:
        kind: one of ``KINDS``.
        name: the name recipes use; letters, digits and ``-``, or an identifier for values and terms.
        target: ``"package.module:attribute"``, imported only when a recipe uses it.
        summary: one line for ``zoo list``.
        contract: shapes in and out, such as ``"B C H W, B noise -> B depth H/factor W/factor, B N 3"``: tensors between
            commas, a word for each dimension: a letter B, C, H, W or a name in ``SIZES``, bound by the recipe
            (``latent`` is all dimensions of a code); an option of the component; a number; these with ``+ - * /`` and
            parentheses, without blanks; any other single letter, bound for a call by its first tensor that has it; or
            ``...``, any number of dimensions. Empty means the kind's own contract; ``"package.module:function"`` is one
            that depends on options, which that function asks for by name, and it imports nothing heavy.
        double_backward: whether gradients of its gradients are promised (critics).
        by: an option that chooses among ``variants``, such as ``estimator``; empty for none.
        variants: value of that option -> target, each with needs and options of its own. ``target`` is
            what serves where a recipe does not say.
        fields: of data, what it brings, by name, ``x`` first; or ``"package.module:function"``, which gives that for
            the data's options, asked for by name, and imports nothing heavy; or that and the options that say so
            without the data's files, which a run's recipe has in their place. Of an item, tensors go by these names.
        weights: of a network, ``"package.module:function"`` that reads weights which another library saved in a folder:
            ``function(file)`` gives a ``Saved``, and ``file(name)`` the path of a file of that folder, which may be
            one of the Hugging Face hub.
    """

    kind: str
    name: str
    target: str
    summary: str
    contract: str = ""
    double_backward: bool = False
    by: str = ""
    variants: Mapping[str, str] = field(default_factory=dict, hash=False)
    fields: Mapping[str, Field] | str = field(default_factory=lambda: {"x": IMAGE}, hash=False)
    weights: str = ""


@dataclass(frozen=True)
class Saved:
    """Weights that another library saved: those of a whole model, of which a slot may be a part.

    Args:
        file: a safetensors file.
        options: those of the component that they were saved with; they hold where a recipe writes none.
        named: what the component calls a tensor, of its name in the file.
    """

    file: Path
    options: Mapping[str, Any]
    named: Callable[[str], str] = str


@dataclass(frozen=True)
class Recipe:
    """A recipe that ships in a package.

    Args:
        name: what ``zoo build NAME`` and ``extends: NAME`` call it.
        path: ``"package:relative/path.yaml"`` of the file inside the package.
        summary: one line for ``zoo list``.
        table: whether it is a table of recipes instead, for ``zoo compare NAME`` alone.
        family: the systems that it stands among in ``zoo list recipe``, such as ``"adversarial"``.
    """

    name: str
    path: str
    summary: str
    table: bool = False
    family: str = ""


# -- hooks ---------------------------------------------------------------------------------------------------


class Hooks:
    """The two hooks of a plugin. Both return plain data and import nothing heavy."""

    @hookspec
    def zoo_components(self) -> Sequence[Component]:  # type: ignore[empty-body]
        """Components this package provides; called once, when the registry is first read."""

    @hookspec
    def zoo_recipes(self) -> Sequence[Recipe]:  # type: ignore[empty-body]
        """Recipes this package ships; called once, when the registry is first read."""


_ON_USE = {
    **dict.fromkeys(("CriticOutput", "Examples", "Gaussian", "Images", "to_model", "to_pixels"), "zoo.types"),
    "Draw": "zoo.draws",
    "Progress": "zoo.machine.progress",
    "cache_folder": "zoo.machine.cache",
    "locked": "zoo.machine.disk",
    "memory": "zoo.machine.device",
    "restoring": "zoo.machine.process",
}
"""Name -> module it comes from on first use."""


def __getattr__(name: str) -> Any:
    if name not in _ON_USE:
        raise AttributeError(f"module 'zoo.api' has no attribute {name!r}")
    if name in DEPRECATED:
        text = f"zoo.api.{name} goes with version {VERSION[0] + 1}.0 of zoo.api; use {DEPRECATED[name]}"
        warnings.warn(text, DeprecationWarning, stacklevel=2)
    return getattr(import_module(_ON_USE[name]), name)
