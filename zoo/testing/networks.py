"""Checks of networks and priors, and of the weights of whatever has some."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from typing import Any, ClassVar

import safetensors.torch
import torch
from torch import Tensor, nn

from zoo.check.shapes import PROMISED, given_by, named_tensors
from zoo.draws import Draw
from zoo.machine.torch_private import nothing_begun_on_meta
from zoo.model.kept import lay_innermost, unkept
from zoo.model.tensorfile import pieces
from zoo.recipe.contract import Contract, contract_of
from zoo.recipe.data_fields import COUNTED, Sizes
from zoo.recipe.dimensions import crossed
from zoo.testing import arrays
from zoo.testing.arrays import CPU, GivesTensors, close, equal, finite, learners, missed, sides, total
from zoo.testing.core import Component, ContractError, require
from zoo.types import CriticOutput, tensors

SIDES = (16, 32, 64, 8, 28, 128, 224, 256, 299)
"""Image sides that are tried, in this order, until two are found that the part takes."""
Numbers = Sequence[tuple[int, int | tuple[int, ...], int]]
FIRST: Numbers = ((3, 8, 4), (1, 8, 4), (3, 8, 0), (3, 64, 16), (3, (4, 4, 4), 0), (3, (16, 8), 0), (3, (4,) * 4, 0))
SECOND: Numbers = (
    (1, 16, 0),
    (1, 16, 4),
    (3, 16, 0),
    (3, 16, 4),
    (3, 8, 4),
    (3, (4, 8, 8), 0),
    (3, (64, 8), 0),
    (3, (4, 8, 8, 8), 0),
)
"""Channels, latent and noise that go with them; the first that the part takes."""
BATCHES = (1, 3)


class Saved(Component):
    """A network, a prior, or the networks that a term owns."""

    def fresh(self, seed: int = 0) -> Any:
        """A new module in evaluation mode, its weights a function of the seed."""
        raise NotImplementedError

    def look(self, module: nn.Module) -> Any:
        """Its output for made-up inputs."""
        raise NotImplementedError

    def check_state_dict_round_trip(self) -> None:
        """Another one, loaded from the first one's state dict, gives identical outputs."""
        first, second = self.fresh(1), self.fresh(2)
        state = {key: value.clone() for key, value in first.state_dict().items() if isinstance(value, Tensor)}
        try:
            second.load_state_dict(state)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise ContractError(f"{self} cannot load its own state dict: {reason}; keep torch's own naming") from error
        cure = "what its outputs depend on belongs into a parameter or a (persistent) buffer"
        same = equal(self.look(first), self.look(second))
        self.require(same, f"gives another output when loaded from a state dict; {cure}")

    def check_pickle_free_save(self) -> None:
        """Its state goes through a safetensors file: it is tensors of types that such files have."""
        module = self.fresh(1)
        for why in unkept(module):
            self.require(False, why)
        state: dict[str, Tensor] = module.state_dict()
        again = safetensors.torch.load(b"".join(pieces(state, {})))
        changed = [key for key, value in state.items() if not equal(value, again[key])]
        self.require(not changed, f"comes back from safetensors with another {' and '.join(changed)}")


