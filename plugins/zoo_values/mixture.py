"""A mixture of Gaussians as the prior, fitted on the codes of a finished training (Ghosh et al. 2020, section 4)."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from zoo import api

BEGUN = 10_000
"""Codes, evenly spread, from which the components begin."""
CHUNK = 4096
"""Codes that are looked at together."""
LEAST = 1e-6
"""Added to each variance, as a share of that of all codes."""


class Mixture(nn.Module):
    """p(z) = sum_k w_k N(z; m_k, S_k), with whole covariances; N(0, I) until ``fit``.

    Args:
        latent: K, dimensions of a code, or its shape, whose numbers are then one vector.
        components: how many Gaussians; 10 in the paper.
        iterations: of expectation and maximisation, at most (Dempster et al. 1977).
        tolerance: nats by which the mean log-likelihood must still grow.

    Raises:
        ValueError: if there is no component.
    """

    def __init__(
        self,
        latent: int | tuple[int, ...],
        *,
        components: int = 10,
        iterations: int = 100,
        tolerance: float = 1e-3,
    ) -> None:
        super().__init__()
        if components < 1:
            raise ValueError(f"'components' is at least 1, not {components}")
        self.shape = (latent,) if isinstance(latent, int) else tuple(latent)
        self.iterations, self.tolerance = iterations, tolerance
        size = math.prod(self.shape)
        self.register_buffer("weights", torch.full((components,), 1 / components))
        self.register_buffer("means", torch.zeros(components, size))
        self.register_buffer("factors", torch.eye(size).repeat(components, 1, 1))  # of S_k, lower triangles

    def sample(self, batch: int, draw: "api.Draw") -> Tensor:
        """``batch`` codes, (B, K) or of any other shape."""
        numbers, normal = draw.uniform(batch), draw.normal(batch, self.means.shape[1])
        ends = self.weights.cumsum(0) / self.weights.sum()
        which = torch.searchsorted(ends, numbers.to(ends), right=True).clamp(max=len(ends) - 1)
        moved = (self.factors[which] @ normal.to(self.factors)[:, :, None])[:, :, 0]
        return (self.means[which] + moved).view(batch, *self.shape)

    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z) of codes (B, K) or of any other shape, in nats, (B,)."""
        return torch.logsumexp(_joint(z.flatten(1), self.weights, self.means, self.factors), 1)

    @torch.no_grad()
    def fit(self, codes: Tensor, draw: "api.Draw") -> None:
        """Fits it by expectation and maximisation, in float64, from seeds that lie apart (Arthur & Vassilvitskii 2007).

        Args:
            codes: (N, K) or (N, ...).
            draw: the numbers that seeds are chosen by.

        Raises:
            ValueError: if there are fewer codes than components, or they are of another shape.
        """
        if codes.shape[1:] != self.shape:
            raise ValueError(f"it is a mixture of codes of shape {self.shape}, not {tuple(codes.shape[1:])}")
        count, components = len(codes), len(self.weights)
        if count < components:
            raise ValueError(f"{count} codes are too few for {components} components; set 'components' lower")
        first = codes[:: -(-count // BEGUN)].flatten(1).to(self.means.device, torch.float64)
        least = LEAST * float(first.var(0, unbiased=False).mean()) + 1e-12
        seeds = _apart(first, components, draw)
        nearest = torch.cdist(first, seeds).argmin(1)
        found = _maximised(iter([(first, nn.functional.one_hot(nearest, components).double())]), least)
        before = -math.inf
        for _ in range(self.iterations):
            total = [0.0]
            found = _maximised(self._expected(codes, found, total), least)
            if total[0] / count - before < self.tolerance:
                break
            before = total[0] / count
        for buffer, value in zip((self.weights, self.means, self.factors), found, strict=True):
            buffer.copy_(value)

    def _expected(
        self, codes: Tensor, found: tuple[Tensor, Tensor, Tensor], total: list[float]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Codes, some at a time, and each component's share in each; their log-likelihood is added to ``total``."""
        for some in codes.split(CHUNK):
            z = some.flatten(1).to(self.means.device, torch.float64)
            joint = _joint(z, *found)
            whole = torch.logsumexp(joint, 1, keepdim=True)
            total[0] += float(whole.sum())
            yield z, (joint - whole).exp()


def _joint(z: Tensor, weights: Tensor, means: Tensor, factors: Tensor) -> Tensor:
    """log w_k + log N(z; m_k, S_k), (B, components)."""
    apart = (z[None] - means[:, None]).transpose(1, 2)  # (components, K, B)
    squares = torch.linalg.solve_triangular(factors, apart, upper=False).square().sum(1).T
    volume = factors.diagonal(dim1=1, dim2=2).log().sum(1) + 0.5 * z.shape[1] * math.log(2 * math.pi)
    return weights.log() - 0.5 * squares - volume


def _maximised(shared: Iterator[tuple[Tensor, Tensor]], least: float) -> tuple[Tensor, Tensor, Tensor]:
    """Weights, means and factors of the covariances, of codes (B, K) and shares (B, components) in one pass."""
    counts = sums = squares = torch.zeros(())
    for z, shares in shared:
        weighted = shares.T[:, :, None] * z  # (components, B, K)
        counts = counts.to(z) + shares.sum(0)
        sums = sums.to(z) + weighted.sum(1)
        squares = squares.to(z) + weighted.transpose(1, 2) @ z
    counts = counts.clamp(min=1e-9)
    means = sums / counts[:, None]
    covariances = squares / counts[:, None, None] - means[:, :, None] * means[:, None]
    covariances.diagonal(dim1=1, dim2=2).add_(least)
    return counts / counts.sum(), means, torch.linalg.cholesky(covariances)


def _apart(codes: Tensor, count: int, draw: "api.Draw") -> Tensor:
    """Codes of which each is chosen by its squared distance to those before."""
    numbers = draw.uniform(count).tolist()
    chosen = [int(numbers[0] * len(codes))]
    distances = torch.full((len(codes),), math.inf, dtype=codes.dtype, device=codes.device)
    for number in numbers[1:]:
        distances = torch.minimum(distances, (codes - codes[chosen[-1]]).square().sum(1))
        ends = distances.cumsum(0)
        chosen.append(min(int(torch.searchsorted(ends, number * float(ends[-1]), right=True)), len(codes) - 1))
    return codes[chosen]
