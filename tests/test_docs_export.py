"""``docs/export.md`` works as it stands: its commands and blocks in order, the hub being a server on this machine."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from conftest import Run, python
from helpers.hub import hub

PAGE = (Path(__file__).parent.parent / "docs" / "export.md").read_text()
BLOCKS = re.findall(r"^```(console|python)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_the_page_works_as_it_stands(here: Path, run_zoo: Run) -> None:
    with hub() as there:
        for kind, text in BLOCKS:
            if "ORG/NAME" in text:
                code = ("-c", text) if kind == "python" else ("-m", *shlex.split(text.splitlines()[0])[1:])
                done = python(*code, env=there.env(here))
                assert done.code == 0, done.err
            elif kind == "python":
                exec(compile(text, "export.md", "exec"), {})
                continue
            else:
                done = run_zoo(*shlex.split(text.splitlines()[0])[2:])
            if kind == "console":
                assert done.code == 0, done.err
                shown = re.escape("\n".join(text.splitlines()[1:])).replace(r"\.\.\.", ".*")
                assert re.fullmatch(shown, f"{done.err.strip()}\n{done.out.strip()}".strip(), re.DOTALL), done
    assert there.models["ORG/NAME"]
