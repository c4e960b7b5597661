"""What zoo needs of torch and torch does not promise: private names, and the words of its errors. All of it is here.

Each function has a test in ``tests/machine/test_torch_private.py`` that fails by its name when torch changes it.
"""

from __future__ import annotations

import copyreg
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, ClassVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from zoo.errors import text_of

# -- what an error says ------------------------------------------------------------------------------------

NO_MEMORY = re.compile(
    r"\[enforce fail at alloc_cpu\.cpp|DefaultCPUAllocator: |unable to mmap .*Cannot allocate memory"
    r"|could not create a (primitive|memory object)|CUDA error: (out of memory|CUBLAS_STATUS_ALLOC_FAILED)"
)
"""How the allocators that have no exception of their own begin: torch's of the CPU, oneDNN's, cuBLAS's."""
GLOO = re.compile(r"\[[^]]*gloo/transport")
"""How gloo begins, which has none either."""
PLAIN = (RuntimeError, getattr(torch, "AcceleratorError", RuntimeError))
"""The very types of those: a plugin's own are of another."""


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception is that memory could not be had, whatever else says those words."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return type(error) in PLAIN and bool(NO_MEMORY.match(text_of(error)))


def lacks_numbers(error: Exception) -> bool:
    """Whether something failed on the ``meta`` device for want of numbers, or of an implementation there."""
    said = text_of(error)
    return isinstance(error, NotImplementedError) or "meta tensor" in said or "meta device" in said


def waits_for_device(error: RuntimeError) -> bool:
    """Whether an operation was refused, under ``torch.cuda.set_sync_debug_mode("error")``, because it waits."""
    return "synchroniz" in text_of(error)


def process_lost(error: BaseException) -> bool:
    """Whether an exception is that another process could not be reached."""
    return isinstance(error, dist.DistError) or (type(error) in PLAIN and bool(GLOO.match(text_of(error))))


# -- networks ----------------------------------------------------------------------------------------------


def spectral_norms(module: nn.Module) -> list[nn.Module]:
    """The parametrisations below a module that step their power iteration where they are in training mode."""
    return [part for part in module.modules() if isinstance(part, _SpectralNorm)]


