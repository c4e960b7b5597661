"""The tuned loops of ``kl-f8-mini`` and ``vqgan-mini`` with every term playing, as an expert writes them.

Esser et al. 2021, Rombach et al. 2022: sums over an image's numbers, means over the batch; the adaptive weight is taken
at the decoder's last layer. Of a phase each network is called once on each input, and then gradients are taken. The
judge is frozen. The critic of ``kl-f8-mini`` has a phase of its own, of images made anew by the autoencoder that moved.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from zoo.model.model import Model

from ..cases import Draw

LR, BETAS = 1e-3, (0.5, 0.9)
KL, KL_FOOLED, KL_CRITIC, KL_JUDGE = 1e-6, 0.5, 0.5, 0.02
VQ_COMMITTED, VQ_FOOLED, VQ_JUDGE = 1.5, 0.8, 0.1


class Latent:
    """One optimiser for all that the autoencoder's loss trains, one for the critic.

    Args:
        model: whose networks are trained, in place.
        name: ``kl-f8-mini`` or ``vqgan-mini``.
        dtype: what networks compute in under autocast; None for that of their parameters.
    """

    def __init__(self, model: Model, name: str, dtype: torch.dtype | None = None) -> None:
        self.model, self.dtype, self.kl = model.train(), dtype, name.startswith("kl")
        slots = ("encoder", "decoder", *(["variance"] if self.kl else []))
        self.own = [p for slot in slots for p in model.get_submodule(slot).parameters()]
        self.critics = list(model.critic.parameters())
        self.last = [p for p in model.decoder.parameters() if p.ndim > 1][-1]
        self.optimizers = [torch.optim.Adam(ps, lr=LR, betas=BETAS, fused=True) for ps in (self.own, self.critics)]

    def step(self, x: Tensor, draw: Draw) -> dict[str, Tensor]:
        """Every row's terms, by the names the engine gives them; the networks have moved."""
        m = self.model
        with torch.autocast(x.device.type, self.dtype, enabled=self.dtype is not None):
            reconstruction, terms = self._kl(x, draw) if self.kl else self._vq(x)
            judged = m.perceptual(x, reconstruction).to(reconstruction)
            judge = KL_JUDGE if self.kl else VQ_JUDGE
            distance = (x - reconstruction).abs().flatten(1).sum(1) + judge * x[0].numel() * judged
            distance = (m.variance(distance) if self.kl else distance).mean()
            fake = _full(m.critic(reconstruction).logit)
            hinge = None if self.kl else self._hinge(x, fake)
        fooled, weights = -fake.mean(), (KL, KL_FOOLED) if self.kl else (VQ_COMMITTED, VQ_FOOLED)
        above, below = (torch.autograd.grad(of, self.last, retain_graph=True)[0].norm() for of in (distance, fooled))
        adaptive = (above / (below + 1e-4)).clamp(0, 1e4).detach() * fooled
        ((name, term),) = terms.items()
        loss = distance + weights[0] * term + weights[1] * adaptive
        gradients = torch.autograd.grad(loss, self.own, retain_graph=not self.kl, allow_unused=True)
        others = () if hinge is None else torch.autograd.grad(hinge, self.critics)
        _move(self.optimizers[0], self.own, gradients)
        if hinge is None:
            with torch.autocast(x.device.type, self.dtype, enabled=self.dtype is not None):
                with torch.no_grad():
                    again, _ = self._kl(x, draw)
                hinge = self._hinge(x, _full(m.critic(again).logit))
            others = torch.autograd.grad(KL_CRITIC * hinge, self.critics)
        _move(self.optimizers[1], self.critics, others)
        row = "encoder + decoder" + " + variance" * self.kl
        told = {"distance": distance, name: term, "adaptive_fooling": adaptive}
        return {**{f"{row}/{key}": value.detach() for key, value in told.items()}, "critic/hinge": hinge.detach()}

    def _kl(self, x: Tensor, draw: Draw) -> tuple[Tensor, dict[str, Tensor]]:
        posterior = self.model.encoder(x)
        mean, log_sigma = _full(posterior.mean), _full(posterior.log_sigma)
        z = mean + log_sigma.exp() * draw("z_posterior", *mean.shape)
        kl = ((mean.square() + (2 * log_sigma).exp() - 1) * 0.5 - log_sigma).flatten(1).sum(1).mean()
        return _full(self.model.decoder(z)), {"kl": kl}

    def _vq(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        codes = _full(self.model.encoder(x).mean)
        quantised = self.model.quantiser(codes)
        committed = (codes - quantised.entries[:, 0].detach()).square().sum() / len(x)
        return _full(self.model.decoder(quantised.code)), {"commitment": committed}

    def _hinge(self, x: Tensor, fake: Tensor) -> Tensor:
        real = _full(self.model.critic(x).logit)
        return relu(1 - real).mean() + relu(1 + fake).mean()


def _move(optimizer: torch.optim.Optimizer, own: list[nn.Parameter], gradients: tuple[Tensor | None, ...]) -> None:
    """Fused Adam walks both as flat memory: with other strides it would be wrong, without a word."""
    for parameter, gradient in zip(own, gradients, strict=True):
        laid = gradient is None or gradient.stride() == parameter.stride()
        parameter.grad = gradient if laid else torch.empty_like(parameter).copy_(gradient)
    optimizer.step()
    for parameter in own:
        parameter.grad = None


def _full(tensor: Tensor) -> Tensor:
    """Losses are float32 at least, as under every autocast."""
    return tensor.float() if tensor.dtype == torch.bfloat16 else tensor
