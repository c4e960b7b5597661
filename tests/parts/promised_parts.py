"""A plugin of parts that promise shapes and keep no promise: contracts are read before anything is made of them.

It does without torch, so that a test can tell whether what it asks for does (``--plugin promised_parts.py``).
"""

from __future__ import annotations

from zoo import api


class Part:
    def __init__(self, size: int) -> None:
        raise AssertionError(f"nothing is made, of any size ({size}), while contracts are read")


@api.hookimpl
def zoo_components() -> list[api.Component]:
    promised = {
        ("decoder", "wide"): "B 100 -> B C H W",
        ("decoder", "odd"): "B depth -> B C H W",
        ("encoder", "three"): "B C H W -> B 3",
        ("critic", "pair"): "B C H W, B latent -> B",
    }
    return [
        api.Component(kind, name, f"{__name__}:Part", "promises", contract)
        for (kind, name), contract in promised.items()
    ]
