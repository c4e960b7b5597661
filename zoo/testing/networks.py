"""Checks of encoders, decoders, generators and critics."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from zoo.testing.arrays import close, copies, devices, equal, finite, sides, tensors, total
from zoo.testing.building import BATCHES, Network
from zoo.testing.common import untouched
from zoo.testing.core import Body, Case, ContractError, require
from zoo.testing.saving import STATE
from zoo.types import CriticOutput, Gaussian

GPU = 1e-2
"""Share of the largest number that a GPU, with TF32 convolutions, may be off."""
PROMISED = {"encoder": Gaussian, "critic": CriticOutput, "decoder": Tensor, "generator": Tensor}
CURES = {
    Gaussian: "return api.Gaussian(mean, log_sigma), both (B, latent)",
    CriticOutput: "return api.CriticOutput(logit), logit (B,)",
    Tensor: "return the images themselves",
}


def output_type(net: Network) -> None:
    """An encoder gives a Gaussian, a critic a CriticOutput, a decoder and a generator a tensor."""
    promised, given = PROMISED[net.case.entry.kind], net.look(net.fresh())
    told = f"{net} gives {type(given).__name__}, where {promised.__name__} is promised; {CURES[promised]}"
    require(isinstance(given, promised), told)


def shapes(net: Network) -> None:
    """Outputs have the contract's shapes, and finite numbers, at two image sizes and two batch sizes."""
    for sizes in net.settings:
        contract, built = net.contract(sizes), net.build(sizes)
        for batch in BATCHES:
            given = built(*net.inputs(sizes, batch))
            where = f"at size {sizes.size}, latent {sizes.latent}, noise {sizes.noise} and batch {batch}"
            for tensor in _promised(given):
                keeps = contract.output.admits(tuple(tensor.shape)) and len(tensor) == batch
                told = f"{net} gives {sides(tensor.shape)} {where}, and '{contract.text}' promises {contract.output}"
                require(keeps, f"{told}; make the two agree")
            require(finite(given), f"{net} gives numbers that are not finite {where}; look at what divides")


def _promised(given: Any) -> list[Tensor]:
    """The tensors of an output that the contract is about: not a critic's taps."""
    return [given.logit] if isinstance(given, CriticOutput) else tensors(given)


def dtype(net: Network) -> None:
    """The type that goes in comes out: float32, and float64 and bfloat16 after ``.to(dtype)``."""
    sizes = net.settings[0]
    for kind in (torch.float32, torch.float64, torch.bfloat16):
        for tensor in tensors(net.build(sizes).to(kind)(*net.inputs(sizes, dtype=kind))):
            told = f"{net} takes {kind} and gives {tensor.dtype}"
            require(tensor.dtype is kind, f"{told}; make new tensors like its inputs (torch.zeros_like, x.new_zeros)")


def device_move(net: Network) -> None:
    """``.to(device)`` moves all of it: to meta, where shapes are checked, and to a GPU if there is one."""
    sizes = net.settings[0]
    for device in devices():
        moved = net.build(sizes).to(device)
        refuse_left_behind(net, moved)
        try:
            given = moved(*(x.to(device) for x in net.inputs(sizes)))
        except NotImplementedError:
            if device.type == "meta":
                continue  # it looks at numbers: zoo then checks recipes on the CPU
            raise
        away = {str(t.device) for t in tensors(given) if t.device.type != device.type}
        require(not away, f"{net} gives tensors on {' and '.join(away)} when it is on {device}; make them where x is")
        if device.type != "meta":
            same = close(net.build(sizes)(*net.inputs(sizes)), given, GPU)
            require(same, f"{net} gives other numbers on {device} than on the CPU")


def refuse_left_behind(net: Network, built: nn.Module) -> None:
    """Refuses attributes that are tensors, and neither parameters nor buffers: they stay when it is moved."""
    named = [(name, vars(module).items()) for name, module in built.named_modules()]
    left = [f"'{name}.{key}'" for name, items in named for key, value in items if isinstance(value, Tensor)]
    told = f"{net} leaves tensor {' and '.join(left)} behind when it is moved".replace("'.", "'")
    require(not left, f"{told}; keep it by register_buffer() or nn.Parameter")


def determinism(net: Network) -> None:
    """Two networks built under one seed are equal, and give equal outputs."""
    sizes = net.settings[0]
    first, second = net.build(sizes, 3), net.build(sizes, 3)
    same = first.state_dict().keys() == second.state_dict().keys() and equal(first.state_dict(), second.state_dict())
    cure = "initialise with torch's own random numbers, which zoo seeds"
    require(same, f"{net} is another network when built again under the same seed; {cure}")
    require(equal(first(*net.inputs(sizes)), second(*net.inputs(sizes))), f"{net}, built twice, gives two answers")


def evaluation_repeats(net: Network) -> None:
    """In evaluation mode the same inputs give the same output again."""
    sizes = net.settings[0]
    built = net.build(sizes)
    first, second = built(*net.inputs(sizes)), built(*net.inputs(sizes))
    require(equal(first, second), f"{net} gives another output the second time; let randomness rest in eval()")


def evaluation_keeps_state(net: Network) -> None:
    """A forward in evaluation mode changes no parameter and no buffer."""
    sizes = net.settings[0]
    built = net.build(sizes)
    before = copies([built.state_dict()])[0]
    built(*net.inputs(sizes))
    moved = [key for key, value in built.state_dict().items() if not equal(before[key], value)]
    require(not moved, f"{net} changes {' and '.join(moved)} in evaluation mode; do so only if self.training")


