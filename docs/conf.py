"""The site: ``make docs`` builds it into docs/_build/html; a broken link or any other warning fails the build."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent

project = "zoo"
author = "the zoo maintainers"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = "zoo"
exclude_patterns = ["_build"]
suppress_warnings = ["toc.no_title"]  # results/table.md is a table and no more, as zoo compare writes it
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_output_stderr = "remove"
nb_merge_streams = True
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_preserve_defaults = True


def known(_: Any) -> None:
    """Writes the page of known packages, from the catalogue."""
    packages = yaml.safe_load((HERE.parent / "registry.yaml").read_text())["packages"]
    lines = [
        "# Known plugin packages",
        "",
        "What [registry.yaml](../registry.yaml) names; an unknown name in a recipe is answered from it.",
        "",
    ]
    for name, package in packages.items():
        lines += [
            f"## {name}",
            "",
            package["summary"],
            "",
            f"    pip install {name}",
            "",
            "| kind | names |",
            "|---|---|",
        ]
        provided = {**package.get("provides", {}), "recipe": package.get("recipes", [])}
        lines += [f"| {kind} | {' '.join(f'`{each}`' for each in names)} |" for kind, names in provided.items()]
    (HERE / "known.md").write_text("\n".join(lines) + "\n")


def setup(app: Any) -> None:
    """Sphinx calls this."""
    app.connect("builder-inited", known)
