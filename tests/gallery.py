"""Writes docs/gallery: a page and pictures of each system in docs/gallery.yaml, trained as that file says.

    python tests/gallery.py [NAME ...] [--runs DIR]

A run that is there is not trained again, one that was stopped goes on. A page's words are the header of its recipe;
its table is ``zoo explain``'s, its scores are the run's.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping
from itertools import dropwhile, groupby, takewhile
from pathlib import Path
from typing import Any

import yaml
from benchmarks.report import rows
from PIL import Image

from zoo.recipe import load_recipe
from zoo.recipe.routes import routes
from zoo.registry import RecipeEntry, load_registry

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "gallery"
KEYS = ("Loss", "When", "Paper")
"""What a recipe's header says, each on a line of its own, below the first, which is its title."""
COLOURS = 128
"""Of a picture's palette."""


def main() -> None:
    """Train what is not there yet, and write the pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "gallery")
    args = parser.parse_args()
    planned = yaml.safe_load((ROOT / "docs" / "gallery.yaml").read_text())
    PAGES.mkdir(exist_ok=True)
    for name in args.names or planned:
        command = ["build", name, *(word for said in overrides(planned[name]) for word in ("--set", said))]
        run = args.runs / name
        subprocess.run([sys.executable, "-m", "zoo", *command, "--out", str(run)], check=True)
        pictures = {kind: kept(run / f"{kind}.png", f"{name}-{kind}.png") for kind in ("samples", "reconstructions")}
        there = {kind: file for kind, file in pictures.items() if file}
        scores = json.loads((run / "scores.json").read_text()) if (run / "scores.json").exists() else {}
        (PAGES / f"{name}.md").write_text(page(name, shlex.join(["zoo", *command]), scores, there))
    (PAGES / "README.md").write_text(index(name for name in planned if (PAGES / f"{name}.md").exists()))


def overrides(said: Mapping[str, Any]) -> list[str]:
    """``key=value`` of each, as the command line takes it."""
    lines = {
        key: yaml.safe_dump(value, default_flow_style=True, width=1000).splitlines() for key, value in said.items()
    }
    return [f"{key}={first}" for key, (first, *_) in lines.items()]


def kept(picture: Path, name: str) -> str:
    """The picture beside the pages, in few colours, of a square the upper half; no name if there is no picture."""
    if not picture.exists():
        return ""
    image = Image.open(picture).convert("RGB")
    tall = image.height // 2 - 2 if image.height == image.width else image.height
    image.crop((0, 0, image.width, tall)).quantize(COLOURS).save(PAGES / name, optimize=True)
    return name


def header(text: str) -> dict[str, str]:
    """The lines above a recipe: its title under ``""``, a key's text under it, what else there is under ``About``."""
    title, *lines = (line[2:] for line in takewhile(lambda line: line.startswith("#"), text.splitlines()))
    said, key = {"": title}, "About"
    for line in lines:
        head, colon, rest = line.partition(": ")
        key, words = (head, rest) if colon and head in KEYS else (key, line)
        said[key] = f"{said.get(key, '')} {words.strip()}".strip()
    return said


def page(name: str, command: str, scores: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """A system's page, in Markdown."""
    entry = found(name)
    text = entry.file.read_text()
    said = {key: f"**{key}.** {words}" for key, words in header(text).items()} | {"": f"# {header(text)['']}"}
    said["About"] = header(text).get("About", "")
    shown = "\n\n".join(f"![{kind} of {name}]({file})" for kind, file in pictures.items())
    body = "".join(dropwhile(lambda line: line.startswith("#"), text.splitlines(keepends=True)))
    table = rows(
        ("score", "value", "images"), ((key, number(one), one["protocol"]["n"]) for key, one in scores.items())
    )
    learns = f"```\n{routes(load_recipe(name))}\n```"
    parts = [said[""], shown, *(said.get(key, "") for key in ("About", *KEYS)), "## Who learns from what", learns]
    parts += ["## At this size", f"    {command}", table, f"## The recipe\n\n```yaml\n{body}```"]
    return "\n\n".join(part for part in parts if part) + "\n"


def found(name: str) -> RecipeEntry:
    """A bundled recipe."""
    entry = load_registry().find_recipe(name)
    if entry is None:
        raise SystemExit(f"docs/gallery.yaml: there is no recipe '{name}'")
    return entry


def number(score: Mapping[str, Any]) -> str:
    """A score as tables show it; a dash where it could not be had."""
    value = score.get("value")
    return "-" if value is None else f"{value:.4g}"


def index(names: Iterable[str]) -> str:
    """The page of pages: a table for each family."""
    entries = sorted((found(name) for name in names), key=lambda entry: entry.part.family)
    parts = [
        "# Gallery",
        "What trains on two cores: losses, pictures, scores. Made by `make gallery`.",
    ]
    for family, members in groupby(entries, key=lambda entry: entry.part.family):
        table = rows(("recipe", "what it is"), ((f"[{one.name}]({one.name}.md)", one.summary) for one in members))
        parts += [f"## {family}", table]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
