"""Trains what ``docs/audit.md`` shows, as it is and repaired, and writes what was measured below each.

python tests/audit/museum.py      # a minute
"""

from __future__ import annotations

import copy
import itertools
import linecache
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nets
import torch
import torch.nn.functional as F
from nets import VAE, Autoencoder, kl, mlp
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import CosineAnnealingLR

PAGE = Path(__file__).parents[2] / "docs" / "audit.md"
SHOWN = re.compile(r"^### ([\w ]+)\n(.*?)^```python\n(.*?)^```\n", re.DOTALL | re.MULTILINE)
STEPS, LOOKS = 400, (0, 50, 100, 200, 300, 400)


def shown() -> list[tuple[str, str]]:
    """Kinds of problems, each with its lines."""
    return [(kind, lines) for kind, _, lines in SHOWN.findall(PAGE.read_text())]


def repaired(lines: str) -> str:
    """The lines of the twin."""
    kept = [line for line in lines.splitlines() if not line.endswith("# fault")]
    return "\n".join(re.sub(r"^(\s*)# cure: ", r"\1", line) for line in kept) + "\n"


def distance(a: Tensor, b: Tensor) -> Tensor:
    """The energy distance of two samples."""
    return 2 * torch.cdist(a, b).mean() - torch.cdist(a, a).mean() - torch.cdist(b, b).mean()


def clip(net: nn.Module, most: float) -> None:
    for parameter in net.parameters():
        parameter.data.clamp_(-most, most)


def run(lines: str, steps: int = STEPS, looks: tuple[int, ...] = LOOKS) -> list[float]:
    """Trains by some lines, and measures what their first one says after some steps."""
    torch.manual_seed(0)
    ring, pictures = next(nets.points(1, 256)), next(pictured(1, 256))
    names: dict[str, Any] = {
        "torch": torch,
        "nn": nn,
        "F": F,
        "Adam": Adam,
        "SGD": SGD,
        "CosineAnnealingLR": CosineAnnealingLR,
        "copy": copy,
        "functional_call": functional_call,
        "mlp": mlp,
        "VAE": VAE,
        "Autoencoder": Autoencoder,
        "kl": kl,
        "distance": distance,
        "clip": clip,
        "ring": ring,
        "pictures": pictures,
        "noise": torch.randn(256, 3),
    }
    measured: list[float] = []
    expression = lines.splitlines()[0].split(": ", 2)[2]

    def watched(data: Iterator[Tensor]) -> Iterator[Tensor]:
        for number, x in enumerate(itertools.chain(data, [None])):
            if number in looks:
                measured.append(measure(expression, names))
            if x is not None:
                yield x

    names |= {"points": watched(nets.points(steps)), "pixels": watched(pictured(steps))}
    name = f"<museum {hash(lines)}>"
    linecache.cache[name] = (len(lines), None, lines.splitlines(keepends=True), name)
    exec(compile(lines, name, "exec"), names)
    return measured


def pictured(number: int, batch: int = 16) -> Iterator[Tensor]:
    """Pictures of six pixels that two numbers make."""
    for x in nets.points(number, batch):
        a, b = x[:, :1], x[:, 1:]
        yield torch.sigmoid(2 * torch.cat([a, b, a + b, a - b, a * b, a * a], 1))


def measure(expression: str, names: dict[str, Any]) -> float:
    modules = [each for each in names.values() if isinstance(each, nn.Module)]
    modes = [(part, part.training) for module in modules for part in module.modules()]
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        for module in modules:
            module.eval()
        value = float(eval(expression, names))
    for part, mode in modes:
        part.training = mode
    return value


def table(lines: str) -> str:
    rows = [["after steps", *map(str, LOOKS)]]
    for name, each in (("as it is", lines), ("repaired", repaired(lines))):
        rows.append([name, *(f"{value:.3g}" for value in run(each))])
    head, *rest = ("| " + " | ".join(row) + " |" for row in rows)
    return "\n".join([head, "|---" * len(rows[0]) + "|", *rest])


def main() -> None:
    text = re.sub(r"\n\| after steps .*?\n\n", "\n", PAGE.read_text() + "\n", flags=re.DOTALL).rstrip("\n") + "\n"
    for kind, lines in shown():
        print(kind)
        text = text.replace(f"```python\n{lines}```\n", f"```python\n{lines}```\n\n{table(lines)}\n", 1)
    PAGE.write_text(text)


if __name__ == "__main__":
    main()
