"""What torch does not promise is as ``zoo.machine.torch_private`` takes it to be; one test for each function."""

from __future__ import annotations

import os
import pickle
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from conftest import python
from torch import Tensor, nn
from torch.nn.utils.parametrizations import orthogonal, spectral_norm, weight_norm
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from zoo.machine.torch_private import (
    Products,
    Repeated,
    can_skip,
    lacks_numbers,
    note_not_finite,
    nothing_begun_on_meta,
    out_of_memory,
    pickled_by,
    process_lost,
    set_tracking,
    singular_vectors,
    skip_where,
    spectral_norms,
    tiles_of_bfloat16,
    waits_for_device,
)

CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def test_out_of_memory() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**13)
    assert out_of_memory(caught.value)
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(RuntimeError) as caught:
        torch.zeros(2) + torch.zeros(3)
    assert not out_of_memory(caught.value)


class Stranger(RuntimeError):
    """A plugin's own."""


def test_by_type_not_by_words_that_anybody_may_say() -> None:
    words = ("the dashboard is out of memory", "not enough memory of my own", "my gloo/transport is gone")
    for error in [kind(said) for kind in (RuntimeError, Stranger, ValueError) for said in words]:
        assert not out_of_memory(error)
        assert not process_lost(error)
    assert not out_of_memory(Stranger("[enforce fail at alloc_cpu.cpp:127] err == 0"))
    assert out_of_memory(MemoryError())
    assert process_lost(dist.DistBackendError("NCCL error"))


@pytest.mark.parametrize("read", [Tensor.item, Tensor.tolist, Tensor.numpy, bool, lambda x: x[x > 0]])
def test_lacks_numbers(read) -> None:
    with pytest.raises((RuntimeError, TypeError)) as caught:
        read(torch.zeros(1, device="meta"))
    assert lacks_numbers(caught.value)
    with pytest.raises(RuntimeError) as caught:
        torch.zeros(2, device="meta") + torch.zeros(3, device="meta")
    assert not lacks_numbers(caught.value)


@CUDA
def test_waits_for_device() -> None:
    x, before = torch.zeros(1, device="cuda"), torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        with pytest.raises(RuntimeError) as caught:
            x.item()
    finally:
        torch.cuda.set_sync_debug_mode(before)
    assert waits_for_device(caught.value)


def test_process_lost(tmp_path: Path) -> None:
    """A process that ends in the middle of a collective."""
    if not os.fork():
        with pytest.raises(BaseException):  # noqa: B017, PT011 - whatever happens, this process ends
            gloo(tmp_path, 1)
        os._exit(0)
    gloo(tmp_path, 0)
    os.wait()
    with pytest.raises(RuntimeError) as caught:
        dist.all_reduce(torch.zeros(1))
    dist.destroy_process_group()
    assert process_lost(caught.value)
    assert not process_lost(RuntimeError("another"))


def gloo(folder: Path, rank: int) -> None:
    store = dist.FileStore(str(folder / "store"), 2)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2, timeout=timedelta(seconds=20))
    dist.all_reduce(torch.zeros(1))
    if rank:
        os._exit(0)


def test_spectral_norms() -> None:
    net = nn.Sequential(spectral_norm(nn.Linear(2, 3)), weight_norm(nn.Linear(3, 2)), nn.BatchNorm1d(2))
    (found,) = spectral_norms(net)
    found._u.copy_(torch.tensor([1.0, 0.0, 0.0]))  # not yet the singular vector that it comes to
    before = found._u.clone()
    found.eval()
    _ = net[0].weight
    assert torch.equal(found._u, before)
    found.train()
    _ = net[0].weight
    assert not torch.equal(found._u, before)