def singular_vectors(module: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The buffers of a module's spectral norms, by their names in its state, that belong to other ``weights``: the
    vectors of the largest singular value, which then is 1. A weight that is not there, or not whole, has none.
    """
    found: dict[str, Tensor] = {}
    for place, part in module.named_modules():
        weight = weights.get(f"{place.rpartition('.')[0]}.original")
        if not isinstance(part, _SpectralNorm) or weight is None or not place.endswith(".0") or weight.ndim < 2:
            continue
        matrix = part._reshape_weight_to_matrix(weight).double()
        wide = matrix if len(matrix) <= matrix.shape[1] else matrix.T
        short = torch.linalg.eigh(wide @ wide.T).eigenvectors[:, -1]
        long = nn.functional.normalize(wide.T @ short, dim=0)
        vectors = (short, long) if wide is matrix else (long, short)
        found |= {f"{place}.{n}": v.to(weight.dtype) for n, v in zip(("_u", "_v"), vectors, strict=True)}
    return found


@contextmanager
def nothing_begun_on_meta() -> Iterator[None]:
    """Inside, nothing is drawn or normalised on ``meta``, where that is dozens of operations in Python, for which torch
    imports its compiler: a weight has no numbers there, and spectral norm, which begins with 15 iterations, no effect.
    """
    iterate, normed = _SpectralNorm._power_method, _SpectralNorm.forward

    def iterate_unless_on_meta(self: _SpectralNorm, weight_mat: Tensor, n_power_iterations: int) -> None:
        if not weight_mat.is_meta:
            iterate(self, weight_mat, n_power_iterations)

    def normed_unless_on_meta(self: _SpectralNorm, weight: Tensor) -> Tensor:
        return weight if weight.is_meta else normed(self, weight)

    _SpectralNorm._power_method = iterate_unless_on_meta  # type: ignore[method-assign]
    _SpectralNorm.forward = normed_unless_on_meta  # type: ignore[method-assign]
    try:
        with _Undrawn():
            yield
    finally:
        _SpectralNorm._power_method = iterate  # type: ignore[method-assign]
        _SpectralNorm.forward = normed  # type: ignore[method-assign]


class _Undrawn(TorchFunctionMode):
    """Leaves what has no memory as it is, and as long."""

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if function in (Tensor.normal_, Tensor.uniform_, nn.functional.normalize) and args[0].is_meta:
            return args[0]
        return function(*args, **(kwargs or {}))


def set_tracking(norm: nn.Module, tracking: bool) -> None:
    """Sets ``track_running_stats`` of a norm; ``nn.Module`` would take ten times as long to set its attribute."""
    vars(norm)["track_running_stats"] = tracking


def pickled_by(modules: Iterable[nn.Module]) -> None:
    """Has pickle take modules with parametrised weights, of classes that torch made for them and refuses to pickle."""
    for module in modules:
        if parametrize.is_parametrized(module):
            copyreg.pickle(type(module), _taken_apart)


def _taken_apart(module: nn.Module) -> tuple[Any, ...]:
    return _put_together, (parametrize.type_before_parametrizations(module), dict(vars(module)))


def _put_together(kind: type[nn.Module], state: dict[str, Any]) -> nn.Module:
    module = kind.__new__(kind)
    nn.Module.__init__(module)
    computed = state["_modules"]["parametrizations"]
    for name in computed:
        module.register_parameter(name, nn.Parameter(torch.empty(0)))
        parametrize.register_parametrization(module, name, nn.Identity(), unsafe=True)  # makes the class
    vars(module).update(state)
    return module


# -- steps -------------------------------------------------------------------------------------------------


COMPILER = "torch._dynamo"
"""Torch's compiler, as a module."""


def note_not_finite(tensors: list[Tensor], found: Tensor, one: Tensor) -> None:
    """Sets ``found`` to 1 on the device where a number is not finite, by the check of ``GradScaler``.

    Args:
        tensors: of one floating type, not complex, each with memory of its own.
        found: a scalar, float32.
        one: 1 as such a scalar; the tensors are multiplied by it.
    """
    torch._amp_foreach_non_finite_check_and_unscale_(tensors, found, one)


@contextmanager
def without_compiler() -> Iterator[None]:
    """Inside, torch's optimisers are made, saved and restored without its compiler. They import it, which costs half as
    much as torch itself, to tell it to keep out; where it was not imported, there is nobody to tell.
    """
    names = () if COMPILER in sys.modules else ("add_param_group", "state_dict", "load_state_dict")
    plain = [getattr(torch.optim.Optimizer, name).__wrapped__ for name in names]
    for method in plain:
        method.__dynamo_disable = method
    try:
        yield
    finally:
        for method in plain:
            del method.__dynamo_disable


def take_step(optimizer: torch.optim.Optimizer) -> None:
    """An optimiser's step; that of torch's own, too, without the compiler while nobody has imported it."""
    if COMPILER in sys.modules or not type(optimizer).__module__.startswith("torch.optim."):
        optimizer.step()
    else:
        _plain_step(type(optimizer))(optimizer)  # type: ignore[arg-type]


@cache
def _plain_step(kind: type[torch.optim.Optimizer]) -> Callable[[torch.optim.Optimizer], None]:
    plain: Callable[..., Any] = torch.no_grad()(inspect.unwrap(kind.step))
    return torch.optim.Optimizer.profile_hook_step(plain)


def can_skip(optimizer: torch.optim.Optimizer | None) -> bool:
    """Whether an optimiser's step can be told on the device to leave everything as it is."""
    return bool(getattr(optimizer, "_step_supports_amp_scaling", False))


def skip_where(optimizer: torch.optim.Optimizer, poison: Tensor) -> None:
    """Has the next step of an optimiser that ``can_skip`` change nothing where a scalar on the device is not 0."""
    optimizer.grad_scale, optimizer.found_inf = None, poison  # type: ignore[attr-defined]


def tiles_of_bfloat16() -> bool:
    """Whether the CPU multiplies matrices of bfloat16 by tiles (AMX), faster than those of float32."""
    return bool(torch.cpu._is_amx_tile_supported())


# -- counting ----------------------------------------------------------------------------------------------


class Products(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the FLOPs of products as they are dispatched inside, forward and backward; a multiply and an add are two.

    ``FlopCounterMode`` does it with torch's formulas too, but also hooks modules to say which, and its hooks refuse
    ``autograd.grad`` with respect to leaves.
    """

    def __init__(self) -> None:
        from torch.utils.flop_counter import flop_registry  # which imports triton

        super().__init__()  # type: ignore[no-untyped-call]
        self.total, self._formulas = 0, flop_registry

    def __torch_dispatch__(
        self, function: Any, types: Iterable[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        found = function(*args, **(kwargs or {}))
        formula: Callable[..., int] | None = self._formulas.get(function._overloadpacket)
        if formula:
            self.total += formula(*args, **(kwargs or {}), out_val=found)
        return found


# -- shapes ------------------------------------------------------------------------------------------------


KEYS = (int, float, str, type(None), torch.dtype, torch.device, torch.layout, torch.memory_format)
"""What operations take beside tensors and lists."""
MOST_KNOWN = 50_000
"""Operations that are remembered: some tens of megabytes, eight times as many as the zoo's own recipes have."""


class Repeated(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Inside, an operation on the ``meta`` device gives of tensors like those that it had before what it gave then: new
    ones of that shape, those strides and that type. Most of torch's kernels there are Python, half a millisecond each,
    and networks have hundreds of layers that are alike. What gives views, writes or draws is computed as ever.
    """

    known: ClassVar[dict[Any, Any]] = {}
    """By operation and arguments, what came of it: for the networks of a process, that all have some layers alike."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self, function: Any, types: Iterable[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        try:
            asked = (function, _told(args), _told([*kwargs.items()])) if args and _gives_new(function) else None
            if asked in self.known:
                return _blank(self.known[asked])
        except TypeError:  # tensors with numbers, or of a class of their own; what is no key
            asked = None
        found = function(*args, **kwargs)
        if asked:
            with suppress(TypeError):
                self.known[asked] = _told(found)
            if len(self.known) > MOST_KNOWN:
                self.known.clear()
        return found


@cache
def _gives_new(function: Any) -> bool:
    """Whether what an operation gives is new, and follows from its arguments."""
    schema = function._schema
    aliases = any(one.alias_info for one in (*schema.arguments, *schema.returns))
    return not aliases and torch.Tag.nondeterministic_seeded not in function.tags


def _told(value: Any) -> Any:
    """A value with its tensors' shapes in their places, as a key; 1, 1.0 and True are three."""
    if isinstance(value, Tensor):
        if not value.is_meta or type(value) not in (Tensor, nn.Parameter):
            raise TypeError
        return Tensor, (value.shape, value.stride(), value.dtype), value.is_conj(), value.is_neg()
    if isinstance(value, tuple | list):
        return type(value), tuple(map(_told, value))
    if not isinstance(value, KEYS):
        raise TypeError
    return type(value), value


def _blank(told: Any) -> Any:
    """What was ``_told``, its tensors new."""
    kind, value = told[:2]
    if kind is Tensor:
        shape, strides, dtype = value
        return torch.empty_strided(shape, strides, dtype=dtype, device="meta")
    return kind(map(_blank, value)) if kind in (tuple, list) else value