def batch_independence(net: Network) -> None:
    """In evaluation mode what an image gives does not depend on the rest of its batch."""
    sizes = net.settings[0]
    inputs = partial(net.inputs, sizes, dtype=torch.float64)
    whole = net.build(sizes).double()(*inputs())
    alone = net.build(sizes).double()(*(x[:1] for x in inputs()))
    same = close([t[:1] for t in tensors(whole)], tensors(alone), 1e-6)
    cure = "statistics of the batch belong to training only (batch norm keeps running ones)"
    require(same, f"{net} gives the first of three something else than it gives it alone; {cure}")


def inputs_untouched(net: Network) -> None:
    """A forward changes none of its inputs in place; other values hold them too."""
    sizes = net.settings[0]
    inputs = net.inputs(sizes)
    before = copies(inputs)
    net.build(sizes)(*inputs)
    require(equal(before, list(inputs)), f"{net} changes its inputs in place; work on a copy (x + 1 for x.add_(1))")


def memory_layout(net: Network) -> None:
    """With channels innermost in memory (``train.channels_last``, the default) it gives the same output."""
    sizes, innermost = net.settings[0], torch.channels_last
    plain = net.build(sizes)(*net.inputs(sizes))
    try:
        built = net.build(sizes).to(memory_format=innermost)
        given = built(*(x.contiguous(memory_format=innermost) if x.ndim == 4 else x for x in net.inputs(sizes)))
    except RuntimeError as error:
        told = f"{net} cannot work with channels innermost in memory: {str(error).splitlines()[0]}"
        raise ContractError(f"{told} Use reshape or flatten for view") from error
    require(close(plain, given, 1e-4), f"{net} gives something else with channels innermost in memory")


def gradients(net: Network) -> None:
    """Autograd connects the outputs with every parameter that can learn (in training mode, a batch of 4)."""
    sizes = net.settings[0]
    built = net.build(sizes).train()
    learners = {name: p for name, p in built.named_parameters() if p.requires_grad}
    if not learners:
        return
    objective = total(built(*net.inputs(sizes, 4)))
    require(objective.requires_grad, f"{net} gives outputs that no gradient can start from; is there a detach()?")
    found = torch.autograd.grad(objective, list(learners.values()), allow_unused=True)
    missed = [name for name, gradient in zip(learners, found, strict=True) if gradient is None]
    told = f"{net} has parameters that its outputs do not depend on: {', '.join(missed[:5])}"
    require(not missed, f"{told}; use them, or remove them, or freeze them (requires_grad_(False))")


def input_gradients(net: Network) -> None:
    """A gradient passes from the outputs to every input: it is how those before it learn."""
    sizes = net.settings[0]
    inputs = [x.requires_grad_() for x in net.inputs(sizes)]
    names = [" ".join(shape.names) for shape in net.contract(sizes).inputs]
    objective = total(net.build(sizes)(*inputs))
    found: Any = [None] * len(inputs)
    if objective.requires_grad:
        found = torch.autograd.grad(objective, inputs, allow_unused=True)
    missed = [n for n, x, gradient in zip(names, inputs, found, strict=True) if x.numel() and gradient is None]
    told = f"{net} passes no gradient on to its input {' and '.join(map(repr, missed))}"
    require(not missed, f"{told}; look for detach(), no_grad() or rounding on the way, or an input that is not used")


def double_backward(net: Network) -> None:
    """The gradient of a gradient penalty is the slope of that penalty, measured in float64."""
    sizes = net.settings[0]
    built = net.build(sizes).double()
    inputs = [x.requires_grad_() for x in net.inputs(sizes, 2, dtype=torch.float64)]
    leaves = [*inputs, *(p for p in built.parameters() if p.requires_grad)]
    directions = [torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(1)) for x in leaves]
    length = torch.stack([d.square().sum() for d in directions]).sum().sqrt()

    def penalty(step: float) -> Tensor:
        with torch.no_grad():
            for leaf, direction in zip(leaves, directions, strict=True):
                leaf.add_(direction, alpha=step / float(length))
        slopes = torch.autograd.grad(total(_promised(built(*inputs))), inputs, create_graph=True)
        return torch.stack([slope.square().sum() for slope in slopes]).sum()

    found = torch.autograd.grad(penalty(0.0), leaves, allow_unused=True)
    pairs = [(g * d).sum() for g, d in zip(found, directions, strict=True) if g is not None]
    slope = (torch.stack(pairs).sum() / length).item() if pairs else 0.0
    step = 1e-6
    measured = (penalty(step) - penalty(-2 * step)).item() / (2 * step)
    told = f"{net} declares double_backward, and the slope of its gradient penalty is {measured:.6g} where autograd"
    cure = "a layer's backward is not itself differentiable; write it with torch's functions, or do not declare it"
    require(abs(slope - measured) <= 1e-4 * abs(measured) + 1e-9, f"{told} finds {slope:.6g}; {cure}")


def no_global_side_effect(net: Network) -> None:
    """Neither making it nor a forward in evaluation mode changes what belongs to the whole process."""
    sizes = net.settings[0]
    with untouched(net.case, "it is made"):
        built = net.build(sizes)
    with untouched(net.case, "it computes in evaluation mode"):
        built(*net.inputs(sizes))


BATTERY: tuple[Body, ...] = (
    output_type,
    shapes,
    dtype,
    device_move,
    determinism,
    evaluation_repeats,
    evaluation_keeps_state,
    batch_independence,
    inputs_untouched,
    memory_layout,
    gradients,
    input_gradients,
    *STATE,
    no_global_side_effect,
)


def battery(case: Case) -> tuple[Body, ...]:
    """The checks of a network; double backward where it is declared."""
    return (*BATTERY, double_backward) if case.entry.component.double_backward else BATTERY
