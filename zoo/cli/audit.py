"""``zoo audit``: who really learns from what, in any training script."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import redirect_stdout

from zoo.auditing.script import audit_script
from zoo.errors import RequestError


def audit(arguments: argparse.Namespace) -> int:
    """Runs a script, watches some steps of it, stops it and tells; 1 if there are problems or the script failed."""
    words = [arguments.script, *arguments.arguments]
    if words[0] == "--":
        words.pop(0)
    if not words or arguments.steps < 1:
        raise RequestError("zoo audit takes a script to run, and at least one step to watch: zoo audit train.py")
    with redirect_stdout(sys.stderr):  # what the script prints stays apart from what is found
        found = audit_script(words[0], words[1:], arguments.steps, arguments.module)
    if os.environ.get("RANK", "0") == "0":  # of several processes one tells
        if arguments.to:
            arguments.to.write_text(found.html(" ".join(words)), "utf-8")
        print(found.json() if arguments.json else found.text())
    failed = any(note.startswith("the script ") for note in found.notes)
    return int(bool(found.problems) or failed)