class Built(GivesTensors, Saved):
    """A module of its own, built anew for every look at it, so that no check can spoil another."""

    repeated: ClassVar = "initialise with torch's own random numbers, which zoo seeds, and draw from 'draw'"

    @cached_property
    def settings(self) -> tuple[Sizes, ...]:
        """Two sets of sizes that it can be built for; one where it takes no other."""
        wanted = self.bench.sizes.get(self.key, SIDES)
        refusals: list[str] = []
        first = next(self._taken(wanted, FIRST, refusals), None)
        if first is None:
            cure = f"say which it takes: sizes={{'{self.key}': [48, 96]}}, or another example of options"
            raise ContractError(f"{self} takes none of {', '.join(map(str, wanted))} px: {refusals[-1]}. If so, {cure}")
        others = [s for s in wanted if s != first.size] if "size" in self.entry.signature.needs else [32]
        second = next(self._taken(others, SECOND, []), None)
        return (first, second) if second else (first,)

    def _taken(self, sides: Sequence[int], beside: Numbers, refusals: list[str]) -> Iterator[Sizes]:
        said = self.entry.signature.annotations.get("latent", "")
        rank = said.count("int") if said.startswith("tuple[") and "..." not in said else int(said == "int")
        beside = [numbers for numbers in beside if not rank or rank == len(crossed(numbers[1]).split("x"))]
        for sizes in [Sizes.square(c, side, k, a) for side in sides for c, k, a in beside]:
            try:
                contract_of(self.part, sizes)
                self.build(sizes, device="meta")
            except NotImplementedError:
                pass  # not on meta; the checks find out on the CPU
            except ValueError as error:
                refusals.append(str(error))
                continue
            yield sizes

    def build(self, sizes: Sizes, seed: int = 0, device: torch.device | str = CPU) -> Any:
        """A new one of some sizes, in evaluation mode, its weights a function of the seed."""
        with torch.random.fork_rng(devices=[]), torch.device(device), nothing_begun_on_meta():
            torch.default_generator.manual_seed(seed)  # torch.manual_seed keeps a trace of the stack for each GPU
            built = self.target(**self.part.arguments_for(sizes))
        self.require(isinstance(built, nn.Module), f"is {type(built).__name__}; a slot is filled with an nn.Module")
        return built.eval()

    def fresh(self, seed: int = 0) -> Any:
        """A new one of the first sizes."""
        return self.build(self.settings[0], seed)

    def check_determinism(self) -> None:
        """Two of them built under one seed are equal, and give equal outputs."""
        first, second = self.fresh(3).state_dict(), self.fresh(3).state_dict()
        same = first.keys() == second.keys() and equal(first, second)
        self.require(same, f"is another when built again under the same seed; {self.repeated}")
        super().check_determinism()

    def check_device_move(self) -> None:
        """``.to(device)`` moves all of it: to meta, where shapes are checked, and to a GPU if there is one."""
        named = [(name, vars(module).items()) for name, module in self.fresh().named_modules()]
        left = [f"'{name}.{key}'" for name, items in named for key, value in items if isinstance(value, Tensor)]
        told = f"leaves tensor {' and '.join(left)} behind when it is moved".replace("'.", "'")
        self.require(not left, f"{told}; keep it by register_buffer() or nn.Parameter")
        super().check_device_move()