def test_singular_vectors() -> None:
    """Those of torch's own decomposition, but for their sign."""
    layer = spectral_norm(nn.Linear(6, 4))
    weight = torch.randn(4, 6)
    found = singular_vectors(layer, {"parametrizations.weight.original": weight})
    u, _, v = torch.linalg.svd(weight)
    for name, expected in {"_u": u[:, 0], "_v": v[0]}.items():
        vector = found[f"parametrizations.weight.0.{name}"]
        assert layer.state_dict()[f"parametrizations.weight.0.{name}"].shape == vector.shape
        assert float((vector @ expected).abs()) == pytest.approx(1, abs=1e-5)
    assert not singular_vectors(layer, {})


def test_nothing_begun_on_meta() -> None:
    def made(device: str) -> tuple[int, list[Tensor]]:
        torch.manual_seed(0)
        with _Counted() as counted:
            net = spectral_norm(nn.Linear(2, 3, device=device))
        return counted.products, [*net.state_dict().values()]

    iterated, expected = made("cpu")
    assert iterated > 2 * 15
    assert made("meta")[0] == iterated
    with nothing_begun_on_meta():
        products, found = made("cpu")
        assert products == iterated
        assert all(map(torch.equal, found, expected))
        assert made("meta")[0] == 0
    assert made("meta")[0] == iterated


STEPS = """
import sys, torch
from zoo.machine.torch_private import take_step, without_compiler

def moved(made, step, **options):
    weight = torch.nn.Parameter(torch.arange(4.0))
    optimizer = made([weight], lr=0.1, **options)
    optimizer.register_step_post_hook(lambda one, *_: seen.append(type(one)))
    for _ in range(3):
        weight.grad = weight.detach() - 1
        step(optimizer)
    optimizer.load_state_dict(optimizer.state_dict())
    return [weight, *(torch.as_tensor(kept) for kept in optimizer.state[weight].values())]

OPTIMIZERS = [(torch.optim.Adam, {"fused": True}), (torch.optim.AdamW, {}), (torch.optim.SGD, {"momentum": 0.9}),
              (torch.optim.RMSprop, {})]
seen = []
with without_compiler():
    plain = [moved(made, take_step, **options) for made, options in OPTIMIZERS]
print("torch._dynamo" in sys.modules)
usual = [moved(made, lambda one: one.step(), **options) for made, options in OPTIMIZERS]
print("torch._dynamo" in sys.modules)
print(all(torch.equal(a, b) for ours, theirs in zip(plain, usual) for a, b in zip(ours, theirs, strict=True)))
print(len(seen) == 2 * 3 * len(OPTIMIZERS))
"""


def test_optimisers_without_the_compiler_move_to_the_same_bit() -> None:
    """Their step, what they keep, and the hooks on it; whoever asks torch afterwards has it as ever."""
    assert python("-c", STEPS).out.split() == ["False", "True", "True", "True"]


class _Counted(TorchDispatchMode):
    """Counts products of a matrix and a vector."""

    products = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.products += function is torch.ops.aten.mv.default
        return function(*args, **(kwargs or {}))


def test_set_tracking() -> None:
    """Without it a batch norm takes the batch's own statistics, and keeps none."""
    norm = nn.BatchNorm2d(3)
    x, before = torch.randn(4, 3, 5, 5), {k: v.clone() for k, v in norm.state_dict().items()}
    set_tracking(norm, False)
    untracked = norm(x)
    assert all(torch.equal(v, before[k]) for k, v in norm.state_dict().items())
    set_tracking(norm, True)
    assert torch.equal(norm(x), untracked)
    assert not torch.equal(norm.running_mean, before["running_mean"])


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_note_not_finite(bad: float) -> None:
    found, one = torch.zeros(()), torch.ones(())
    tensors = [torch.randn(3, 2), torch.randn(4)]
    before = [tensor.clone() for tensor in tensors]
    note_not_finite(tensors, found, one)
    assert not found
    assert all(map(torch.equal, tensors, before))
    tensors[1][2] = bad
    note_not_finite(tensors, found, one)
    assert found == 1


