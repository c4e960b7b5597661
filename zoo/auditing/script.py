"""Runs a script as it is, under audit."""

from __future__ import annotations

import runpy
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from zoo.auditing.report import Found
from zoo.auditing.watching import audit
from zoo.errors import RequestError


def audit_script(script: str, arguments: Sequence[str] = (), steps: int | None = 20, module: bool = False) -> Found:
    """Runs ``python SCRIPT ARGUMENTS`` (``python -m SCRIPT ...`` with ``module``) in this process, and stops it once an
    optimiser has stepped so often.

    Returns:
        What was found. If the script raised an exception, its traceback is on stderr and a note says so.

    Raises:
        zoo.errors.RequestError: if there is no such file.
    """
    if not module and not Path(script).is_file():
        raise RequestError(f"there is no script '{script}'")
    raised = ""
    with audit(steps) as found, _started_as(script, arguments, module):
        try:
            if module:
                runpy.run_module(script, run_name="__main__", alter_sys=True)
            else:
                runpy.run_path(script, run_name="__main__")
        except SystemExit as left:
            raised = f"the script left with {left.code}" if left.code else ""
        except Exception as error:  # noqa: BLE001 - whatever the script raises is told
            traceback.print_exc()
            raised = f"the script raised {type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    if raised:
        found.notes.append(raised)
    return found


@contextmanager
def _started_as(script: str, arguments: Sequence[str], module: bool) -> Iterator[None]:
    argv, path = sys.argv, sys.path[:]
    sys.argv = [script, *arguments]
    sys.path.insert(0, str(Path.cwd() if module else Path(script).resolve().parent))
    try:
        yield
    finally:
        sys.argv, sys.path[:] = argv, path
