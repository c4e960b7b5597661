"""What is installed: plugins found and isolated, names resolved, options known without importing torch."""

from zoo.registry.discovery import FIRST_PARTY, LOCAL, Plugin
from zoo.registry.entries import Entry, RecipeEntry
from zoo.registry.names import AmbiguousName, UnknownName
from zoo.registry.options import OptionProblem, check_options, to_arguments
from zoo.registry.registry import Registry, clear_cache, load_registry
from zoo.registry.signature import REQUIRED, Option, Signature, TargetError

__all__ = [
    "FIRST_PARTY",
    "LOCAL",
    "REQUIRED",
    "AmbiguousName",
    "Entry",
    "Option",
    "OptionProblem",
    "Plugin",
    "RecipeEntry",
    "Registry",
    "Signature",
    "TargetError",
    "UnknownName",
    "check_options",
    "clear_cache",
    "load_registry",
    "to_arguments",
]
