"""Values and terms of quantised codes.

Shapes: codes (B, D, ...), whose every place is a code of D numbers; Q codebooks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

if TYPE_CHECKING:
    from zoo import api
    from zoo_quantise.quantised import Quantised


def codes(quantiser: Any, posterior_mean: Tensor) -> Tensor:
    """The encoder's codes as the slot ``quantiser`` looks them up: of length 1 where it is told so, (B, D, ...)."""
    return quantiser.prepared(posterior_mean)


def quantised(quantiser: Any, codes: Tensor) -> Quantised:
    """The codes through the slot ``quantiser`` (van den Oord et al. 2017, eq. 1)."""
    return quantiser(codes)


def quantised_in_part(quantiser: Any, codes: Tensor, draw: api.Draw, *, dropout: float = 0.5) -> Quantised:
    """That, in training by only the first few codebooks of a residual quantiser (Zeghidour et al. 2021, section III-C).

    Args:
        quantiser: ``residual-vq``.
        codes: the encoder's.
        draw: numbers for each image.
        dropout: share of the images that are quantised so; of these each number of codebooks is as likely.

    Raises:
        ValueError: a share that is none.
    """
    if not 0 <= dropout <= 1:
        raise ValueError(f"dropout is a share, from 0 to 1, and not {dropout:g}")
    if not quantiser.training:
        return quantiser(codes)
    chosen, number = draw.uniform(len(codes), 2).unbind(1)
    books = len(quantiser.sizes)
    few = (number * books).long() + 1
    return quantiser(codes, kept=few.masked_fill(chosen >= dropout, books))


def code(quantised: Quantised) -> Tensor:
    """The quantised codes, with the gradient of the encoder's (straight through), (B, D, ...)."""
    return quantised.code


def codes_told(posterior_mean: Tensor, told: Tensor) -> Tensor:
    """A map of codes with what a coarser map says of it, ``told``, of the same shape (Razavi et al. 2019, algorithm 1).

    Both come out of learned layers, so that their sum is any linear map of the two.
    """
    return posterior_mean + told


def code_and_told(code: Tensor, told: Tensor) -> Tensor:
    """A map of quantised codes, and beside it what the coarser one says (Razavi et al. 2019, algorithm 1)."""
    return torch.cat([code, told], 1)


def random_codes(quantiser: Any, batch: int, draw: api.Draw, sizes: Any, *, places: tuple[int, ...] = ()) -> Tensor:
    """Codes of entries drawn one by one, all as likely: a model of codes has yet to learn which go together.

    Args:
        quantiser: whose entries.
        batch: B.
        draw: numbers for each item.
        sizes: of the recipe.
        places: sides of the map; those of the recipe's codes where none is said.
    """
    sides = places or sizes.code[1:]
    books = torch.tensor(quantiser.sizes).view(-1, *[1] * len(sides))
    u = draw.uniform(batch, len(quantiser.sizes), *sides)
    return quantiser.lookup((u * books.to(u)).long())


def commitment(codes: Tensor, quantised_held: Quantised, *, per: Literal["item", "number"] = "item") -> Tensor:
    """|z - sg(e)|^2, moves the encoder (van den Oord et al. 2017, eq. 3, third term).

    Of several codebooks the sum of what each was left of a code against the entry that it gave.

    Args:
        codes: the encoder's.
        quantised_held: their entries.
        per: ``item``, the sum over all of an image's code; ``number``, the mean over its numbers.
    """
    return _gaps(codes, quantised_held.entries, quantised_held.entries, per)


def codebook(
    quantised: Quantised, quantised_held: Quantised, codes_held: Tensor, *, per: Literal["item", "number"] = "item"
) -> Tensor:
    """|sg(z) - e|^2, moves the entries (van den Oord et al. 2017, eq. 3, second term).

    It belongs in the quantiser's row: an encoder takes nothing of it.

    Args:
        quantised: entries that learn.
        quantised_held: the same, held.
        codes_held: the encoder's codes.
        per: as for ``commitment``.
    """
    return _gaps(codes_held, quantised.entries, quantised_held.entries, per)


def _gaps(left: Tensor, entries: Tensor, taken: Tensor, per: str) -> Tensor:
    """sum_q |left - e_q|^2 an image, what is left being each time less by the entry that is taken."""
    total, items = left.new_zeros(()), left.numel() if per == "number" else len(left)
    for entry, less in zip(entries.unbind(1), taken.unbind(1), strict=True):
        total = total + (left - entry).square().sum() / items
        left = left - less
    return total


def code_entropy(
    quantiser: Any, posterior_mean: Tensor, *, temperature: float = 0.01, diversity: float = 1.0
) -> Tensor:
    """E H(p) - diversity H(E p) (Yu et al. 2023, eq. 5), times the codes of an image, in nats: sure codes, all in use.

    Args:
        quantiser: ``lfq``.
        posterior_mean: the encoder's codes.
        temperature: of p(entry | z) ~ exp(-|z - entry|^2 / temperature).
        diversity: weight of the second entropy, which is that of this process's batch.
    """
    each, together = quantiser.entropies(posterior_mean, temperature)
    places = posterior_mean[0, 0].numel()
    return places * (each - diversity * together)
