"""What a step under audit costs, and the memory: python tests/audit/cost.py mlp|dcgan|wide [audit]."""

from __future__ import annotations

import resource
import sys
import time
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from nets import mlp
from torch import Tensor, nn
from torch.optim import Adam

import zoo


def generator(width: int) -> nn.Module:
    """DCGAN's, of 32 pixels."""
    layers: list[nn.Module] = []
    for number, (a, b) in enumerate([(64, 4 * width), (4 * width, 2 * width), (2 * width, width)]):
        layers += [nn.ConvTranspose2d(a, b, 4, 2 if number else 1, 1 if number else 0), nn.BatchNorm2d(b), nn.ReLU()]
    return nn.Sequential(*layers, nn.ConvTranspose2d(width, 3, 4, 2, 1), nn.Tanh())


def critic(width: int) -> nn.Module:
    layers: list[nn.Module] = []
    for a, b in [(3, width), (width, 2 * width), (2 * width, 4 * width)]:
        layers += [nn.Conv2d(a, b, 4, 2, 1), nn.BatchNorm2d(b), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(4 * width, 1, 4, 1, 0))


def main(which: str, watched: bool) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    width, batch, steps = {"mlp": (0, 64, 100), "dcgan": (16, 32, 25), "wide": (96, 8, 12)}[which]
    G, D = (generator(width), critic(width)) if width else (mlp(3, 16, 16, 2), mlp(2, 16, 16, 1))
    x = torch.randn(batch, 3, 32, 32) if width else torch.randn(batch, 2)
    opt_G, opt_D = Adam(G.parameters(), 2e-4), Adam(D.parameters(), 2e-4)

    def fakes() -> Tensor:
        return G(torch.randn(batch, 64, 1, 1) if width else torch.randn(batch, 3))

    times = []
    with zoo.audit() if watched else nullcontext():
        for _ in range(steps):
            start = time.process_time()
            opt_D.zero_grad()
            fake = fakes()
            (F.softplus(-D(x)).mean() + F.softplus(D(fake.detach())).mean()).backward()
            opt_D.step()
            opt_G.zero_grad()
            F.softplus(-D(fake)).mean().backward()
            opt_G.step()
            times.append(time.process_time() - start)
    median = sorted(times[5:])[len(times[5:]) // 2]
    print(f"{1e3 * median:.1f} ms, {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main(sys.argv[1], "audit" in sys.argv[2:])
