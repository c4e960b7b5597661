"""Batch normalisation over the batches of all processes (``train.sync_batch_norm``)."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import batch_norm

from zoo.errors import RequestError

KINDS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class SyncBatchNorm(nn.SyncBatchNorm):
    """Batch norm whose batch is that of all processes together.

    Torch's own does so on GPUs alone. Mean and variance are those of Ioffe & Szegedy 2015, the running
    ones with Bessel's correction, as torch keeps them. Gradients of gradients go through it too.
    """

    alone = False
    """Normalise over this process's batch alone: at evaluation no other process need be at it."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, ...) normalised over all processes' B and what follows C; same shape."""
        running = not self.training and self.track_running_stats
        if self.alone or running:
            kept = (self.running_mean, self.running_var) if running else (None, None)
            return batch_norm(input, *kept, self.weight, self.bias, training=not running, eps=self.eps)
        axes = [axis for axis in range(input.dim()) if axis != 1]
        shape = [1, -1, *[1] * (input.dim() - 2)]
        numbers = input.float() if input.dtype in (torch.bfloat16, torch.float16) else input
        count = numbers.numel() // numbers.shape[1] * dist.get_world_size()
        mean: Tensor = _Sum.apply(numbers.sum(axes)) / count
        centred = numbers - mean.view(shape)
        variance: Tensor = _Sum.apply(centred.square().sum(axes)) / count
        if self.training and self.track_running_stats:
            self._keep(mean.detach(), variance.detach() * count / (count - 1))
        normalised: Tensor = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            normalised = normalised * self.weight.view(shape) + self.bias.view(shape)
        return normalised.to(input.dtype)

    @torch.no_grad()
    def _keep(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(variance.to(self.running_var.dtype), share)


class _Sum(torch.autograd.Function):
    """The sum over all processes; so is its gradient."""

    @staticmethod
    def forward(_: Any, tensor: Tensor) -> Tensor:
        whole = tensor.clone()
        dist.all_reduce(whole)
        return whole

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> Any:
        return _Sum.apply(gradients[0].contiguous())


def synchronise(model: nn.Module) -> None:
    """Has a model's batch norms take their statistics over all processes; parameters and buffers stay the same objects.

    One of another class, whose own forward would be lost, is a RequestError.
    """
    for parent in list(model.modules()):
        for name, module in list(parent.named_children()):
            if not isinstance(module, (*KINDS, nn.SyncBatchNorm)) or isinstance(module, SyncBatchNorm):
                continue
            if type(module) not in KINDS:
                raise RequestError(
                    f"train.sync_batch_norm: {type(module).__name__} is not torch's batch norm and cannot be "
                    "synchronised; set it to false"
                )
            own = SyncBatchNorm(
                module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats
            )
            own.train(module.training)
            own._parameters, own._buffers = module._parameters, module._buffers
            setattr(parent, name, own)
