"""Walks through codes that are maps, 4 x 8 x 8, or tokens, 16 x 6: each picture against the model itself."""

from __future__ import annotations

import pytest
import torch
from helpers.maps import SHAPE, made, pixels

from zoo.model.model import Model
from zoo.report.codes import interpolation_rows, path_between, posterior_means, walks
from zoo.report.pictures import Picture
from zoo.types import Examples, to_model

TEST = Examples(pixels(12), pixels(12))


@pytest.fixture(scope="module")
def model() -> Model:
    return made()


def walked(model: Model) -> dict[str, Picture]:
    return {picture.title: picture for picture in walks(model, TEST)}


def test_an_interpolation_goes_straight_from_map_to_map(model: Model) -> None:
    x = to_model(TEST.test[:2])
    mean = model.encode(x).mean
    row = walked(model)["Interpolations"].rows[0][1]
    for place, part in ((1, 0.0), (3, 0.4), (6, 1.0)):
        expected = model.decode(torch.lerp(mean[:1], mean[1:], part))
        torch.testing.assert_close(row[place : place + 1], expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(path_between(model, x, 6, 0, {}), row[1:7])


def test_a_traversal_moves_one_number_of_a_map(model: Model) -> None:
    means = posterior_means(model, TEST)
    assert means is not None
    assert means.shape == (12, *SHAPE)
    variance = means.var(0)
    [(label, row), *_] = walked(model)["Traversals"].rows
    d = int(variance.flatten().argmax())
    place = (d // 64, d // 8 % 8, d % 8)
    assert label == f"z {place[0]},{place[1]},{place[2]} ({variance.max():.2f})"
    codes = means[:1].repeat(7, 1, 1, 1)
    codes[(slice(None), *place)] = torch.tensor([-2, -4 / 3, -2 / 3, 0, 2 / 3, 4 / 3, 2])
    torch.testing.assert_close(row, model.decode(codes), atol=1e-5, rtol=0)


def test_great_circles_keep_the_length_of_a_map(model: Model) -> None:
    (ends,) = model.compute("z", batch=2, seed=0)
    [row] = interpolation_rows(model, 1, 3, 0, {})
    a, b = ends.flatten(1)
    angle = torch.acos(torch.nn.functional.cosine_similarity(a, b, dim=0))
    middle = ((angle / 2).sin() / angle.sin()) * (a + b)
    torch.testing.assert_close(row[1:2], model.decode(middle.view(1, *SHAPE)), atol=1e-5, rtol=0)


def test_tokens_are_walked_through_too() -> None:
    tokens = made(slots={"encoder": "tokens", "decoder": "tokens", "prior": "normal"})
    assert tokens.recipe.latent == (16, 6)
    pictures = walked(tokens)
    assert [*pictures] == ["Interpolations", "Traversals"]
    assert all(row.shape == (7, 3, 32, 32) for _, row in pictures["Traversals"].rows)
    assert all(label.count(",") == 1 for label, _ in pictures["Traversals"].rows)
