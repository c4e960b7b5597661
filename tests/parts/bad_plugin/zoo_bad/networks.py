"""Networks and priors, each with one fault. ``Net`` and ``Prior`` have none."""
# ruff: noqa: ARG002

from __future__ import annotations

import itertools
import os
from typing import Any

import torch
from torch import Tensor, nn

from zoo import api

DOC = """A net.

    Args:
        width: units of its hidden layer.
        tuned: nothing.
    """
COUNTER = itertools.count()


class Net(nn.Module):
    kind = ""

    def __init__(self, channels: int, size: int, latent: int, noise: int, *, width: int = 4) -> None:
        super().__init__()
        pixels = channels * size**2
        inputs = {"decoder": latent, "generator": latent + noise, "module": pixels + 12}.get(self.kind, pixels)
        outputs = {"encoder": 2 * latent, "critic": 1}.get(self.kind, pixels)
        self.image = (channels, size, size)
        self.inner, self.outer = nn.Linear(inputs, width), nn.Linear(width, outputs)
        self.prepare()

    def prepare(self) -> None:
        """What a fault needs beside."""

    def forward(self, *inputs: Tensor) -> Any:
        return self.finish(self.outer(self.hidden(*inputs)))

    def hidden(self, *inputs: Tensor) -> Tensor:
        return self.middle(self.inner(torch.cat([x.flatten(1) for x in inputs], 1)))

    def middle(self, h: Tensor) -> Tensor:
        return h.tanh()

    def finish(self, out: Tensor) -> Any:
        if self.kind == "encoder":
            return api.Gaussian(*out.chunk(2, 1))
        if self.kind == "critic":
            return api.CriticOutput(out.squeeze(1))
        return out.tanh().view(len(out), *self.image)


class Good:
    pass


class OptionsDocumented:
    __doc__ = "A net that says nothing of its options."


class OptionsRoundTrip:
    def __init__(self, channels: int, size: int, latent: int, noise: int, *, width: int = 4, tuned: int = 1.5) -> None:
        super().__init__(channels, size, latent, noise, width=width)


class Example:
    def __init__(self, channels: int, size: int, latent: int, noise: int, *, width: int = 4, tuned: int) -> None:
        super().__init__(channels, size, latent, noise, width=width)


class Signature:
    def __init__(self, channels: int, size: int, latent: int, noise: int, colour: int) -> None:
        super().__init__(channels, size, latent, noise)


class OutputType:
    def finish(self, out: Tensor) -> Any:
        found = super().finish(out)
        if self.kind == "encoder":
            return found.mean
        if self.kind == "module":
            return [found]
        return found.logit if self.kind == "critic" else api.CriticOutput(found)


class Shapes:
    def finish(self, out: Tensor) -> Any:
        found = super().finish(out)
        grey = self.image[0] == 1
        if self.kind == "encoder":
            return api.Gaussian(found.mean[:, None], found.log_sigma) if grey else found
        if self.kind == "critic":
            return api.CriticOutput(found.logit[:, None]) if grey else found
        return found.mT[..., :-1] if grey else found


class Dtype:
    def middle(self, h: Tensor) -> Tensor:
        return h.tanh().to(torch.float32 if h.dtype is torch.bfloat16 else h.dtype)


class DeviceMove:
    def prepare(self) -> None:
        self.table = torch.zeros(3)


class Determinism:
    def prepare(self) -> None:
        self.register_buffer("number", torch.full((1,), float(next(COUNTER))))


class EvaluationRepeats:
    calls = 0

    def finish(self, out: Tensor) -> Any:
        self.calls += 1
        return super().finish(out + 0.1 * self.calls)


class EvaluationKeepsState:
    def prepare(self) -> None:
        self.register_buffer("seen", torch.zeros(1))

    def middle(self, h: Tensor) -> Tensor:
        self.seen.add_(1)
        return h.tanh()


class BatchIndependence:
    def middle(self, h: Tensor) -> Tensor:
        return (h - 0.5 * h.mean(0)).tanh()


class InputsUntouched:
    def hidden(self, *inputs: Tensor) -> Tensor:
        if not inputs[-1].requires_grad:
            inputs[-1].add_(1)
        return super().hidden(*inputs)


class MemoryLayout:
    def prepare(self) -> None:
        self.kernel = nn.Parameter(torch.zeros(2, 3, 2, 2))

    def middle(self, h: Tensor) -> Tensor:
        return h.tanh() + self.kernel.view(-1).sum()


class Gradients:
    def prepare(self) -> None:
        self.idle = nn.Parameter(torch.zeros(1))


class InputGradients:
    def hidden(self, *inputs: Tensor) -> Tensor:
        return super().hidden(*inputs[:-1], inputs[-1].detach())


