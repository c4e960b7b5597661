"""Imports modules in a process of their own and tells what that did: ``python -m zoo.testing.child``.

Arguments: ``entry`` or ``targets``, then ``MODULE`` or ``MODULE=FILE`` each. Prints one JSON object a module.
"""

from __future__ import annotations

import io
import json
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from importlib import util as importlib_util
from typing import Any

import zoo.api  # noqa: F401 - what every plugin imports is not counted to any
from zoo.testing.traces import changed, taken

FOREIGN = ("os.environ", "the warnings' filters")
"""Torch and other libraries change these too: where they are imported, a plugin cannot be blamed for it."""


def report(module: str) -> dict[str, Any]:
    """Imports a module and reports what that did."""
    before, output, error = taken(), io.StringIO(), ""
    start = time.perf_counter()
    try:
        with redirect_stdout(output), redirect_stderr(output):
            _import(module)
    except BaseException as caught:  # noqa: BLE001 - a plugin may call sys.exit, or raise anything
        error = f"{type(caught).__name__}: {caught}"
    torch = "torch" in sys.modules
    return {
        "module": module.partition("=")[0],
        "seconds": time.perf_counter() - start,
        "torch": torch,
        "printed": output.getvalue()[:200],
        "changed": changed(before, FOREIGN if torch else ()),
        "error": error,
    }


def _import(module: str) -> None:
    name, _, file = module.partition("=")
    spec = importlib_util.spec_from_file_location(name, file) if file else None
    if spec is None or spec.loader is None:
        import_module(name)
        return
    sys.modules[name] = importlib_util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])


def main(what: str, *modules: str) -> None:
    """Prints what importing each module did."""
    if what == "targets":
        for name in ("torch", "numpy.random"):
            import_module(name)
        for module in modules:
            report(module.partition("=")[0].rpartition(".")[0] or "zoo")  # its package, which is not its own
    for module in modules:
        print(json.dumps(report(module)))


if __name__ == "__main__":
    main(*sys.argv[1:])
