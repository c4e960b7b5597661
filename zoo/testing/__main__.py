"""``python -m zoo.testing NAME``: the checks of a plugin, without pytest."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from zoo.columns import table
from zoo.testing import ContractError, checks


def main(plugin: str) -> int:
    """Runs every check and prints a table; returns 1 if one failed.

    Args:
        plugin: name of an installed distribution, or a plugin's ``.py`` file.
    """
    passed: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for check in checks(Path(plugin) if plugin.endswith(".py") else plugin):
        try:
            check.run()
            passed[check.kind] += 1
        except ContractError as error:
            failed[check.kind] += 1
            print(f"{check.id}: {error}\n")
    kinds = dict.fromkeys([*passed, *failed])
    print(table([["kind", "kept", "broken"], *([kind, str(passed[kind]), str(failed[kind])] for kind in kinds)]))
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m zoo.testing DISTRIBUTION|FILE.py")
    sys.exit(main(sys.argv[1]))
