"""Writes what a measured run found into docs/benchmarks.md, so that no number is typed.

    python tests/benchmarks/report.py [--suite .benchmarks/suite.json] [--paired .benchmarks/paired.json] [--to FILE]

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``; what is around it is prose, and stays. So does a
table of which nothing was measured.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
Benchmarks = list[dict[str, Any]]


def main() -> None:
    """Fill the tables in."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--suite", type=Path, default=ROOT / ".benchmarks" / "suite.json")
    parser.add_argument("--paired", type=Path, default=ROOT / ".benchmarks" / "paired.json")
    parser.add_argument("--to", type=Path, default=ROOT / "docs" / "benchmarks.md")
    args = parser.parse_args()
    suite = json.loads(args.suite.read_text())["benchmarks"] if args.suite.exists() else []
    paired = json.loads(args.paired.read_text())
    tables = {"machine": machine(paired["machine"], paired["datetime"])}
    tables |= {name: table([one for one in paired["found"] if one["table"] == name]) for name, table in PAIRED.items()}
    tables |= {name: table(suite) for name, table in TABLES.items()}
    args.to.write_text(written(args.to.read_text(), "cpu", tables))
    print(f"{args.to}: the tables of the CPU")


def written(text: str, where: str, tables: Mapping[str, str]) -> str:
    """The page with the tables, by name, of one kind of machine, ``cpu`` or ``gpu``; an empty one was not measured."""
    for name, table in tables.items():
        text = filled(text, f"{where} {name}", table) if table else text
    return text


def filled(text: str, name: str, table: str) -> str:
    """``text`` with a table in its place; as it is where it has no such place."""
    place = re.compile(rf"(<!-- table: {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
    return place.sub(lambda found: f"{found[1]}{table}\n{found[2]}", text)


def rows(head: Sequence[str], body: Iterable[Sequence[Any]]) -> str:
    """A table in Markdown; nothing where there is nothing to tell."""
    told = list(body)
    lines = [head, ["---"] * len(head), *told] if told else []
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def machine(known: Mapping[str, Any], when: str) -> str:
    """What the numbers were made on."""
    day = datetime.datetime.fromisoformat(when).date()
    device = f"{known['device']}, " if known["device"] != "CPU" else ""
    best = ", ".join(f"{value / 1e12:.3g} TFLOP/s in {name}" for name, value in known["flops"].items())
    return (
        f"{day}, {device}{known['processor']}, {known['cores']} cores, {known['threads']} of them used; "
        f"Python {known['python']}, torch {known['torch']}.\n"
        f"Ceilings, measured in the same run: {best}; {known['bandwidth'] / 1e9:.3g} GB/s."
    )


def pairs(found: Sequence[Mapping[str, Any]]) -> str:
    """Paired ratios and what was asked of them."""
    body = []
    for one in found:
        spread = "{:.3f} to {:.3f}".format(*one["quartiles"]) if one.get("quartiles") else ""
        same = "{:.3f} ({:.3f} to {:.3f})".format(*one["aa"]) if one.get("aa") else ""
        value = f"{one['value']:.3f}" if not one["unit"] else f"{one['value']:.0f}{one['unit']}"
        asked = [f"{one[key]:.3g}" if one[key] else "" for key in ("aim", "most")]
        body.append([one["group"], one["name"], value, spread, *asked, same, one["verdict"]])
    return rows(["what", "of", "median", "quartiles", "aim", "at most", "A/A", "verdict"], body)


def backbones(found: Sequence[Mapping[str, Any]]) -> str:
    """What AVAE costs with one encoder or another."""
    body = [
        [
            one["name"],
            f"{one['parameters'] / 1e6:.2f} M",
            f"{one['value']:.1f}",
            "{:.1f} to {:.1f}".format(*one["quartiles"]),
        ]
        for one in found
    ]
    return rows(["encoder", "parameters", "ratio", "quartiles"], body)


def percent(part: float | None) -> str:
    """A part of one; nothing for none."""
    return "" if part is None else f"{100 * part:.1f} %"


def steps(benchmarks: Benchmarks) -> str:
    """Training steps."""
    body = []
    for one in chosen(benchmarks, "test_training_step"):
        more = one["extra_info"]
        rate, part = f"{more['images_a_second']:,.0f}", f"{100 * more['fraction_of_floor']:.0f} % ({more['bound']})"
        what = [one["group"].removeprefix("training step, "), more["system"], more["precision"], more["mode"]]
        body.append([*what, time(one), rate, f"{more['mflop_an_image']:.0f}", part])
    return rows(["images", "system", "precision", "mode", "ms", "images/s", "MFLOP an image", "of the floor"], body)


def plain(test: str, *more: str) -> Callable[[Benchmarks], str]:
    """A table of times alone, and of what else a benchmark tells by name."""

    def table(benchmarks: Benchmarks) -> str:
        body = [
            [one["group"], one["params_told"], time(one), *(told(one["extra_info"][key]) for key in more)]
            for one in chosen(benchmarks, test)
        ]
        return rows(["what", "of", "ms", *(key.replace("_", " ") for key in more)], body)

    return table


def chosen(benchmarks: Benchmarks, test: str) -> list[dict[str, Any]]:
    """The benchmarks of a test, with what is in brackets in their names."""
    found = [one for one in benchmarks if one["name"].split("[")[0] in test.split()]
    return [one | {"params_told": one["name"].partition("[")[2].removesuffix("]")} for one in found]


def time(one: Mapping[str, Any]) -> str:
    """The median, in ms, to three figures."""
    return told(1e3 * one["stats"]["median"])


def told(value: float) -> str:
    """A number to three figures, and whole ones in full."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


PAIRED: dict[str, Callable[[Sequence[Mapping[str, Any]]], str]] = {
    "paired": pairs,
    "latent": pairs,
    "backbones": backbones,
}
TABLES: dict[str, Callable[[Benchmarks], str]] = {
    "steps": steps,
    "inference": plain("test_sampling test_encoding"),
    "networks": plain("test_network", "parameters"),
    "data": plain("test_a_batch", "microseconds_an_image"),
    "features": plain("test_features"),
    "start": plain("test_start test_importing_torch"),
}

if __name__ == "__main__":
    main()
