"""``python -m zoo.audit --steps 50 --to audit.html -- train.py ...``: the command ``zoo audit`` by another name.

The name ``zoo.audit`` is a function's. Whoever imports this module by that name is given the function.
"""

import sys

from zoo.auditing import audit

if __name__ == "__main__":
    from zoo.cli import main

    sys.exit(main(["audit", *sys.argv[1:]]))
sys.modules[__name__] = audit  # type: ignore[assignment]
