"""What happens when a script goes backward: which loss, what it depends on, whom it gives a gradient."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from zoo.auditing.flow import Cut, Flow, Info, tensors
from zoo.auditing.ledger import Ledger
from zoo.auditing.networks import Network, Networks
from zoo.auditing.places import Place, argument, assigned_at, place
from zoo.auditing.record import Loss, Record


class Backward:
    """Stands around ``torch.autograd.backward`` and ``torch.autograd.grad``."""

    def __init__(self, record: Record, networks: Networks, flow: Flow, tick: Callable[[], int]) -> None:
        self.record, self.networks, self.flow, self.tick = record, networks, flow, tick
        self.ledger = Ledger()
        self.depth = 0
        self.call = 0
        self.depended: set[int] = set()
        """The bits of every loss that went backward."""
        self._got: set[int] = set()
        self._now: tuple[Loss, int, int] | None = None
        self._gave: dict[Network, list[Tensor]] = {}
        self._hooks: dict[int, Any] = {}
        self._hooked: dict[Network, int] = {}
        self._sums: list[tuple[Network, list[Tensor], list[Tensor]]] = []

    def close(self) -> None:
        """Takes its hooks from the parameters."""
        for handle in self._hooks.values():
            handle.remove()

    def backward(self, original: Any, roots: Any, *args: Any, **kwargs: Any) -> Any:
        """``backward``: its gradients are added to the parameters'."""
        if self.depth:
            return original(roots, *args, **kwargs)
        with self.flow.silent():
            loss, _, _ = self._begin(list(tensors((roots,))), "backward")
        self._now = (loss, self.call, self.tick())
        try:
            return self._run(loss, original, roots, *args, **kwargs)
        finally:
            self._now = None
            with self.flow.silent():
                self._given(loss)

    def grad(self, original: Any, outputs: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """``autograd.grad``: its gradients are returned."""
        if self.depth or "_functorch" in sys._getframe(2).f_code.co_filename:  # torch.func asks, of tensors of its own
            return original(outputs, inputs, *args, **kwargs)
        with self.flow.silent():
            loss, bits, live = self._begin(list(tensors((outputs,))), "grad")
        wanted = list(tensors((inputs,)))
        result = self._run(loss, original, outputs, inputs, *args, **kwargs)
        given = result if isinstance(result, tuple) else (result,)
        with self.flow.silent():
            self._taken(loss, wanted, given)
            self._follow(bits, live, given)
        return result

    def _taken(self, loss: Loss, wanted: list[Tensor], given: tuple[Any, ...]) -> None:
        """``autograd.grad`` gave gradients of parameters, which the script may write into ``.grad``."""
        clock = self.tick()
        for tensor, gradient in zip(wanted, given, strict=False):
            if gradient is not None and (network := self.networks.of(tensor)) is not None:
                self._got.add(id(tensor))
                self.ledger.take(tensor, gradient, loss, self.call, clock)
                self._gave.setdefault(network, []).append(gradient.detach().any())
        self._given(loss)

    def _follow(self, bits: int, live: int, given: tuple[Any, ...]) -> None:
        """What a gradient comes from: all that the loss comes from; of its own gradient only what torch kept."""
        for gradient in given:
            if isinstance(gradient, Tensor) and bits:
                kept = gradient.requires_grad
                cut = None if kept else Cut("taken by autograd.grad without create_graph=True", place())
                self.flow.keep(gradient, Info(bits, live if kept else 0, cut))

    def _begin(self, roots: list[Tensor], kind: str) -> tuple[Loss, int, int]:
        """The loss that goes backward, the bits of all that it comes from, and of what its gradient reaches."""
        self.call += 1
        infos = [info for root in roots if (info := self.flow.info(root)) is not None]
        loss = self._loss(kind, next((info.place for info in infos if info.place), None))
        loss.calls += 1
        if kind == "backward":
            for term in dict.fromkeys(term for info in infos for term in info.dead):
                loss.dead[term] += 1
        bits = live = 0
        for info in infos:
            bits, live = bits | info.bits, live | info.live
        self.depended.add(bits)
        loss.depends.update({network for network, _ in self.networks.decode(bits)})
        loss.passes.update({network for network, _ in self.networks.decode(live)})
        for network, epoch in self.networks.decode(live):
            if epoch < network.epoch and network.written is not None:
                where, number = loss.frozen_past.get(network, (network.written, 0))
                loss.frozen_past[network] = (where, number + 1)
        if kind == "backward" and not all(bool(torch.isfinite(root.detach()).all()) for root in roots):
            loss.not_finite.append((loss.calls, self._first_not_finite()))
        self._hook()
        return loss, bits, live

    def _loss(self, kind: str, made: Place | None) -> Loss:
        here = place()
        called = "backward" in here.text or "grad" in here.text
        shown = here if called or made is None else made
        key = (here.file, here.line, kind, made and (made.file, made.line))
        unmade = (here.file, here.line, kind, None)
        if made and unmade in self.record.losses:  # its networks were not known yet
            self.record.losses[key] = self.record.losses.pop(unmade)
        if (known := self.record.losses.get(key)) is None:
            name = argument(here.text) if called else ""
            if made and (not name or not name.isidentifier() or name in ("loss", "total", "x", "value")):
                name = assigned_at(made) or name
            if any(known.name == name and known.kind == kind for known in self.record.losses.values()):
                name = f"{name} at {(made or shown).line}"
            known = self.record.losses[key] = Loss(name or "loss", shown, kind)
        return known

    def _hook(self) -> None:
        for network in self.networks.all:
            if len(network.parameters) == self._hooked.get(network):
                continue
            for parameter in network.parameters:
                if parameter.requires_grad and id(parameter) not in self._hooks and parameter.is_leaf:
                    self._hooked[network] = self._hooked.get(network, 0) + 1
                    self._hooks[id(parameter)] = parameter.register_hook(self._receiver(parameter, network))  # type: ignore[no-untyped-call]

    def _receiver(self, parameter: Tensor, network: Network) -> Callable[[Tensor], None]:
        def receive(gradient: Tensor) -> None:
            if self._now is not None:
                loss, call, clock = self._now
                owner = self.networks.of(parameter) or network
                self._got.add(id(parameter))
                with torch.no_grad():
                    self.ledger.receive(parameter, gradient, loss, call, clock)
                    self._gave.setdefault(owner, []).append(self.ledger.had(parameter)[-1].norm)

        return receive

    def _run(self, loss: Loss, original: Any, *args: Any, **kwargs: Any) -> Any:
        self.depth += 1
        try:
            with self.flow.silent():
                return original(*args, **kwargs)
        except RuntimeError as error:
            if "modified by an inplace operation" in str(error):
                loss.refused = str(error).split(". Hint")[0]
            raise
        finally:
            self.depth -= 1

    def _given(self, loss: Loss) -> None:
        for network, some in self._gave.items():
            loss.gives[network] += 1
            loss.zero[network] += not any(map(bool, some))
        self._gave = {}

    # -- numbers that are not finite -----------------------------------------------------------------------

    def passed(self, network: Network, inputs: Any, outputs: list[Tensor]) -> None:
        """A network was called: the sums of what went in and what came out are kept until the next step."""
        if len(self._sums) < 256:
            ins = [t for t in tensors(inputs, 2) if t.dtype.is_floating_point]
            self._sums.append((network, _sums(ins), _sums(outputs)))

    def received(self, parameter: Tensor) -> bool:
        """Whether any loss ever gave a parameter a gradient."""
        return id(parameter) in self._got

    def forget(self) -> None:
        """A step was made: what was computed before is no longer asked for."""
        self._sums.clear()

    def _first_not_finite(self) -> str:
        for network in self.networks.all:
            if not all(bool(torch.isfinite(p.detach()).all()) for p in network.parameters):
                return f"the weights of {network.name} are not finite any more"
        for network, ins, outs in self._sums:
            if not all(bool(torch.isfinite(each)) for each in ins):
                return f"what is given to {network.name} is not finite already"
            if not all(bool(torch.isfinite(each)) for each in outs):
                return f"{network.name} is the first network whose output is not finite"
        return "every network's output is finite: it arises in the loss itself"


def _sums(values: list[Tensor]) -> list[Tensor]:
    with torch.no_grad():
        return [value.detach().sum(dtype=torch.float32) for value in values if value.numel()]
