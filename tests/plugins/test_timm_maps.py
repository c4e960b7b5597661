"""Codes that are a timm model's features, and the ViT that decodes them."""

from __future__ import annotations

import pytest
import torch
from helpers.timm import pictures
from torch import nn
from zoo_timm.maps import MapEncoder, VitDecoder, noised_codes

from zoo.api import Draw


def draw() -> Draw:
    return Draw(0, device=torch.device("cpu"), dtype=torch.float64)


def test_codes_are_the_last_block_normalised_and_never_move() -> None:
    torch.manual_seed(0)
    encoder = MapEncoder(3, 32, model="test_vit", pretrained=False, depth=64, factor=16).double().train()
    x = pictures(2).double()
    codes = encoder(x).mean
    last = encoder.trunk.network.forward_intermediates(x)[1][-1]
    expected = (last - last.mean(1, keepdim=True)) / (last.var(1, keepdim=True, correction=0) + 1e-5).sqrt()
    assert codes.shape == (2, 64, 2, 2)
    torch.testing.assert_close(codes, expected)
    assert not codes.requires_grad
    with pytest.raises(ValueError, match="gives 64 features for each of 2 x 2 places at 32 x 32 px: set depth to 64"):
        MapEncoder(3, 32, model="test_vit", pretrained=False, depth=768)


def test_a_vit_paints_each_patch_at_its_place() -> None:
    """Without attention and blocks a token's pixels are its code's alone."""
    torch.manual_seed(0)
    decoder = VitDecoder(3, 12, (5, 3, 3), width=8, blocks=0, heads=2).double()
    z = torch.randn(2, 5, 3, 3, dtype=torch.float64)
    image = decoder(z)
    assert image.shape == (2, 3, 12, 12)
    token = decoder.read(z[1, :, 2, 0]) + decoder.places[6].double()
    patch = decoder.write(decoder.norm(token)).view(3, 4, 4)
    torch.testing.assert_close(image[1, :, 8:, :4], patch)
    assert decoder.places.unique(dim=0).shape == (9, 8), "every place has waves of its own"
    with pytest.raises(ValueError, match="width 10 must be a multiple of 4 and of heads, 2"):
        VitDecoder(3, 12, (5, 3, 3), width=10, heads=2)


def test_noise_is_for_training_alone() -> None:
    z, decoder = torch.zeros(3, 5, 2, 2, dtype=torch.float64), nn.Identity()
    stream = draw()
    sigma = 0.5 * stream.normal(3, 1, 1, 1).abs()
    torch.testing.assert_close(noised_codes(z, decoder, draw(), tau=0.5), sigma * stream.normal(3, 5, 2, 2))
    assert noised_codes(z, decoder.eval(), draw()) is z
