"""The command line: a thin layer over the library. Torch is imported by the commands that need it."""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
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
        return _fail(arguments, _said(error), error.exit_code)
    except KeyboardInterrupt:
        print("zoo: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the exit flush stays silent
        return 0
    except Exception as error:  # a fault of ours or of a plugin's: a sentence all the same
        if os.environ.get("ZOO_DEBUG"):
            raise
        return _fail(arguments, _unforeseen(error), 1)


def _fail(arguments: argparse.Namespace, sentence: str, code: int) -> int:
    print(sentence, file=sys.stderr)
    if arguments.json:
        print(json.dumps({"error": sentence}))
    return code


def _said(error: ZooError) -> str:
    return str(error) if getattr(error, "problems", ()) else f"zoo: error: {error}"


def _unforeseen(error: Exception) -> str:
    """What was raised and where, in a line: the file tells whose fault it is."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    first = (str(error).splitlines() or [""])[0]
    return f"zoo: error: {type(error).__name__}{where}: {first} (ZOO_DEBUG=1 shows the whole traceback)"
