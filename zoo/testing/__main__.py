"""``python -m zoo.testing NAME``: the checks of a plugin, without pytest."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from zoo.columns import table
from zoo.testing import ContractError, checks


def main(plugin: str) -> int:
    """Runs every check of an installed distribution, or of a plugin's ``.py`` file, prints a table; 1 if one failed.

    What several checks fail by is told once.
    """
    all_of, broken, told = Counter[str](), Counter[str](), dict[str, list[str]]()
    for check in checks(Path(plugin) if plugin.endswith(".py") else plugin):
        all_of[check.kind] += 1
        try:
            check.run()
        except ContractError as error:
            broken[check.kind] += 1
            if told.setdefault(error.reason, [check.id])[0] == check.id:
                print(f"{check.id}: {error}\n")
            else:
                told[error.reason].append(check.name)
    for first, *others in told.values():
        if others:
            print(f"{first}: for the same cause {len(others)} more checks fail: {', '.join(others)}\n")
    rows = [[kind, str(count - broken[kind]), str(broken[kind])] for kind, count in all_of.items()]
    print(table([["kind", "kept", "broken"], *rows]))
    return 1 if broken else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m zoo.testing DISTRIBUTION|FILE.py")
    sys.exit(main(sys.argv[1]))