def fused(parameter: nn.Parameter) -> list[torch.optim.Optimizer]:
    return [torch.optim.Adam([parameter], fused=True), torch.optim.SGD([parameter], lr=1.0, fused=True)]


def test_can_skip() -> None:
    parameter = nn.Parameter(torch.ones(2))
    assert all(map(can_skip, fused(parameter)))
    assert not can_skip(torch.optim.RMSprop([parameter]))
    assert not can_skip(None)


def test_skip_where() -> None:
    for number in range(2):
        parameter = nn.Parameter(torch.ones(2))
        optimizer = fused(parameter)[number]
        parameter.grad = torch.ones(2)
        skip_where(optimizer, torch.ones(()))
        optimizer.step()
        assert torch.equal(parameter.detach(), torch.ones(2))
        skip_where(optimizer, torch.zeros(()))
        optimizer.step()
        assert not torch.equal(parameter.detach(), torch.ones(2))


def test_tiles_of_bfloat16() -> None:
    assert tiles_of_bfloat16() == ("amx_tile" in Path("/proc/cpuinfo").read_text())


def test_products() -> None:
    net, x = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 2)), torch.zeros(2, 3, 8, 8)
    with FlopCounterMode(display=False) as torchs:
        torch.autograd.grad(net(x).sum(), list(net.parameters()))
    with Products() as ours:
        torch.autograd.grad(net(x).sum(), list(net.parameters()))
    assert ours.total == torchs.get_total_flops() > 0
    x.requires_grad_(True)
    with Products() as ours:  # a gradient with respect to a leaf, and a gradient of it
        (inner,) = torch.autograd.grad(net(x).sum(), x, create_graph=True)
        torch.autograd.grad(inner.sum(), list(net.parameters()), allow_unused=True)
    assert ours.total > torchs.get_total_flops()


def test_pickled_by() -> None:
    """Modules with parametrised weights, of whatever kind, come back from a pickle as they were, and go on alike."""
    network = nn.Sequential(spectral_norm(nn.Linear(4, 4)), orthogonal(nn.Linear(4, 4)), nn.ReLU())
    pickled_by(network.modules())
    other = pickle.loads(pickle.dumps(network))
    x = torch.ones(2, 4)
    for _ in range(2):  # the power iteration goes on, too
        assert torch.equal(network(x), other(x))
    assert [*network.state_dict()] == [*other.state_dict()]
    other(x).sum().backward()
    assert all(p.grad is not None for p in other.parameters())


def test_repeated() -> None:
    """What is known is as torch computes it: shapes, strides, types, gradients, and errors."""
    convolution = nn.Conv2d(4, 4, 3, padding=1, device="meta").to(memory_format=torch.channels_last)
    x = torch.empty(2, 4, 8, 8, device="meta").to(memory_format=torch.channels_last).requires_grad_()
    whole = torch.ones(3, dtype=torch.int64, device="meta")

    def computed() -> list[Tensor]:
        y = convolution(x) * 2
        (slope,) = torch.autograd.grad(nn.functional.silu(y).square().sum(), x, create_graph=True)
        scaled = [whole * scale for scale in (1, 1.0, True)]
        halves = torch.split(torch.cat([y, y], 1), 4, 1)
        return [y, slope, y.relu_(), *scaled, *halves, *torch.std_mean(y, (2, 3)), torch.ones(2) + 1]

    Repeated.known.clear()
    plain = computed()
    for _ in range(2):
        with Repeated():
            found = computed()
            with pytest.raises(RuntimeError, match="broadcast"):
                torch.empty(2, device="meta") + torch.empty(3, device="meta")
        assert [(t.shape, t.stride(), t.dtype, t.device) for t in found] == [
            (t.shape, t.stride(), t.dtype, t.device) for t in plain
        ]
    assert plain[3].dtype != plain[4].dtype
    known = len(Repeated.known)
    with Repeated():
        computed()
    assert len(Repeated.known) == known > 8
