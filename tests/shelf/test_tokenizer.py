"""Autoencoders whose codes are entries of a codebook: a step of each against one written by hand."""

from __future__ import annotations

import torch
from helpers.shelf import assert_same, batch_of, by_hand, gradients, small, squared


def test_vqvae_passes_its_gradient_straight_through() -> None:
    model = small("vqvae", "slots.quantiser.entries=8")
    x = batch_of(model)["x"]
    gradients(model, {"x": x})  # the first batch gives the codebook its entries
    found = gradients(model, {"x": x})
    model.requires_grad_(True)
    code = model.encoder(x).mean
    columns = code.movedim(1, -1)
    table = model.quantiser.books[0].table()
    which = (columns.detach().unsqueeze(-2) - table.detach()).square().sum(-1).argmin(-1)

    entry = table.detach()[which].movedim(-1, 1).requires_grad_()
    (at_entry,) = torch.autograd.grad(squared(x, model.decoder(entry)), entry)
    at_code = at_entry + 0.25 * 2 * (code - entry).detach() / len(x)
    names = {f"encoder.{key}": p for key, p in model.encoder.named_parameters()}
    pulled = torch.autograd.grad(code, list(names.values()), at_code, allow_unused=True)
    encoder = {name: g for name, g in zip(names, pulled, strict=True) if g is not None}
    decoder = by_hand(model, "decoder", loss=lambda: squared(x, model.decoder(entry.detach())))
    (drawn_to,) = torch.autograd.grad(
        (table[which] - columns.detach()).square().sum() / len(x), model.quantiser.books[0].weight
    )
    assert_same(found, {**encoder, **decoder, "quantiser.books.0.weight": drawn_to})
