"""Which tensors of a network are kept with its weights: tied ones once, and none that could not be read again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

TYPES = (
    "float8_e5m2 float8_e4m3fn float64 float32 float16 bfloat16 int64 int32 int16 int8 uint64 uint32 uint16 uint8 bool"
)
CODES = "F8_E5M2 F8_E4M3 F64 F32 F16 BF16 I64 I32 I16 I8 U64 U32 U16 U8 BOOL"
NAMES = dict(zip((getattr(torch, name) for name in TYPES.split()), CODES.split(), strict=True))
"""The names that safetensors files have for types."""


def keep_once(module: nn.Module) -> None:
    """Has the state of a module, and of what it is put into, name weights once that are tied now; loading fills every
    place.
    """
    tied = _ties(module)
    module.register_state_dict_post_hook(partial(_named_once, tied))  # type: ignore[no-untyped-call]
    module.register_load_state_dict_pre_hook(partial(_named_again, tied))  # type: ignore[no-untyped-call]


def _ties(module: nn.Module) -> dict[str, str]:
    """Each further name of a tensor that has several, with the first of them."""
    first: dict[int, str] = {}
    named = chain(module.named_parameters(remove_duplicate=False), module.named_buffers(remove_duplicate=False))
    return {name: first[id(tensor)] for name, tensor in named if first.setdefault(id(tensor), name) != name}


def _named_once(tied: Mapping[str, str], module: nn.Module, state: dict[str, Any], prefix: str, _: Any) -> None:
    for name, _ in tied.items() & _ties(module).items():
        state.pop(prefix + name, None)


def _named_again(tied: Mapping[str, str], _: nn.Module, state: dict[str, Any], prefix: str, *__: Any) -> None:
    for name, first in tied.items():
        if prefix + first in state:
            state.setdefault(prefix + name, state[prefix + first])


def unmade(module: nn.Module) -> str:
    """Says which part of a module has no weights yet, if one has none; for a sentence."""
    for name, part in module.named_modules():
        own = chain(part.named_parameters(recurse=False), part.named_buffers(recurse=False))
        if any(is_lazy(tensor) for _, tensor in own):
            whose = f"has a {type(part).__name__} '{name}', which" if name else f"is a {type(part).__name__}: it"
            return f"{whose} has no weights before it has seen a batch; give it its sizes when it is made"
    return ""


def unkept(module: nn.Module) -> Iterator[str]:
    """Says of each tensor that could not be written with the weights why, for a sentence."""
    for name, value in module.state_dict(keep_vars=True).items():
        if not isinstance(value, Tensor):
            yield f"has '{name}' in its state, {type(value).__name__}, and weights are tensors; make it a buffer"
        elif why := _unkept(value):
            what = "parameter" if isinstance(value, nn.Parameter) else "buffer"
            yield f"has a {what} '{name}' that {why}"


def _unkept(tensor: Tensor) -> str:
    cure = "register it with persistent=False and make it in __init__"
    if tensor.layout != torch.strided:
        return f"is {str(tensor.layout).removeprefix('torch.')}, which no file of weights holds; {cure}"
    if tensor.dtype not in NAMES:
        return f"is {tensor.dtype}, which no file of weights holds; {cure}"
    return ""


def unexpand(module: nn.Module) -> None:
    """Gives each number of a module's buffers a place of its own: into those of expanded ones nothing can be put."""
    for part in module.modules():
        for name, buffer in part.named_buffers(recurse=False):
            places = zip(buffer.shape, buffer.stride(), strict=True) if buffer.layout == torch.strided else ()
            if any(n > 1 and not step for n, step in places):
                part._buffers[name] = buffer.clone(memory_format=torch.contiguous_format)


def lay_innermost(module: nn.Module) -> None:
    """Lays a module's tensors of four dimensions with channels innermost in memory; volumes' stay as they are."""
    for tensor in chain(module.parameters(), module.buffers()):
        if not is_lazy(tensor) and tensor.layout == torch.strided and tensor.ndim == 4:
            tensor.data = tensor.data.to(memory_format=torch.channels_last)
