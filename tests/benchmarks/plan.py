"""What is measured, and what of it is run at toy size in ``make test``: that the benchmarks work."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from .cases import SYSTEMS

MODES = {
    "eager": ("train.compile=false", "train.cuda_graph=off"),
    "compiled": ("train.compile=true", "train.cuda_graph=off"),
    "captured": ("train.compile=false", "train.cuda_graph=on"),
    "compiled and captured": ("train.compile=true", "train.cuda_graph=on"),
}
"""How a step is run -> what a recipe says for that."""

PRECISIONS = ("float32", "bfloat16")
ON_A_CPU = ((32, 64), (64, 16))
"""Sides and batches."""


@dataclass(frozen=True)
class Step:
    """A training step to measure."""

    name: str
    size: int
    batch: int
    precision: str
    mode: str = "eager"
    width: int = 64

    def __str__(self) -> str:
        return f"{self.name}-{self.size}px-batch{self.batch}-{self.precision}-{self.mode}"

    def in_mode(self, mode: str) -> Step:
        """The same step run in another way."""
        return replace(self, mode=mode)

    @property
    def images(self) -> str:
        """Its size and batch, in words."""
        return f"{self.size} px, batch {self.batch}"


def measured_steps() -> list[Step]:
    """Everything eager; compiling takes long, so little of it is compiled."""
    cases = [Step(n, s, b, p) for n, (s, b), p in product(SYSTEMS, ON_A_CPU, PRECISIONS)]
    return [*cases, Step("avae", 32, 64, "bfloat16", "compiled")]


def toy_steps() -> list[Step]:
    """Each system once, so small that it costs nothing."""
    return [Step(name, 16, 4, precision, width=4) for name, precision in zip(SYSTEMS, PRECISIONS * 3, strict=False)]


PAPER = {"use": "avae-paper"}
NETWORKS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "encoder dcgan": ("avae", "encoder", {"use": "dcgan"}),
    "decoder dcgan": ("avae", "decoder", {"use": "dcgan"}),
    "generator dcgan": ("avae", "generator", {"use": "dcgan"}),
    "critic dcgan": ("avae", "critic", {"use": "dcgan"}),
    "critic dcgan-joint": ("bigan", "critic", {"use": "dcgan-joint"}),
    "encoder avae-paper": ("avae", "encoder", PAPER),
    "decoder avae-paper": ("avae", "decoder", PAPER),
    "generator avae-paper": ("avae", "generator", PAPER),
    "critic avae-paper": ("avae", "critic", PAPER),
    "critic avae-paper-joint": ("bigan", "critic", {"use": "avae-paper-joint"}),
    **{
        f"encoder timm {model}": ("avae", "encoder", {"use": "timm", "model": model})
        for model in ("resnet18", "mobilenetv3_small_100", "efficientnet_b0", "convnext_atto", "vit_tiny_patch16_224")
    },
    "critic timm-joint mobilenetv3_small_100": (
        "bigan",
        "critic",
        {"use": "timm-joint", "model": "mobilenetv3_small_100"},
    ),
}
"""What it is -> a recipe with such a slot, the slot, and what fills it."""

COMMANDS = {
    "zoo --help": (["--help"], 0),
    "zoo list": (["list"], 0),
    "zoo check of a wrong recipe": (["check", "wrong.yaml"], 2),
    "zoo build to the first step": (["build", "tiny.yaml", "--stop-after", "train", "--set", "train.steps=1"], 0),
}
"""What it is -> the command, and how it ends."""


FALLING = "train.optimizer.rate={from: 1, to: 0, shape: cosine, steps: 100000}"
ADDED = {
    "bare": (),
    "schedules": (FALLING,),
    "average": ("train.ema=0.995",),
    "autocast": ("train.precision=bfloat16",),
    "all of it": (FALLING, "train.ema=0.995", "train.precision=bfloat16"),
}
"""What an engine does beside the rows -> the settings that turn it on."""


def values_of(measured: bool) -> dict[str, list[Any]]:
    """Parameter of a benchmark -> its values."""
    if not measured:
        return {
            "case": toy_steps(),
            "side": [16],
            "images": [100],
            "network": ["encoder dcgan", "critic avae-paper-joint", "encoder timm mobilenetv3_small_100"],
            "command": ["zoo --help"],
            "width": [4],
            "added": ["all of it"],
            "backbone": ["mobilenetv3_small_100"],
        }
    return {
        "case": measured_steps(),
        "side": [32, 64],
        "images": [10_000],
        "network": list(NETWORKS),
        "command": list(COMMANDS),
        "width": [64, 4],
        "added": list(ADDED),
        "backbone": ["mobilenetv3_small_100", "resnet18"],
    }
