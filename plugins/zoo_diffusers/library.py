"""The library itself, imported when a model is made."""

from __future__ import annotations

import inspect
from types import ModuleType


def diffusers() -> ModuleType:
    """The library.

    Raises:
        ValueError: it is not installed.
    """
    try:
        import diffusers as library
    except ImportError as error:
        raise ValueError(f"needs diffusers ({error}): pip install 'generative-zoo[diffusers]'") from error
    return library


def keys_of(family: str) -> dict[str, inspect.Parameter]:
    """The keys of a family's config."""
    parameters = dict(inspect.signature(getattr(diffusers(), family).__init__).parameters)
    parameters.pop("self", None)
    return parameters
