"""VQ-VAE-2: a step against one by hand, and what the coarse map is for."""

from __future__ import annotations

import torch
from helpers.shelf import batch_of, by_hand, gradients, small, squared
from torch import Tensor


def test_both_maps_are_committed_to_and_the_finer_knows_the_coarser() -> None:
    model = small("vq-vae-2", "train.optimizer.rate=1")
    batch = batch_of(model)
    x = batch["x"]
    books = (model.quantiser, model.top_quantiser)
    kept = [{key: value.clone() for key, value in book.state_dict().items()} for book in books]

    def loss() -> Tensor:
        for book, state in zip(books, kept, strict=True):
            book.load_state_dict(state)
        features = model.encoder(x).mean
        top = model.top_encoder(features).mean
        coarse = model.top_quantiser(top)
        told = model.top_decoder(coarse.code)
        fine = model.quantiser(features + told)
        far = squared(x, model.decoder(torch.cat([fine.code, told], 1)))
        gaps = [(top - coarse.entries[:, 0].detach()), (features + told - fine.entries[:, 0].detach())]
        return far + 0.25 * sum(gap.square().sum() for gap in gaps) / len(x)

    players = ("encoder", "top_encoder", "top_decoder", "decoder")
    found, expected = gradients(model, batch), by_hand(model, *players, loss=loss)
    assert found.keys() == expected.keys()
    for key, value in expected.items():  # a bias before a norm of its own channel moves nothing, but for rounding
        torch.testing.assert_close(found[key], value, rtol=1e-9, atol=1e-10, msg=key)
