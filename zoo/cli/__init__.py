"""The command line: a thin layer over the library. Torch is imported by the commands that need it."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from zoo.cli.parser import make_parser, refuse_further, refuse_unknown
from zoo.cli.stopping import nobody_reads, tell
from zoo.columns import json_text
from zoo.errors import Interrupted, RequestError, ZooError, reason
from zoo.machine.process import own_process


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns 0 done, 1 the work failed, 2 the request is wrong, 130 interrupted."""
    argv, parser = sys.argv[1:] if argv is None else argv, make_parser()
    argv = ["--help"] if argv[:1] == ["help"] else argv
    try:
        refuse_unknown(argv, commands := parser.get_default("commands"))
        arguments, unknown = parser.parse_known_args(argv)
        refuse_further(unknown, commands.get(argv[0], parser) if argv else parser)
    except RequestError as error:
        print(f"zoo: error: {error}", file=sys.stderr)
        return error.exit_code
    with own_process(), ExitStack() as during:
        if arguments.json:
            during.enter_context(_stdout_for_the_document())
        if arguments.no_plugins:
            during.enter_context(_no_plugins())
        return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    try:
        code = int(arguments.run(arguments) or 0)
        print(end="", flush=True)  # so that a reader who left is noticed here
        return code
    except Interrupted as stopped:
        tell(f"stopped and saved: {stopped}; go on with the same command")
        return stopped.exit_code
    except ZooError as error:
        if os.environ.get("ZOO_DEBUG"):
            raise
        return _fail(
            arguments, str(error) if getattr(error, "problems", ()) else f"zoo: error: {error}", error.exit_code
        )
    except KeyboardInterrupt as stopped:  # it names the plugin that was running, if one was
        tell(" ".join(["zoo: interrupted", *map(str, stopped.args)]))
        return Interrupted.exit_code
    except BaseException as error:  # a fault of ours or of a plugin's, which may call sys.exit: a sentence all the same
        if isinstance(error, BrokenPipeError) and nobody_reads():
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the exit flush stays silent
            return 0
        if os.environ.get("ZOO_DEBUG") and isinstance(error, Exception):
            raise
        return _fail(arguments, _unforeseen(error), 1)


@contextmanager
def _stdout_for_the_document() -> Iterator[None]:
    """Inside, what anyone writes to file descriptor 1 goes to stderr: C libraries, child processes, plugins. Only
    ``sys.stdout`` still leads out. Where that is no file, as in tests, nothing can write past it and it stays."""
    stdout = sys.stdout
    try:
        stdout.flush()
        document = os.fdopen(os.dup(stdout.fileno()), "w", encoding=stdout.encoding, errors=stdout.errors)
        before = os.dup(1)
        os.dup2(2, 1)
    except (AttributeError, OSError, ValueError):
        yield
        return
    sys.stdout = document
    try:
        yield
    finally:
        sys.stdout = stdout
        os.dup2(before, 1)
        os.close(before)
        document.close()


@contextmanager
def _no_plugins() -> Iterator[None]:
    """``--no-plugins`` is an empty ``ZOO_PLUGINS``, for child processes too."""
    before = os.environ.get("ZOO_PLUGINS")
    os.environ["ZOO_PLUGINS"] = ""
    try:
        yield
    finally:
        del os.environ["ZOO_PLUGINS"]
        os.environ |= {} if before is None else {"ZOO_PLUGINS": before}


def _fail(arguments: argparse.Namespace, sentence: str, code: int) -> int:
    tell(sentence)
    if arguments.json:
        print(json_text({"error": sentence}))
    return code


def _unforeseen(error: BaseException) -> str:
    """Names in a line what was raised and where: the file tells whose fault it is. Damaged metadata tells its own."""
    from zoo.registry.discovery import damaged_metadata

    if isinstance(error, OSError) and error.errno is None and error.args:  # a sentence of who raised it
        return f"zoo: error: {error}"
    frame = traceback.extract_tb(error.__traceback__)[-1]
    what = reason(error) if isinstance(error, SystemExit) else type(error).__name__
    said = f"{what} at {frame.filename}:{frame.lineno}{'' if what == reason(error) else f': {reason(error)}'}"
    if "torch" in sys.modules:
        from zoo.machine.torch_private import out_of_memory, process_lost

        said = f"out of memory: {said}" if out_of_memory(error) else said
        said = f"another process of this build is gone; its own words say why: {said}" if process_lost(error) else said
    return f"zoo: error: {damaged_metadata(error) or f'{said} (ZOO_DEBUG=1 shows the whole traceback)'}"
