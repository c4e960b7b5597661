"""The registry of what is installed: plugins are isolated, names resolved, options known without importing torch."""

from typing import TYPE_CHECKING, Any

from zoo.registry.discovery import FIRST_PARTY, LOCAL, Plugin
from zoo.registry.entries import Entry, RecipeEntry
from zoo.registry.names import AmbiguousName, UnknownName
from zoo.registry.registry import Registry, clear_cache, load_registry

if TYPE_CHECKING:
    from zoo.registry.options import OptionProblem, check_options, to_arguments
    from zoo.registry.signature import REQUIRED, Option, Signature, TargetError

__all__ = ["FIRST_PARTY", "LOCAL", "Entry", "Plugin", "RecipeEntry", "Registry", "clear_cache", "load_registry"]
__all__ += ["AmbiguousName", "UnknownName"]
__all__ += ["REQUIRED", "Option", "OptionProblem", "Signature", "TargetError", "check_options", "to_arguments"]


def __getattr__(name: str) -> Any:
    """Imports on first use what listing does not need: it saves `zoo list` 10 ms."""
    if name not in __all__:
        raise AttributeError(f"module 'zoo.registry' has no attribute {name!r}")
    from zoo.registry import options, signature

    return getattr(signature, name, None) or getattr(options, name)
