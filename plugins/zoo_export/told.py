"""What lies beside graphs and programs: what each takes and gives, for programs and for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo_export.traced import Named


@dataclass(frozen=True)
class Written:
    """A computation in a file: how far from the model it was found, and how many items it takes at most."""

    module: Named
    file: str
    apart: float
    most: int | None


def told(folder: Path, written: Sequence[Written], by: str, shown: str) -> list[str]:
    """Writes ``graphs.json`` and ``README.md``; gives a sentence for each file."""
    graphs = {
        one.module.name: {
            "file": one.file,
            "about": one.module.about,
            "inputs": one.module.inputs,
            "outputs": one.module.outputs,
            "most": one.most,
            "difference": one.apart,
        }
        for one in written
    }
    (folder / "graphs.json").write_text(json.dumps(graphs, indent=2) + "\n")
    (folder / "README.md").write_text("\n".join(_section(one, shown) for one in written))
    return [_sentence(one, by) for one in written]


def _sentence(one: Written, by: str) -> str:
    takes = ", ".join(one.module.inputs)
    most = f"; {one.most} items at most" if one.most else ""
    return f"{one.file}({takes}): at most {one.apart:.1g} from the model, by {by}{most}"


def _section(one: Written, shown: str) -> str:
    lines = [f"## {one.file}", "", f"{one.module.about.capitalize()}.", "", "| | name | type | shape | |"]
    lines += ["|---|---|---|---|---|"]
    for way, ports in (("takes", one.module.inputs), ("gives", one.module.outputs)):
        for name, port in ports.items():
            lines.append(f"| {way} | `{name}` | {port['dtype']} | {_shape(port)} | {_about(port)} |")
    return "\n".join([*lines, "", "```python", _snippet(one, shown).strip(), "```", ""])


def _shape(port: Mapping[str, Any]) -> str:
    return " x ".join(map(str, port["shape"]))


def _about(port: Mapping[str, Any]) -> str:
    names = port.get("names", ())
    listed = ", ".join(f"{number} {name}" for number, name in enumerate(names))
    return f"{port['about']}{f': {listed}' if listed else ''}"


def _snippet(one: Written, shown: str) -> str:
    inputs, torch = one.module.inputs, "torch" in shown.partition("\n")[0]
    makes = "\n".join(f"{name} = {_made(port, torch)}  # {port['about']}" for name, port in inputs.items())
    takes = ", ".join(f"{name}={name}" if torch else f'"{name}": {name}' for name in inputs)
    return shown.format(name=one.module.name, makes=makes, takes=takes, gives=", ".join(one.module.outputs))


def _made(port: Mapping[str, Any], torch: bool) -> str:
    """An expression that makes some numbers of an input's type and shape."""
    shape = ", ".join(["8", *map(str, port["shape"][1:])])
    if port["kind"] in ("normal", "code"):
        made = f"torch.randn({shape})" if torch else f"np.random.randn({shape})"
    elif port["dtype"] in ("int64", "uint8"):
        high = port.get("classes") or 256
        made = f"torch.randint({high}, ({shape},))" if torch else f"np.random.randint({high}, size=({shape},))"
    else:
        made = f"torch.rand({shape})" if torch else f"np.random.rand({shape})"
        made += " * 2 - 1" if port["kind"] != "uniform" else ""
    if torch:
        return made if port["dtype"] in ("float32", "int64") else f"({made}).to(torch.{port['dtype']})"
    return made if port["dtype"] in ("float64", "int64") else f"({made}).astype(np.{port['dtype']})"
