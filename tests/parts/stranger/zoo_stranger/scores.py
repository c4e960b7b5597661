"""Losses of critics whose output is a score."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import relu

from zoo import api


def wasserstein(critic_x: api.CriticOutput, critic_generated: api.CriticOutput) -> Tensor:
    """C(G) - C(x) (Arjovsky et al. 2017, eq. 2): minus a lower bound of W1, if C is 1-Lipschitz."""
    return critic_generated.logit.mean() - critic_x.logit.mean()


def hinge(critic_x: api.CriticOutput, critic_generated: api.CriticOutput) -> Tensor:
    """max(0, 1 - C(x)) + max(0, 1 + C(G)) (Lim & Ye 2017, eq. 10)."""
    return relu(1 - critic_x.logit).mean() + relu(1 + critic_generated.logit).mean()


def raise_score(critic_generated: api.CriticOutput) -> Tensor:
    """-C(G): what the generator minimises against either."""
    return -critic_generated.logit.mean()
