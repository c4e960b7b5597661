"""Contract tests of plugins in one line: what every part on the shelf promises, checked.

    # tests/test_contract.py of a package
    from zoo.testing import contract_tests

    test_contract = contract_tests("my-zoo-plugin")

or, without pytest, ``python -m zoo.testing my-zoo-plugin``. docs/plugins.md has the list of checks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo.testing.core import Check, ContractError

if TYPE_CHECKING:
    from zoo.testing.collect import checks, contract_tests

__all__ = ["Check", "ContractError", "checks", "contract_tests"]


def __getattr__(name: str) -> Any:
    """Imports torch on first use: ``zoo.testing.child`` imports plugins without it."""
    if name not in __all__:
        raise AttributeError(f"module 'zoo.testing' has no attribute {name!r}")
    from zoo.testing import collect

    return getattr(collect, name)
