"""``zoo audit``: who really learns from what, for any training script of PyTorch's.

    with zoo.audit() as found:
        train()
    assert not found.problems, found.text()

The script runs as it is. Torch's hooks tell what it does: which loss goes backward, what it depends on, whom it gives
a gradient, who steps with that. Its random numbers and its results stay as they are, bit for bit.
"""

from zoo.auditing.problem import Problem
from zoo.auditing.report import Found
from zoo.auditing.watching import audit

__all__ = ["Found", "Problem", "audit"]
