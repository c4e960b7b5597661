"""``zoo bench``: what a step of a recipe takes on this machine, where it goes, and what would make it quicker."""

from zoo.bench.bench import bench
from zoo.bench.report import Bench

__all__ = ["Bench", "bench"]
