"""Every computation of every bundled recipe, tiny, as an ONNX graph: ``python tests/sweep_onnx.py [NAMES]``.

It prints how far each is from the model by onnxruntime and, if all are tried and none failed, writes the operators of
which they are made to ``tests/golden/onnx-operators.txt``, by which ``tests/plugins/test_export.py`` knows what was
tried. 8 minutes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from plugins.test_export import OPERATORS, by_onnxruntime, names, of, operators
from zoo_export.traced import Named, traced


def main(wanted: Iterable[str]) -> int:
    """1 if one failed."""
    found, failed = set[str](), 0
    for name in wanted or names():
        for _, one in of(name):
            module = Named(one)
            try:
                found |= operators(traced(module))
                with TemporaryDirectory() as folder:
                    told = f"{by_onnxruntime(module, Path(folder)):.1e}"
            except ValueError as error:
                told, failed = str(error), failed + 1
            print(name, one.name, told, flush=True)
    if not wanted and not failed:
        OPERATORS.write_text("".join(f"{operator}\n" for operator in sorted(found)))
    return int(bool(failed))


if __name__ == "__main__":
    torch.set_num_threads(1)
    raise SystemExit(main(sys.argv[1:]))
