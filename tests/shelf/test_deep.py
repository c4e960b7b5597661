"""DC-AE, lite: its step by hand, and shortcuts that carry an image down and up as it is."""

from __future__ import annotations

import pytest
import torch
from helpers.shelf import assert_same, batch_of, by_hand, gradients, kl, sampled, small, squared
from torch import Tensor, nn
from zoo_quantise.deep import Down, Up


def without(layer: nn.Module) -> nn.Module:
    """The layer, that has learnt nothing."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def test_shortcuts_carry_an_image_as_it_is() -> None:
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    down, up = (without(layer.double()) for layer in (Down(3, 12), Up(12, 3)))
    assert torch.equal(up(down(x)), x)
    fewer = without(Down(3, 4).double())(x)  # of each three of twelve channels the mean
    squares = torch.stack([x[:, c, i::2, j::2] for c in range(3) for i in (0, 1) for j in (0, 1)], 1)
    torch.testing.assert_close(fewer, torch.stack([squares[:, n : n + 3].mean(1) for n in (0, 3, 6, 9)], 1))
    more = without(Up(2, 3).double())(x[:, :2])  # each channel is all four places of one and a half
    assert torch.equal(more[:, 0, ::2, ::2], x[:, 0])
    assert torch.equal(more[:, 2, 1::2, 1::2], x[:, 1])
    with pytest.raises(ValueError, match="3 features become 8, which is no multiple of 4 that divides 12"):
        Down(3, 8)
    with pytest.raises(ValueError, match="7 features become 3, four times which 7 does not divide"):
        Up(7, 3)


@pytest.mark.parametrize("name", ["dc-ae-lite", "kl-lite"])
def test_its_step(name: str) -> None:
    model = small(name, "train.optimizer.rate=1")
    batch = batch_of(model)

    def loss() -> Tensor:
        q = model.encoder(batch["x"])
        return squared(batch["x"], model.decoder(sampled(model, q))) + 0.01 * kl(q)

    assert_same(gradients(model, batch), by_hand(model, "encoder", "decoder", loss=loss))
