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
    from zoo.testing.collect import checks
    from zoo.testing.tests import contract_tests

__all__ = ["Check", "ContractError", "checks", "contract_tests"]


def __getattr__(name: str) -> Any:
    """What needs torch, or pytest, comes on first use."""
    if name == "checks":
        from zoo.testing.collect import checks

        return checks
    if name == "contract_tests":
        from zoo.testing.tests import contract_tests

        return contract_tests
    raise AttributeError(f"module 'zoo.testing' has no attribute {name!r}")
