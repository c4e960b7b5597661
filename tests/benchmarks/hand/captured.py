"""The joint step as one CUDA graph, captured by hand: what is left when no operation is launched from Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from zoo.model.model import Model

from ..cases import Draw
from .joint import Joint

WARM_UP = 3
"""Steps on a side stream before the capture: cuDNN chooses, the allocator and Adam's states fill."""

Run = Callable[[], None]


class Graph:
    """A CUDA graph and the generator that it draws from."""

    def __init__(self, generator: torch.Generator) -> None:
        self._graph = torch.cuda.CUDAGraph()
        self._graph.register_generator_state(generator)

    def warm(self, run: Run) -> None:
        """Runs it on a side stream, as work before a capture has to be."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            run()
        torch.cuda.current_stream().wait_stream(side)

    def record(self, run: Run) -> None:
        """Records what it launches; nothing is computed."""
        with torch.cuda.graph(self._graph):
            run()

    def replay(self) -> None:
        """Launches it all."""
        self._graph.replay()


class Captured:
    """A replayed joint step: images are copied in, noise comes from a generator that the graph knows.

    Args:
        model: on a CUDA device; its networks are trained in place.
        name: the system.
        x: images of the shape, type and layout of every batch.
        dtype: what networks compute in under autocast; None for that of their parameters.
        draw: what noise is made by; it is captured too.
        graph: what records and replays, made for a generator.
    """

    def __init__(
        self,
        model: Model,
        name: str,
        x: Tensor,
        dtype: torch.dtype | None = None,
        draw: Draw | None = None,
        graph: Callable[[torch.Generator], Any] = Graph,
    ) -> None:
        self.x = x.clone()
        self.generator = torch.Generator(x.device).manual_seed(0)
        self.draw = draw or self._drawn
        self.joint = Joint(model, name, dtype, capturable=x.device.type == "cuda")
        self.losses: dict[str, Tensor] = {}
        self.graph = graph(self.generator)
        self.graph.warm(self._warm)
        self.graph.record(self._step)

    def step(self, x: Tensor) -> dict[str, Tensor]:
        """Every row's terms, overwritten by the next step; the networks have moved."""
        self.x.copy_(x, non_blocking=True)
        self.graph.replay()
        return self.losses

    def _warm(self) -> None:
        for _ in range(WARM_UP):
            self._step()

    def _step(self) -> None:
        self.losses = self.joint.step(self.x, self.draw)

    def _drawn(self, _: str, rows: int, columns: int) -> Tensor:
        return torch.randn(rows, columns, generator=self.generator, device=self.x.device, dtype=self.x.dtype)
