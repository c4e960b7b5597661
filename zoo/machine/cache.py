"""Where things are kept that can be made again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(name: str) -> Path:
    """``$ZOO_CACHE/NAME``; else ``zoo/NAME`` in ``$XDG_CACHE_HOME``, else in ``~/.cache``. It need not be there yet.

    Args:
        name: of what is kept, such as ``data``.

    Raises:
        RuntimeError: if there is no home directory to keep it in.
    """
    if chosen := os.environ.get("ZOO_CACHE"):
        return Path(chosen).expanduser().absolute() / name
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().absolute() / "zoo" / name
