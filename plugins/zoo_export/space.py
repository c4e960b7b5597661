"""The exporter ``space``: a page to play with, for Hugging Face Spaces."""

from __future__ import annotations

import json
from pathlib import Path

from zoo import api

OWN = "generative-zoo"
APP = '''"""{name}, to play with: what ``zoo explore .`` shows."""

from zoo.cli import main

raise SystemExit(main(["explore", ".", "--host", "0.0.0.0"]))
'''


def export(run: api.ExportedRun, folder: Path, *, title: str = "") -> list[str]:
    """Writes a folder that is a Space as it stands: the model, ``app.py``, what is to be installed, and its header.

    Args:
        run: what is exported.
        folder: empty; beside the run's own files ``app.py``, ``requirements.txt`` and ``README.md`` are written there.
        title: of the page among others; the recipe's name where empty.

    Returns:
        what is to be looked at before it is made public.

    Raises:
        ValueError: if the page would have nothing to show.
    """
    first, *others = run.fields
    drawn = {name for name in others if run.fields[name]["kind"] == "label"}
    samples = "sample" in run.takes and drawn.issuperset(run.takes["sample"])
    reads = run.fields[first]["kind"] == "image" and [*run.takes.get("reconstruction", ())] == [first]
    if not samples and not reads:
        raise ValueError(
            f"what '{run.name}' makes asks for more than codes, a class or an image, so a page of it has nothing to "
            "show; --to hub writes a folder for the hub, whose card says how it is called"
        )
    run.write(folder)
    needs = {f"{part['distribution']}=={part['version']}" for part in run.parts if part["distribution"] != "local"}
    own = {need.replace(f"{OWN}==", f"{OWN}[explore]==") for need in needs}
    (folder / "app.py").write_text(APP.format(name=run.name))
    (folder / "requirements.txt").write_text("".join(f"{need}\n" for need in sorted(own)))
    front = {"title": title or run.name, "sdk": "gradio", "python_version": "3.12", "app_file": "app.py"}
    header = "".join(f"{key}: {json.dumps(value)}\n" for key, value in front.items())
    text = f"Made by the recipe `{run.name}` of {OWN}; `zoo explore .` shows the same page here."
    (folder / "README.md").write_text(f"---\n{header}---\n\n# {front['title']}\n\n{text}\n")
    said = [f"recipe.yaml says {place}, a place of this machine" for place in run.places]
    local = sorted({part["name"] for part in run.parts if part["distribution"] == "local"})
    return [*said, *([f"{', '.join(local)}: of a plugin file, which a Space has not"] if local else [])]
