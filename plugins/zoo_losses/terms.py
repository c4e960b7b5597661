"""Terms: scalar functions of values, in nats, averaged over the batch.

Sums over pixels, channels and latent dimensions are sums, never means, unless a recipe says ``per: number``: where a
published weight is that of a mean, beside a critic's opinion, it then is the same for images of any size. ``softplus``
of a logit is a binary cross-entropy: -log sigmoid(c) = softplus(-c).
"""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor
from torch.nn.functional import softplus

from zoo import api


def reconstruction(
    x: Tensor,
    reconstruction: Tensor,
    *,
    sigma: float = 1.0,
    distance: Literal["squared", "absolute"] = "squared",
    per: Literal["item", "number"] = "item",
) -> Tensor:
    """-log p(x|z) without its constant: sum |x - x_rec|^2 / (2 sigma^2), or sum |x - x_rec| / sigma.

    Args:
        x: images (B, C, H, W).
        reconstruction: their reconstructions, same shape.
        sigma: standard deviation (scale for ``absolute``) of the decoder's distribution.
        distance: squared for a Gaussian decoder, absolute for a Laplace one.
        per: ``item``, the sum over an image's C H W numbers; ``number``, their mean.
    """
    error = x - reconstruction
    items = x.numel() if per == "number" else len(x)
    if distance == "absolute":
        return error.abs().sum() / (sigma * items)
    return error.square().sum() / (2 * sigma**2 * items)


def kl(posterior: api.Gaussian, prior: Any, z_posterior: Tensor) -> Tensor:
    """KL(q(z|x) || p(z)), summed over dimensions: the closed form that the prior has, else log q(z|x) - log p(z) at the
    sample, whose mean it is (Kingma & Welling 2014, section 2.2).

    Its gradient reaches a prior that learns, if that is a player of the row.

    Args:
        posterior: q, of codes (B, K) or of any other shape.
        prior: p; ``kl(posterior)`` gives its closed form for each dimension, ``log_prob(z)`` nats, (B,).
        z_posterior: codes from q.

    Raises:
        ValueError: if the prior has neither.
    """
    if hasattr(prior, "kl"):
        each: Tensor = prior.kl(posterior)
        return each.flatten(1).sum(1).mean()
    if not hasattr(prior, "log_prob"):
        raise ValueError("the prior of this recipe has neither kl(posterior) nor log_prob(z); 'kl' needs one of them")
    return (posterior.log_prob(z_posterior) - prior.log_prob(z_posterior)).mean()


def discriminate(critic_x: api.CriticOutput, critic_generated: api.CriticOutput) -> Tensor:
    """sp(-C(x)) + sp(C(G)) (Goodfellow et al. 2014, eq. 1): at its minimum C = log p_data - log p_G."""
    return softplus(-critic_x.logit).mean() + softplus(critic_generated.logit).mean()


def non_saturating(critic_generated: api.CriticOutput) -> Tensor:
    """sp(-C(G)) = -log sigmoid(C(G)) (Goodfellow et al. 2014, section 3)."""
    return softplus(-critic_generated.logit).mean()


def reverse_kl(critic_generated: api.CriticOutput) -> Tensor:
    """-C(G): at the optimal critic its mean is KL(p_G || p_data), and so is its gradient along G's path.

    -log sigmoid(C) is not that: it gives KL - 2 JS (Arjovsky & Bottou 2017, theorem 2.5).
    """
    return -critic_generated.logit.mean()


def latent_nll(
    z: Tensor,
    posterior_generated: api.Gaussian,
    *,
    precision: Literal["exact", "normalised"] = "exact",
    scale: float = 1.0,
) -> Tensor:
    """-log q(z|G(z, z_a)) without its constant: sum_i (z_i - mu_i)^2 / (2 sigma_i^2) + log sigma_i.

    The cross-entropy part of L_G that asks G to be E's inverse (Plumerault et al. 2020).

    ``normalised`` is the published form per METHODS: scale * mean_b sum_i 1/2 w_i (z_i - mu_i)^2, w the precisions
    sigma^-2 divided by their sum and held: w = stopgrad(softmax(-2 log sigma)). It replaces the precision alone, so
    the Gaussian's 1/2 is **kept**; METHODS' row says nothing of it, and a reader who takes it to be dropped doubles
    the scale. There is no log sigma in it: sigma takes no gradient. The published loss is the **sum** over a batch
    of 64, which is 64 times the mean whatever the batch here: ``scale: 64``.

    Args:
        z: the codes that the images were generated from, (B, K) or of any other shape; all but the batch is summed.
        posterior_generated: the encoder's reading of those images.
        precision: ``exact`` weighs each dimension by sigma^-2, ``normalised`` by w, which sums to 1.
        scale: factor on the whole term.
    """
    error, log_sigma = (z - posterior_generated.mean).flatten(1), posterior_generated.log_sigma.flatten(1)
    if precision == "normalised":
        weights = (-2 * log_sigma).softmax(1).detach()
        each = 0.5 * weights * error.square()
    else:
        each = 0.5 * error.square() * (-2 * log_sigma).exp() + log_sigma
    return scale * each.sum(1).mean()
