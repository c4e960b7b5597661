"""VAEs: a step of each against one written by hand."""

from __future__ import annotations

from helpers.shelf import assert_same, batch_of, by_hand, gradients, kl, sampled, small, squared
from torch import Tensor


def test_a_vae_minimises_its_bound() -> None:
    model = small("vae")
    batch = batch_of(model)

    def loss() -> Tensor:
        q = model.encoder(batch["x"])
        return squared(batch["x"], model.decoder(sampled(model, q))) + kl(q)

    assert_same(gradients(model, batch), by_hand(model, "encoder", "decoder", loss=loss))
