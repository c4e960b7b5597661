"""The bare loops that an expert writes by hand, over the networks of a model: what the engine is measured against.

``Naive`` is what published code does: float32, each row with forwards and a backward of its own, an update after
each, Adam in a loop. ``Joint`` is the tuned one: each network called once on each input, every row's gradient from
that one graph, fused Adam, channels last, autocast. ``Captured`` is the joint step as one CUDA graph.
"""

from .captured import Captured
from .joint import Joint
from .naive import Naive

__all__ = ["Captured", "Joint", "Naive"]
