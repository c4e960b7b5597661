"""A plugin of metrics that note what they are given, or cannot (``--plugin metric_parts.py``)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch

from zoo import api


class Noted:
    """Compares what is computed anew with what was computed before."""

    computes: ClassVar = {"sample": ("z",), "posterior": ("x",)}

    def __init__(self) -> None:
        self.equal, self.draws = [], []

    def update(self, x, z, sample, compute, draw) -> None:
        same = compute("sample", given={"z": z})
        both = compute("z", "sample")
        other = compute("sample", given={"z": -z})
        again = compute("z", draw=1)
        posterior = compute("posterior", given={"x": sample})
        own = compute("posterior")
        self.equal.append([torch.equal(same, sample), torch.equal(both[0], z), torch.equal(both[1], sample)])
        self.equal.append([not torch.equal(other, sample), not torch.equal(again, z)])
        self.equal.append([not torch.equal(posterior.mean, own.mean), len(posterior.mean) == len(x)])
        self.draws.append(float(draw.uniform(1)))

    def compute(self) -> float:
        return float(all(map(all, self.equal)) and len(set(self.draws)) == len(self.draws))

    def details(self):
        return {"draws": self.draws}


class Counted:
    """Counts."""

    protocol: ClassVar = {"hidden": None, "n_train": 0}

    def __init__(self, *, samples: int = 0, split: Literal["test", "train"] = "test") -> None:
        self.samples, self.split = samples, split
        self.real, self.made, self.seen, self.trained = 0, 0, [], 0

    def update(self, x, sample) -> None:
        self.real += len(x)
        self.more(sample)

    def more(self, sample) -> None:
        self.made += len(sample)
        self.seen.append(sample.sum().item())

    def training(self, x) -> None:
        self.trained += len(x)

    def compute(self) -> float:
        return float(self.real + 1000 * self.made)

    def details(self):
        return {"different": len(set(self.seen)) == len(self.seen), "trained": self.trained}


class Undeclared:
    """Asks for compute and does not say why."""

    def update(self, compute) -> None:
        pass

    def compute(self) -> float:
        return 0.0


class Astray(Counted):
    """Wants images that are not there."""

    split = "validation"

    def __init__(self) -> None:
        pass


class Failing:
    """Cannot be computed."""

    def update(self, x) -> None:
        pass

    def compute(self) -> float:
        raise ValueError("it needs more")


class Blind(Failing):
    """Cannot look either."""

    def update(self, x) -> None:  # noqa: ARG002
        raise ValueError("it cannot look at these")


@api.hookimpl
def zoo_components():
    return [
        api.Component("metric", name, f"{__name__}:{name.title()}", "a metric")
        for name in ("noted", "counted", "undeclared", "astray", "failing", "blind")
    ]
