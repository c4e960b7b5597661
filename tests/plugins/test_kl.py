"""KL-f8's steps against a loop written by hand from the paper on the library's own autoencoder, in float64."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import diffusers
import torch
from torch import Tensor

import zoo
from zoo.engine.engine import Engine

BATCH, SIZE, START = 3, 16, 2
CONFIG = {"block_out_channels": [4, 8], "layers_per_block": 1, "latent_channels": 3, "norm_num_groups": 2}
LATENT = (3, SIZE // 2, SIZE // 2)
RECIPE: dict[str, Any] = {
    "extends": "kl-f8",
    "data": {"size": SIZE},
    "slots": {
        "encoder": {"config": CONFIG},
        "decoder": {"config": CONFIG},
        "critic": {"width": 4, "layers": 1},
        "perceptual": {"kind": "module", "use": "pd-lite0"},
    },
    "phases": [
        {
            "encoder + decoder + variance": {
                "distance": 1.0,
                "kl": 1e-6,
                "adaptive_fooling": {"weight": {"from": 0.5, "to": 0.5, "start": START}},
            }
        },
        {
            "rows": {"critic": {"hinge": {"weight": 0.5, "with": {"critic_generated": "critic_reconstruction"}}}},
            "start": START,
        },
    ],
    "train": {
        "steps": 4,
        "batch": BATCH,
        "precision": "float32",
        "optimizer": {"use": "adam", "lr": 1e-3, "betas": [0.5, 0.9], "eps": 1e-3},
    },
    "evaluate": [],
}


def images(turn: int) -> Tensor:
    return torch.rand(BATCH, 3, SIZE, SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(turn)) * 2 - 1


def by_hand(model: Any, steps: int) -> dict[str, Tensor]:
    """The paper's loop (appendix G): the autoencoder's step, then the critic's on what it has become."""
    blocks = {"down_block_types": ["DownEncoderBlock2D"] * 2, "up_block_types": ["UpDecoderBlock2D"] * 2}
    ae = diffusers.AutoencoderKL(**CONFIG, **blocks).double()
    ae.load_state_dict({**model.encoder.state_dict(), **model.decoder.state_dict()})
    s = torch.zeros((), dtype=torch.float64, requires_grad=True)
    critic, judge = deepcopy(model.critic).requires_grad_(True).train(), model.perceptual
    how = {"lr": 1e-3, "betas": (0.5, 0.9), "eps": 1e-3}
    first, second = torch.optim.Adam([*ae.parameters(), s], **how), torch.optim.Adam(critic.parameters(), **how)
    numbers = 3 * SIZE**2

    def through(step: int, x: Tensor) -> tuple[Any, Tensor]:
        q = ae.encode(x).latent_dist
        eps = model.draw("train", step, (), "z_posterior").normal(BATCH, *LATENT)
        return q, ae.decode(q.mean + q.std * eps).sample

    for step in range(steps):
        x = images(step)
        q, rec = through(step, x)
        each = (x - rec).abs().sum((1, 2, 3)) + numbers * judge(x, rec)
        nll = (each / s.exp() + numbers * s).mean()
        loss = nll + 1e-6 * 0.5 * (q.mean**2 + q.var - 1 - q.logvar).sum() / BATCH
        if step >= START:
            fooling, last = -critic(rec).logit.mean(), ae.decoder.conv_out.weight
            slopes = [torch.autograd.grad(of, last, retain_graph=True)[0].norm() for of in (nll, fooling)]
            loss = loss + 0.5 * (slopes[0] / (slopes[1] + 1e-4)).clamp(0, 1e4).detach() * fooling
        first.zero_grad()
        loss.backward(inputs=[*ae.parameters(), s])
        first.step()
        if step >= START:
            rec = through(step, x)[1].detach()
            hinge = (1 - critic(x).logit).relu().mean() + (1 + critic(rec).logit).relu().mean()
            second.zero_grad()
            (0.5 * hinge).backward()
            second.step()
    named = {f"critic.{name}": p for name, p in critic.named_parameters()} | {"variance.log_variance": s}
    halves = {name: "encoder" if name.startswith(("encoder", "quant")) else "decoder" for name in ae.state_dict()}
    return named | {f"{halves[name]}.{name}": p for name, p in ae.named_parameters()}


def test_kl_f8s_steps_are_those_written_by_hand() -> None:
    model = zoo.build(RECIPE).double()
    started = {name: p.detach().clone() for name, p in model.named_parameters()}
    expected = by_hand(model, 4)
    engine = Engine(model)
    for step in range(4):
        if step == START:  # no gradient came to the critic, nor ever to the judge
            assert all(torch.equal(p, started[f"critic.{name}"]) for name, p in model.critic.named_parameters())
        engine.step(images)
    for name, p in model.named_parameters():
        wanted = started[name] if name.startswith("perceptual.") else expected[name].detach()
        torch.testing.assert_close(p.detach(), wanted, rtol=0, atol=1e-9, msg=name)
    moved = {name.split(".")[0] for name, p in model.named_parameters() if not torch.equal(p, started[name])}
    assert moved == {"encoder", "decoder", "variance", "critic"}