class StateDictRoundTrip:
    def prepare(self) -> None:
        self.gain = torch.rand((), device="cpu").item()

    def middle(self, h: Tensor) -> Tensor:
        return self.gain * h.tanh()


class PickleFreeSave:
    def get_extra_state(self) -> dict[str, int]:
        return {"steps": 3}


class NoGlobalSideEffect:
    def middle(self, h: Tensor) -> Tensor:
        os.environ["ZOO_BAD"] = str(next(COUNTER))
        return h.tanh()


class DoubleBackward:
    def middle(self, h: Tensor) -> Tensor:
        return _OnlyOnce.apply(h.tanh())


class _OnlyOnce(torch.autograd.Function):
    """h^2, whose backward holds h: the gradient is right, the gradient of the gradient is not."""

    @staticmethod
    def forward(ctx: Any, h: Tensor) -> Tensor:
        ctx.save_for_backward(h)
        return h.square()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return 2 * ctx.saved_tensors[0].detach() * gradient


FAULTS = (
    Good,
    Signature,
    OptionsDocumented,
    OptionsRoundTrip,
    Example,
    OutputType,
    Shapes,
    Dtype,
    DeviceMove,
    Determinism,
    EvaluationRepeats,
    EvaluationKeepsState,
    BatchIndependence,
    InputsUntouched,
    MemoryLayout,
    Gradients,
    InputGradients,
    StateDictRoundTrip,
    PickleFreeSave,
    NoGlobalSideEffect,
    DoubleBackward,
)


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


for _kind in ("encoder", "decoder", "generator", "critic", "module"):
    for _fault in FAULTS:
        _members = {"kind": _kind, "__doc__": _fault.__doc__ or DOC}
        globals()[f"{_kind}_{_snake(_fault.__name__)}"] = type(_fault.__name__, (_fault, Net), _members)


# -- priors --------------------------------------------------------------------------------------------------


class prior_good(nn.Module):
    def __init__(self, latent: int, *, scale: float = 1.0) -> None:
        """Codes.

        Args:
            latent: their dimensions.
            scale: their size.
        """
        super().__init__()
        self.latent, self.scale = latent, scale
        self.shift = nn.Parameter(torch.zeros(latent))

    def sample(self, batch: int, draw: api.Draw) -> Tensor:
        return draw.normal(batch, self.latent) * self.scale + self.shift

    def log_prob(self, z: Tensor) -> Tensor:
        return -0.5 * (z - self.shift).square().sum(1)


class prior_signature(prior_good):
    def __init__(self, latent: int, colour: int) -> None:
        super().__init__(latent)


class prior_options_documented(prior_good):
    def __init__(self, latent: int, *, scale: float = 1.0) -> None:
        super().__init__(latent, scale=scale)


class prior_options_round_trip(prior_good):
    """Codes.

    Args:
        scale: their size.
    """

    def __init__(self, latent: int, *, scale: int = 1.5) -> None:
        super().__init__(latent, scale=scale)


class prior_example(prior_good):
    """Codes.

    Args:
        scale: their size.
    """

    def __init__(self, latent: int, *, scale: float) -> None:
        super().__init__(latent, scale=scale)


class prior_shapes(prior_good):
    def sample(self, batch: int, draw: api.Draw) -> Tensor:
        return super().sample(batch, draw)[:, : 9 if self.latent == 16 else None]


class prior_log_prob(prior_good):
    def log_prob(self, z: Tensor) -> Tensor:
        return super().log_prob(z).sum()


class prior_determinism(prior_good):
    def sample(self, batch: int, draw: api.Draw) -> Tensor:
        return self.shift.expand(batch, -1) + 1


class prior_dtype(prior_good):
    def sample(self, batch: int, draw: api.Draw) -> Tensor:
        return super().sample(batch, draw).float()


class prior_device_move(prior_good):
    def __init__(self, latent: int) -> None:
        super().__init__(latent)
        self.table = torch.zeros(latent)


class prior_gradients(prior_good):
    def sample(self, batch: int, draw: api.Draw) -> Tensor:
        return draw.normal(batch, self.latent) + self.shift.detach()

    def log_prob(self, z: Tensor) -> Tensor:
        return -0.5 * (z - self.shift.detach()).square().sum(1)


class prior_state_dict_round_trip(prior_good):
    def __init__(self, latent: int) -> None:
        super().__init__(latent, scale=torch.rand((), device="cpu").item())


class prior_pickle_free_save(prior_good):
    def get_extra_state(self) -> dict[str, int]:
        return {"steps": 3}


class prior_no_global_side_effect(prior_good):
    def sample(self, batch: int, draw: api.Draw) -> Tensor:
        os.environ["ZOO_BAD"] = str(next(COUNTER))
        return super().sample(batch, draw)
