"""The command line: a thin layer over the library. Torch is imported by the commands that need it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from zoo.cli.parser import make_parser
from zoo.errors import ZooError

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns 0 done, 1 the work failed, 2 the request is wrong, 130 interrupted."""
    arguments = make_parser().parse_args(argv)
    try:
        return int(arguments.run(arguments) or 0)
    except ZooError as error:
        if os.environ.get("ZOO_DEBUG"):
            raise
        print(_said(error), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("zoo: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the exit flush stays silent
        return 0


def _said(error: ZooError) -> str:
    return str(error) if getattr(error, "problems", ()) else f"zoo: error: {error}"