class Network(Built):
    """A network that fills a slot: an encoder, decoder, generator, critic or module."""

    types: ClassVar = (torch.float32, torch.float64, torch.bfloat16)

    def left_out(self) -> Collection[str]:
        """Double backward, where it is not declared."""
        return () if self.entry.part.double_backward else ("double_backward",)

    def contract(self, sizes: Sizes | None = None) -> Contract:
        """Its shapes in and out."""
        found = contract_of(self.part, sizes or self.settings[0])
        assert found
        return found

    def inputs(self, batch: int = 3, sizes: Sizes | None = None, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        """Made-up inputs that keep the contract: numbers, and classes where it takes some."""
        return arrays.made_up(self.contract(sizes), batch, dtype, self.classes(sizes or self.settings[0]))

    def classes(self, sizes: Sizes) -> list[int]:
        """Of each input how many classes it has, 0 for numbers: one that is called like a label or a mask of any data
        has some; of a network that asks for ``classes``, each that has a number for an item, or for a place of it.
        """
        words = [{*shape.words[1:]} for shape in self.contract(sizes).inputs]
        if "classes" in self.entry.signature.needs:
            return [sizes.classes if one <= {"H", "W", "height", "width", "size"} else 0 for one in words]
        called = [*inspect.signature(self.target.forward).parameters][1:] if hasattr(self.target, "forward") else []
        sets = (data.part.fields for data in self.bench.registry.components("data"))
        known = [item for fields in sets if not isinstance(fields, str) for item in fields.items()]
        counted = [name for name, field in known if field.kind in COUNTED]
        return [2 if name in counted else 0 for name in [*called, *[""] * len(words)][: len(words)]]  # the fewest

    def numbers(self, batch: int = 3, dtype: torch.dtype = torch.float32) -> tuple[list[Tensor], list[Tensor]]:
        """Made-up inputs, and those of them that may have a gradient."""
        inputs = self.inputs(batch, dtype=dtype)
        return inputs, [x.requires_grad_() for x in inputs if x.is_floating_point()]

    def compute(self, device: torch.device = CPU, dtype: torch.dtype = torch.float32) -> Any:
        """The output of a new one for made-up inputs."""
        return self.fresh().to(device, dtype)(*(x.to(device) for x in self.inputs(dtype=dtype)))

    def look(self, module: nn.Module) -> Any:
        """The output of a module for made-up inputs."""
        return module(*self.inputs())

    def check_output_type(self) -> None:
        """It gives what its kind promises, or the things of its contract: tensors, or dataclasses of them."""
        given, contract = self.compute(), self.contract()
        promised, cure = PROMISED.get(self.kind, (object, "")) if len(contract.outputs) == 1 else (object, "")
        told = f"gives {type(given).__name__}, where"
        self.require(isinstance(given, promised), f"{told} {promised.__name__} is promised; {cure}")
        things = given_by(given, len(contract.outputs)) or ("none",)
        plain = all(isinstance(tensor, Tensor) for thing in things for tensor in named_tensors(thing).values())
        promises = f"'{contract.text}' promises {len(contract.outputs)} tensors, or dataclasses of them"
        self.require(plain, f"{told} {promises}; return these, in a tuple where they are several")

    def check_shapes(self) -> None:
        """Outputs have the contract's shapes, and finite numbers, at two image sizes and two batch sizes."""
        for sizes in self.settings:
            contract, built = self.contract(sizes), self.build(sizes)
            latent = crossed(sizes.latent)
            for batch in BATCHES:
                inputs, letters = self.inputs(batch, sizes), dict[str, int]()
                given = built(*inputs)
                for shape, x in zip(contract.inputs, inputs, strict=True):
                    shape.admits(x.shape, letters)
                where = f"at size {sizes.size}, latent {latent}, noise {sizes.noise} and batch {batch}"
                things = zip(contract.outputs, given_by(given, len(contract.outputs)) or (), strict=False)
                found = [(shape, tensor) for shape, thing in things for tensor in named_tensors(thing).values()]
                for shape, tensor in found:
                    keeps = not isinstance(tensor, Tensor) or shape.admits(tensor.shape, letters)
                    told = f"gives {sides(tensor)} {where}, and '{contract.text}' promises {shape}"
                    self.require(keeps, f"{told}; make the two agree")
                self.require(finite(given), f"gives numbers that are not finite {where}; look at what divides")

    def check_evaluation_repeats(self) -> None:
        """In evaluation mode the same inputs give the same output again."""
        built = self.fresh()
        same = equal(self.look(built), self.look(built))
        self.require(same, "gives another output the second time; let randomness rest in eval()")

    def check_evaluation_keeps_state(self) -> None:
        """A forward in evaluation mode changes no parameter and no buffer."""
        built = self.fresh()
        before = arrays.copied(built.state_dict())
        self.look(built)
        moved = [key for key, value in built.state_dict().items() if not equal(before[key], value)]
        self.require(not moved, f"changes {' and '.join(moved)} in evaluation mode; do so only if self.training")

    def check_batch_independence(self) -> None:
        """In evaluation mode what an image gives does not depend on the rest of its batch, if there is one."""
        if not self.contract().inputs:
            return
        whole = tensors(self.compute(dtype=torch.float64))
        alone = tensors(self.fresh().double()(*(x[:1] for x in self.inputs(dtype=torch.float64))))
        cure = "statistics of the batch belong to training only (batch norm keeps running ones)"
        same = close([t[:1] for t in whole], alone, 1e-6)
        self.require(same, f"gives the first of three something else than it gives it alone; {cure}")

    def check_inputs_untouched(self) -> None:
        """A forward changes none of its inputs in place; other values hold them too."""
        inputs = self.inputs()
        self.fresh()(*inputs)
        same = equal(inputs, self.inputs())
        self.require(same, "changes its inputs in place; work on a copy (x + 1 for x.add_(1))")

    def check_memory_layout(self) -> None:
        """With channels innermost in memory (``train.channels_last``, the default) it gives the same output."""
        innermost = torch.channels_last
        try:
            built = self.fresh()
            lay_innermost(built)
            given = built(*(x.contiguous(memory_format=innermost) if x.ndim == 4 else x for x in self.inputs()))
        except RuntimeError as error:
            told = f"{self} cannot work with channels innermost in memory: {str(error).splitlines()[0]}"
            raise ContractError(f"{told} Use reshape or flatten for view") from error
        self.require(close(self.compute(), given, 1e-4), "gives something else with channels innermost in memory")

    def check_gradients(self) -> None:
        """Autograd connects the outputs with every parameter that can learn (in training mode, a batch of 4)."""
        built = self.fresh().train()
        idle = missed(total(built(*self.inputs(4))), learners(built))
        told = f"has parameters that its outputs do not depend on: {', '.join(idle[:5])}"
        cure = "look for a detach(), use them, or remove them, or freeze them (requires_grad_(False))"
        self.require(not idle, f"{told}; {cure}")

    def check_input_gradients(self) -> None:
        """A gradient passes from the outputs to every input of numbers: it is how those before it learn."""
        inputs, _ = self.numbers()
        pairs = zip(self.contract().inputs, inputs, strict=True)
        leaves = {repr(" ".join(shape.names)): x for shape, x in pairs if x.numel() and x.requires_grad}
        idle = missed(total(self.fresh()(*inputs)), leaves)
        cure = "look for detach(), no_grad() or rounding on the way, or an input that is not used"
        self.require(not idle, f"passes no gradient on to its input {' and '.join(idle)}; {cure}")

    def check_double_backward(self) -> None:
        """The gradient of a gradient penalty is the slope of that penalty, measured in float64."""
        built, step = self.fresh().double(), 1e-6
        inputs, numbers = self.numbers(2, torch.float64)
        leaves = [*numbers, *learners(built).values()]
        at = torch.cat([leaf.detach().flatten() for leaf in leaves])
        direction = torch.randn(at.shape, dtype=at.dtype, generator=torch.Generator().manual_seed(1))
        direction /= direction.norm()

        def penalty(away: float) -> Tensor:
            nn.utils.vector_to_parameters(at + away * direction, leaves)
            slopes = torch.autograd.grad(total(_promised(built(*inputs))), numbers, create_graph=True)
            return torch.stack([slope.square().sum() for slope in slopes]).sum()

        found = torch.autograd.grad(penalty(0.0), leaves, materialize_grads=True)
        slope = float(torch.cat([gradient.flatten() for gradient in found]) @ direction)
        measured = (penalty(step) - penalty(-step)).item() / (2 * step)
        told = f"declares double_backward, and the slope of its gradient penalty is {measured:.6g} where autograd finds"
        cure = "a layer's backward is not itself differentiable; write it with torch's functions, or do not declare it"
        self.require(abs(slope - measured) <= 1e-4 * abs(measured) + 1e-9, f"{told} {slope:.6g}; {cure}")


def _promised(given: Any) -> list[Tensor]:
    """The tensors of an output that the contract is about: not a critic's taps."""
    return [given.logit] if isinstance(given, CriticOutput) else tensors(given)


class Prior(Built):
    """A prior."""

    alike: ClassVar = False

    def sample(
        self, module: Any, batch: int = 3, key: int = 0, device: torch.device = CPU, dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """Codes of a stream of random numbers."""
        return module.sample(batch, Draw("prior", key, device=device, dtype=dtype))  # type: ignore[no-any-return]

    def compute(self, device: torch.device = CPU, dtype: torch.dtype = torch.float32) -> Tensor:
        """Three codes of a new one."""
        return self.sample(self.fresh().to(device, dtype), device=device, dtype=dtype)

    def look(self, module: Any) -> Tensor:
        """Three codes."""
        return self.sample(module)

    def check_shapes(self) -> None:
        """``sample(batch, draw)`` gives finite (batch, latent), for two latents and two batch sizes."""
        for sizes in self.settings:
            for batch in BATCHES:
                given = self.sample(self.build(sizes), batch)
                fits = isinstance(given, Tensor) and tuple(given.shape) == (batch, *sizes.code)
                told = f"gives {sides(given)} for {batch} codes of {crossed(sizes.latent)}"
                self.require(fits, f"{told}, where {batch} x {crossed(sizes.latent)} is promised")
                self.require(finite(given), "gives codes that are not finite")

    def check_log_prob(self) -> None:
        """Where there is a ``log_prob(z)``, it gives finite (batch,) and a gradient to the codes."""
        built = self.fresh()
        if hasattr(built, "log_prob"):
            given = built.log_prob(self.sample(built).detach().requires_grad_())
            told = f"log_prob() of {self} gives {sides(given)} for 3 codes; one finite number for each is promised"
            require(given.shape == (3,) and finite(given), told)
            cure = "is there a detach()?"
            require(given.requires_grad, f"log_prob() of {self} passes no gradient on to the codes; {cure}")

    def check_determinism(self) -> None:
        """Equal random numbers give equal codes, others others, and two priors built under one seed are equal."""
        super().check_determinism()
        built = self.fresh()
        other = not equal(self.sample(built), self.sample(built, key=1))
        self.require(other, "gives the same codes whatever 'draw' says; take its random numbers from it")

    def check_gradients(self) -> None:
        """Autograd connects its codes, or their ``log_prob``, with every parameter that can learn."""
        built = self.fresh()
        codes = self.sample(built, 4)
        density = total(built.log_prob(codes.detach())) if hasattr(built, "log_prob") else 0.0
        idle = missed(total(codes) + density, learners(built))
        told = "has parameters that neither its codes nor their log_prob() depend on"
        self.require(not idle, f"{told}: {', '.join(idle)}; freeze them")
