"""Protocols: from pixels to what a network sees, and how a set becomes a number. Plain data, read from one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args, get_type_hints

Change = dict[str, str | int | bool]
"""Fields of a protocol that are otherwise than its name says."""
PILLOW = ("bicubic", "bilinear", "lanczos", "box", "nearest")


@dataclass(frozen=True)
class Protocol:
    """What happens to an image before a network, and to features after it.

    Args:
        features: the network: ``inception``, ``lite0``, ``dinov2``, ``clip``, or a timm model.
        size: side of what it sees, in pixels; 0 for the side it was made for.
        filter: of the resize.
        antialias: whether the filter is widened where images shrink.
        library: whose resize it is, for their places and edges differ: ``tensorflow`` 1, ``torch``, or ``pillow``.
        rounding: what becomes of resized pixels: ``none``, ``nearest`` (uint8), or ``down`` (uint8, cut off).
        crop: ``none``; ``square``, the largest central one; or the side of a central square.
        order: of the channels.
        scale: of the numbers that the network sees, a name of ``SCALES``; ``own`` is the network's.
        covariance: what sums of squares are divided by.
        sizes: whether a set may have images of several sizes, as where each is resized by itself.
    """

    features: str = "inception"
    size: int = 0
    filter: Literal["bilinear", "bicubic", "lanczos", "box", "nearest"] = "bilinear"
    antialias: bool = True
    library: Literal["tensorflow", "torch", "pillow"] = "torch"
    rounding: Literal["none", "nearest", "down"] = "none"
    crop: str | int = "none"
    order: Literal["RGB", "BGR"] = "RGB"
    scale: Literal["own", "inception", "centred", "unit", "imagenet", "clip"] = "own"
    covariance: Literal["n - 1", "n"] = "n - 1"
    sizes: Literal["one", "any"] = "one"

    def __post_init__(self) -> None:
        if self.library == "tensorflow" and (self.filter != "bilinear" or self.antialias):
            raise ValueError("library 'tensorflow' is TensorFlow 1's resize: bilinear, not antialiased")
        if self.library == "pillow" and not self.antialias:
            raise ValueError("library 'pillow' antialiases whatever it shrinks; for none choose 'torch'")
        if self.library == "torch" and (
            self.filter in ("lanczos", "box") or (self.filter == "nearest" and self.antialias)
        ):
            raise ValueError(f"library 'torch' has no such filter as {self.filter!r}, antialiased: {self.antialias}")
        if self.crop not in ("none", "square") and not (isinstance(self.crop, int) and self.crop > 0):
            raise ValueError(f"crop is {self.crop!r}; choose none, square, or a side in pixels")

    @property
    def resize(self) -> str:
        """The resize in words."""
        how = {"tensorflow": "as TensorFlow 1", "pillow": "antialiased, Pillow"}.get(self.library)
        return f"{self.size} px, {self.filter}, {how or ('antialiased' if self.antialias else 'not antialiased')}"

    def described(self) -> dict[str, Any]:
        """The fields that features depend on, for a score's protocol; those of no effect by default are left out."""
        plain = asdict(Protocol())
        more = ("rounding", "crop", "order", "scale")
        return {"resize": self.resize} | {
            name: getattr(self, name) for name in more if getattr(self, name) != plain[name]
        }

    def changed(self, change: Mapping[str, Any] | None) -> Protocol:
        """The same but for some fields.

        Raises:
            ValueError: there is no such field, or no such value of it.
        """
        if not change:
            return self
        known = get_type_hints(Protocol)
        for name, value in change.items():
            if name not in known or name in ("features", "sizes"):
                left = ", ".join(name for name in known if name not in ("features", "sizes"))
                raise ValueError(f"a protocol has no {name!r} to change; choices: {left}")
            choices = get_args(known[name]) if get_args(known[name])[:1] and known[name] != str | int else ()
            if choices and value not in choices:
                raise ValueError(f"{name} is {value!r}; choices: {', '.join(map(str, choices))}")
        return replace(self, **change)

    def alternatives(self) -> dict[str, Change]:
        """Single changes that people make, by what they are called."""
        found = {}
        for change in (*RESIZES, *OTHERS):
            what = {name: value for name, value in change.items() if getattr(self, name) != value}
            if what and self.changed(change) != self:
                found[", ".join(f"{name} {_said(value)}" for name, value in what.items())] = change
        return found


def _said(value: Any) -> str:
    return {True: "on", False: "off"}.get(value, str(value)) if isinstance(value, bool) else str(value)


TENSORFLOW: Change = {"filter": "bilinear", "antialias": False, "library": "tensorflow"}
RESIZES: tuple[Change, ...] = (
    TENSORFLOW,
    *({"filter": kind, "antialias": True, "library": "pillow"} for kind in PILLOW),
    *({"filter": kind, "antialias": False, "library": "torch"} for kind in ("bilinear", "bicubic", "nearest")),
    *({"filter": kind, "antialias": True, "library": "torch"} for kind in ("bilinear", "bicubic")),
)
OTHERS: tuple[Change, ...] = (
    {"covariance": "n"},
    {"covariance": "n - 1"},
    {"order": "BGR"},
    {"rounding": "nearest"},
    {"rounding": "down"},
    {"rounding": "none"},
    {"scale": "unit"},
    {"scale": "centred"},
    {"scale": "inception"},
    {"scale": "imagenet"},
    {"crop": "square"},
)
"""Single changes that explain most gaps between published numbers."""

SCALES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "inception": ((128.0,) * 3, (128.0,) * 3),
    "centred": ((127.5,) * 3, (127.5,) * 3),
    "unit": ((0.0,) * 3, (255.0,) * 3),
    "imagenet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "clip": ((122.7709383, 116.7460125, 104.09373615), (68.5005327, 66.6321579, 70.32316305)),
}
"""Name -> mean and standard deviation, in pixels, that a network's input is taken from and divided by."""

_INCEPTION = Protocol("inception", 299, library="tensorflow", antialias=False)
PROTOCOLS: dict[str, Protocol] = {
    "torch-fidelity": _INCEPTION,
    "kid": _INCEPTION,
    "adm": _INCEPTION,
    "stylegan": replace(_INCEPTION, covariance="n"),
    "rfid": replace(_INCEPTION, crop="square", sizes="any"),
    "torchmetrics": replace(_INCEPTION, library="torch", antialias=True),
    "clean-fid": replace(_INCEPTION, library="pillow", filter="bicubic", antialias=True, sizes="any"),
    "fd-dinov2": Protocol("dinov2", 224, "bicubic", library="pillow", rounding="nearest", sizes="any"),
    "cmmd": Protocol("clip", 336, "bicubic", library="pillow", rounding="nearest", crop="square", sizes="any"),
}
"""Name -> protocol; ``docs/scores.md`` says where each is from."""
