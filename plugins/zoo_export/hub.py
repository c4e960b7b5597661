"""The exporter ``hub``: what ``zoo.load`` reads, and a model card."""

from __future__ import annotations

from pathlib import Path

from zoo import api
from zoo_export.card import card


def export(
    run: api.ExportedRun, folder: Path, *, license: str = "", data_license: str = "", about: str = ""
) -> list[str]:
    """Writes a folder for the Hugging Face hub: weights, sealed recipe, who provides its parts, scores, a model card.

    Args:
        run: what is exported.
        folder: empty; ``model.safetensors``, ``recipe.yaml``, ``plugins.json`` and ``README.md`` are written there, and
            what the run has of ``scores.json``, ``data.json`` and pictures.
        license: of the weights, by the hub's names, such as cc-by-4.0; the card says that there is none where empty.
        data_license: what the card says of the licence of the training images.
        about: what the card says of the model in the first place.

    Returns:
        what is to be looked at before it is made public.
    """
    run.write(folder)
    for name, content in run.pictures.items():
        (folder / name).write_bytes(content)
    (folder / "README.md").write_text(card(run, license, data_license, about))
    said = [f"recipe.yaml says {place}, a place of this machine" for place in run.places]
    if not license:
        said.append("no licence is named, so nobody may use it: --set license=cc-by-4.0, or edit README.md")
    local = sorted({part["name"] for part in run.parts if part["distribution"] == "local"})
    if local:
        said.append(f"{', '.join(local)}: of a plugin file, which is not among the files; who loads it needs it too")
    return said
