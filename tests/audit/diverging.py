"""What each of two processes does for ``test_audit_ranks.py``: python diverging.py RANK FILE, prints what was found."""

from __future__ import annotations

import json
import sys

import torch
import torch.distributed as dist
import torch.nn.functional as F
from nets import Autoencoder, critic, generator, pixels, points
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import SGD, Adam

import zoo


def averaged(net: nn.Module) -> None:
    for p in net.parameters():
        dist.all_reduce(p.grad)
        p.grad /= dist.get_world_size()


def own(batch: Tensor) -> Tensor:
    return batch[dist.get_rank() :: dist.get_world_size()]


def nothing_wrapped(faulty: bool) -> None:
    net = Autoencoder()
    model = net if faulty else DistributedDataParallel(net)
    opt = Adam(model.parameters(), 1e-3)
    for x in pixels(4):
        opt.zero_grad()
        F.mse_loss(model(own(x)), own(x)).backward()
        opt.step()


def critic_not_averaged(faulty: bool) -> None:
    G, D = generator(), critic()
    G = DistributedDataParallel(G)
    opt_G, opt_D = Adam(G.parameters(), 1e-3), SGD(D.parameters(), 0.1)
    for real in points(4):
        opt_D.zero_grad()
        loss = F.softplus(-D(own(real))).mean() + F.softplus(D(G(torch.randn(8, 3)).detach())).mean()
        loss.backward()
        if not faulty:
            averaged(D)
        opt_D.step()
        D.requires_grad_(False)
        opt_G.zero_grad()
        F.softplus(-D(G(torch.randn(8, 3)))).mean().backward()
        opt_G.step()
        D.requires_grad_(True)


def started_apart(faulty: bool) -> None:
    torch.manual_seed(dist.get_rank() if faulty else 0)
    net = Autoencoder()
    opt = SGD(net.parameters(), 0.1)
    for x in pixels(4):
        opt.zero_grad()
        loss = (net(own(x)) - own(x)).abs().mean()
        loss.backward()
        averaged(net)
        opt.step()


def main(rank: int, file: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    told = {}
    for loop in (nothing_wrapped, critic_not_averaged, started_apart):
        for faulty in (True, False):
            torch.manual_seed(0)
            with zoo.audit() as found:
                loop(faulty)
            told[f"{loop.__name__} {faulty}"] = [problem.kind for problem in found.problems]
    print(json.dumps(told))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
