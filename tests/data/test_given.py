"""What a user gives as images becomes the pixels that a model is trained on, or a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY
from PIL import Image

import zoo
from zoo.data.given import pixels_of, read_images
from zoo.errors import RequestError
from zoo.recipe import load_recipe, registry_for
from zoo.recipe.yaml.read import read
from zoo.types import to_model

pytestmark = pytest.mark.usefixtures("here")


def recipe(*overrides: str) -> Any:
    plain = read(TINY, "tiny.yaml").plain()
    return load_recipe(plain, overrides, registry_for(plain))


def pixels(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_to_model_makes_a_new_tensor(dtype: torch.dtype) -> None:
    given = torch.full((2, 3, 4, 4), 255).to(dtype)
    for _ in range(2):
        assert torch.equal(to_model(given, torch.float32), torch.ones(2, 3, 4, 4))
    assert torch.equal(given, torch.full((2, 3, 4, 4), 255).to(dtype))


X = pixels(5, 3, 8, 8)


@pytest.mark.parametrize(
    ("given", "value_range"),
    [
        (X, None),
        (X.numpy(), None),
        (X.movedim(1, -1), None),
        (X.movedim(1, -1).numpy(), None),
        ([*X], None),
        ([*X.numpy()], None),
        (X / 255, (0, 1)),
        ((X / 255).half(), (0, 1)),
        ((X / 255).double().numpy(), (0, 1)),
        (X / 127.5 - 1, (-1, 1)),
        (X.float(), (0, 255)),
        ([Image.fromarray(one) for one in X.movedim(1, -1).numpy()], None),
    ],
)
def test_images_in_any_form_are_the_same_pixels(given: Any, value_range: Any) -> None:
    before = given.clone() if isinstance(given, torch.Tensor) else given
    assert torch.equal(pixels_of(given, recipe(), value_range), X)
    assert given is before or torch.equal(given, before)


def test_grey_images_need_no_channel() -> None:
    grey = pixels(4, 8, 8)
    assert torch.equal(pixels_of(grey, recipe("data.channels=1")), grey[:, None])


@pytest.mark.parametrize(
    ("given", "value_range", "said"),
    [
        (torch.rand(4, 3, 8, 8), None, "images are torch.float32, from .* and nothing says which number is white; "),
        (X.float(), None, r".* white; give uint8, or say value_range=\(0, 255\)$"),
        (X / 127.5 - 1, None, r".* white; give uint8, or say value_range=\(-1, 1\)$"),
        (X / 25 - 4, None, r".* or say value_range=\(BLACK, WHITE\), once a normalisation is undone$"),
        (X.float().to_sparse(), (0, 255), "images are torch.sparse_coo; give a dense tensor of numbers$"),
        (X.to("meta"), None, "images are on meta; give a dense tensor of numbers$"),
        (torch.rand(4, 3, 8, 8) * 2 - 1, (0, 1), r"images go from -[\d.]+ to [\d.]+, beyond value_range=\(0, 1\)"),
        (torch.full((4, 3, 8, 8), torch.nan), (0, 1), r"images have values that are no numbers \(nan\)"),
        (X, (1, 0), None),
        (X / 255, (1, 0), r"value_range is \(1, 0\); give the number for black, then that for white"),
        (X.long(), None, r"images are torch.int64; give uint8, or floats with value_range=\(0, 1\)"),
        (X[0], None, r"images have the shape \(3, 8, 8\); recipe '.*' takes \(N, 3, 8, 8\)"),
        (X[:, :1], None, r"images have the shape \(5, 1, 8, 8\); "),
        (X[:0], None, r"there are no images: their shape is \(0, 3, 8, 8\); "),
        ([], None, "there are no images"),
        (torch.tensor(1.0), None, "there are no images"),
        ([X[0], X[1, :, :4]], None, "images differ: "),
        ([object()], None, "images are a list of object; give arrays or Pillow's images"),
        (object(), None, "images are object; give a tensor or an array"),
        (np.array(["a"]), None, "images are an array of <U1"),
        ("absent.png", None, "absent.png: there is no such file"),
    ],
)
def test_what_is_no_such_image_is_said(given: Any, value_range: Any, said: str | None) -> None:
    if said is None:
        assert torch.equal(pixels_of(given, recipe(), value_range), X)
        return
    with pytest.raises(RequestError, match=f"^{said}"):
        pixels_of(given, recipe(), value_range)


def test_training_on_floats_shows_what_was_given_and_changes_nothing() -> None:
    model, floats = zoo.build(recipe_mapping(), overrides=["train.steps=1", "train.batch=5"]), X / 255
    seen: list[torch.Tensor] = []
    model.encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach().clone()))
    zoo.train(model, floats, value_range=(0, 1))
    shown = {tuple(image.flatten().tolist()) for image in to_model(X)}
    assert {tuple(image.flatten().tolist()) for image in seen[0]} == shown
    assert torch.equal(floats, X / 255)
    with pytest.raises(RequestError, match="nothing says which number is white"):
        zoo.train(model, floats)


def recipe_mapping() -> Any:
    return read(TINY, "tiny.yaml").plain()


# -- files -------------------------------------------------------------------------------------------------------


def odd_files(where: Path) -> None:
    where.mkdir()
    yy, xx = np.mgrid[:64, :48]
    disc = (yy - 32) ** 2 + (xx - 24) ** 2 < 400
    rgba = np.zeros((64, 48, 4), np.uint8)
    rgba[disc] = [220, 30, 30, 255]
    Image.fromarray(rgba).save(where / "rgba.png")
    grey = np.linspace(0, 65535, 48)[None].repeat(64, 0).astype(np.uint16)
    Image.fromarray(grey).save(where / "grey16.png")
    Image.fromarray(pixels(64, 48, 3).numpy()).save(where / "noise.png")
    (where / "broken.png").write_bytes(b"no image")


@pytest.mark.parametrize("options", [{}, {"crop": 20}, {"crop": "none"}, {"resize": "published"}])
def test_files_are_read_as_the_run_s_own_data(options: dict[str, Any]) -> None:
    odd_files(Path("in"))
    data = {"use": "folder", "path": "in", "size": 8, "channels": 3, "test": 0.01, **options}
    given = recipe(*(f"data.{name}={value}" for name, value in {**data, "test": 0.01}.items()))
    found, notes = read_images([Path("in")], given)
    images = given.data.load()(**given.data.arguments_for())
    own = torch.cat([images.train, images.test])
    assert sorted(one.flatten().tolist() for one in found) == sorted(one.flatten().tolist() for one in own)
    assert notes == ("images: skipped 1 of 4 given: in/broken.png (not an image, or damaged at its start).",)
    one_by_one, _ = read_images(sorted(Path("in").iterdir()), given)
    assert torch.equal(one_by_one, found)


def test_a_picture_for_clothes_is_grey_and_padded() -> None:
    Image.new("RGB", (56, 56), "white").save("white.png")
    given = recipe("data.use=fashion-mnist", "data.size=32", "data.channels=1")
    (found,) = read_images(["white.png"], given)[0]
    assert found.shape == (1, 32, 32)
    assert torch.equal(found[:, 2:30, 2:30], torch.full((1, 28, 28), 255, dtype=torch.uint8))
    assert found.long().sum() == 28 * 28 * 255
