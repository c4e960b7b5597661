"""Ranks that diverge are found on every rank; ranks that do not give no alarm."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def test_ranks_that_diverge_are_told(tmp_path: Path) -> None:
    command = [sys.executable, str(HERE / "diverging.py")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]),
    }
    ranks = [
        subprocess.Popen(
            [*command, str(rank), str(tmp_path / "store")], stdout=subprocess.PIPE, text=True, env=environment
        )
        for rank in range(2)
    ]
    for rank in ranks:
        out, _ = rank.communicate(timeout=120)
        told = json.loads(out.splitlines()[-1])
        assert told == {
            "nothing_wrapped True": ["ranks diverge"],
            "nothing_wrapped False": [],
            "critic_not_averaged True": ["ranks diverge"],
            "critic_not_averaged False": [],
            "started_apart True": ["ranks diverge"],
            "started_apart False": [],
        }
