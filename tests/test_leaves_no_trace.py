"""Called from a user's own process, zoo leaves what belongs to the whole process as it was."""

from __future__ import annotations

import gc
import json
import os
import random
import signal
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from conftest import TINY, python

HERE = Path(__file__)
DONE = {
    "build": "zoo.build('tiny.yaml', device=device)",
    "train": "zoo.train(zoo.build('tiny.yaml', device=device))",
    "load": "zoo.load(run, device=device)",
}
CHANGING = "import gc, torch; torch.backends.cudnn.deterministic = True; torch.rand(1); gc.freeze()"
"""By which it is seen that what changes is noticed."""


def flags(module: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every plain setting of a package of torch's, of the modules in it, and of what functions there tell."""
    for attribute in sorted({*dir(module), *dir(type(module))}):
        value = getattr(module, attribute, None)
        if isinstance(value, ModuleType) and value is not module and value.__name__.startswith(f"{name}."):
            yield from flags(value, value.__name__)
        elif attribute.endswith("_enabled") and not attribute.startswith(("set_", "_")) and callable(value):
            yield f"{name}.{attribute}", value()
        elif not attribute.startswith("__") and isinstance(value, bool | int | float | str):
            yield f"{name}.{attribute}", value


def process_state() -> dict[str, Any]:
    import numpy as np
    import torch

    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    products = torch.backends.cuda.matmul
    return {
        **dict(flags(torch.backends, "torch.backends")),
        "torch.backends.cuda.matmul": (products.allow_tf32, products.allow_fp16_reduced_precision_reduction),
        "random numbers of torch": [state.tolist() for state in (torch.get_rng_state(), *cuda)],
        "random numbers of random": random.getstate(),
        "random numbers of numpy": [*map(list, np.random.get_state()[1:2]), *np.random.get_state()[2:]],
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_anomaly_enabled()),
        "defaults": (torch.get_default_dtype(), torch.get_default_device()),
        "determinism": (torch.are_deterministic_algorithms_enabled(), torch.get_deterministic_debug_mode()),
        "matrix products": torch.get_float32_matmul_precision(),
        "autocast": [(torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in ("cpu", "cuda")],
        "waits": torch.cuda.get_sync_debug_mode() if torch.cuda.is_available() else None,
        "the collector": (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count(), gc.callbacks),
        "environment": dict(os.environ),
        "filters of warnings": warnings.filters,
        "signals": [signal.getsignal(number) for number in signal.valid_signals()],
        "streams": (sys.stdout, sys.stderr, sys.excepthook, sys.displayhook),
        "places": (os.getcwd(), sys.path),
        "recursion": sys.getrecursionlimit(),
    }


def changed(do: str, **given: str) -> list[str]:
    """Names what running some code changes."""
    import zoo

    zoo.train  # noqa: B018 - imported before, for what a library's import leaves is its own
    import torchvision  # noqa: F401 - which imports the compiler

    before = {name: repr(value) for name, value in process_state().items()}
    exec(do, {"zoo": zoo, **given})
    after = {name: repr(value) for name, value in process_state().items()}
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_nothing_of_the_process_is_changed(device: str, here: Path, finished: Path) -> None:
    if device == "cuda":
        pytest.importorskip("torch")
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a GPU")
    (here / "tiny.yaml").write_text(TINY)
    given = {"device": device, "run": str(finished)}
    outcome = python(HERE, json.dumps([*DONE.values(), CHANGING]), json.dumps(given), cwd=here)
    assert outcome.code == 0, outcome.err
    *nothing, something = json.loads(outcome.out.splitlines()[-1])
    assert dict(zip(DONE, nothing, strict=True)) == {"build": [], "train": [], "load": []}
    assert something == ["random numbers of torch", "the collector", "torch.backends.cudnn.deterministic"]


def test_on_a_gpu_a_model_computes_the_same_each_time_and_the_process_goes_on_as_it_was() -> None:
    import torch

    from zoo.machine.device import repeatable

    for before in (False, True):
        torch.backends.cudnn.deterministic = before
        with repeatable(torch.device("cuda")):
            assert torch.backends.cudnn.deterministic
        assert torch.backends.cudnn.deterministic == before
    torch.backends.cudnn.deterministic = False
    with repeatable(torch.device("cpu")):
        assert not torch.backends.cudnn.deterministic


if __name__ == "__main__":
    print(json.dumps([changed(do, **json.loads(sys.argv[2])) for do in json.loads(sys.argv[1])]))
