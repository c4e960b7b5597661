"""Pictures of a run: neighbours against an exhaustive search, walks against the model itself, and what is left out."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.engine import LATENT, NOISE, SIZE, images, pixels, small
from PIL import Image

import zoo
from zoo.model.model import Model
from zoo.report.codes import posterior_means, walks
from zoo.report.figures import show
from zoo.report.neighbours import beside_nearest, nearest
from zoo.report.neighbours import small as shrunk
from zoo.report.pictures import Picture, grid, grid_png, reduced
from zoo.types import Images, to_model, to_pixels

DATA = Images(pixels(24), pixels(20))
ALL = ["samples", "reconstructions", "interpolations", "traversals", "noise", "neighbours"]


def made(name: str, *overrides: str) -> Model:
    return small(name, *overrides, dtype=torch.float32)


def shown(model: Model, data: Images = DATA) -> dict[str, Picture]:
    return {picture.file.removesuffix(".png"): picture for picture in show(model, data)}


@pytest.fixture(scope="module")
def avae() -> Model:
    return made("avae")


# -- nearest neighbours ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [8, 32])
def test_neighbours_are_those_of_an_exhaustive_search(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.report.neighbours.CHUNK", 7)
    data = np.random.default_rng(0)
    train, asked = (data.integers(0, 256, (n, 3, size, size)).astype(np.uint8) for n in (50, 6))
    train[31] = train[4]  # equally near: the earlier one
    asked[0] = train[4]
    distances, found = nearest(torch.from_numpy(asked), torch.from_numpy(train), 3)
    exact = np.sqrt(((asked[:, None].astype(np.int64) - train[None].astype(np.int64)) ** 2).sum((2, 3, 4)))
    order = np.argsort(exact, axis=1, kind="stable")[:, :3]
    assert np.array_equal(found.numpy(), order)
    assert np.array_equal(distances.numpy(), np.take_along_axis(exact, order, 1))
    assert found[0, :2].tolist() == [4, 31]
    assert distances[0, :2].tolist() == [0, 0]


def test_larger_images_are_compared_as_means_of_blocks() -> None:
    image = torch.randint(256, (1, 1, 64, 64), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    blocks = image.float().view(1, 1, 32, 2, 32, 2).mean((3, 5)).round()
    assert torch.equal(shrunk(image).float(), blocks)
    assert reduced(torch.zeros(1, 3, 90, 30), 45).shape == (1, 3, 45, 15)


def test_copies_of_training_images_are_seen_as_such() -> None:
    train = pixels(24)
    picture = beside_nearest(to_model(train[3:6]), Images(train, pixels(20).flip(0)))
    rows = dict(picture.rows)
    assert torch.equal(rows["sample"], rows["nearest"])
    assert list(rows) == ["sample", "nearest", "2nd", "3rd"]
    assert "0.000 for samples" in picture.caption


def test_a_single_training_image_is_its_own_crowd() -> None:
    rows = dict(beside_nearest(to_model(pixels(5)), Images(pixels(1), pixels(1))).rows)
    assert {label: len(row) for label, row in rows.items()} == {"sample": 5, "nearest": 5}


# -- walks through codes -----------------------------------------------------------------------------------


def test_a_path_between_two_images_ends_at_their_codes(avae: Model) -> None:
    x = to_model(DATA.test[:4])
    rows = [row for _, row in shown(avae)["interpolations"].rows]
    mean = avae.encode(x).mean
    assert [len(row) for row in rows] == [8] * 8
    for row, (a, b) in zip(rows, ((0, 1), (2, 3)), strict=False):
        assert torch.equal(row[0], x[a])
        assert torch.equal(row[-1], x[b])
    (noise,) = avae.compute("noise", batch=8, seed=0)
    for place, part in ((1, 0.0), (3, 0.4), (6, 1.0)):
        code = torch.lerp(mean[0:1], mean[1:2], part)
        (expected,) = avae.compute("sample", given={"z": code, "noise": noise[:1]}, seed=0)
        torch.testing.assert_close(rows[0][place : place + 1], expected, atol=1e-5, rtol=0)


def test_a_traversal_moves_one_dimension_of_those_that_vary_most(avae: Model) -> None:
    means = posterior_means(avae, DATA)
    assert means is not None
    torch.testing.assert_close(means, avae.encode(to_model(DATA.test)).mean)
    order = means.var(0).argsort(descending=True)
    rows = shown(avae)["traversals"].rows
    assert [label for label, _ in rows] == [f"z {d} ({means.var(0)[d]:.2f})" for d in order.tolist()]
    (noise,) = avae.compute("noise", batch=1, seed=0)
    for d, (_, row) in zip(order, rows, strict=True):
        codes = means[:1].repeat(7, 1)
        codes[:, d] = torch.tensor([-2, -4 / 3, -2 / 3, 0, 2 / 3, 4 / 3, 2])
        (expected,) = avae.compute("sample", given={"z": codes, "noise": noise.repeat(7, 1)}, seed=0)
        torch.testing.assert_close(row, expected, atol=1e-5, rtol=0)


def test_other_noise_changes_the_noise_alone(avae: Model) -> None:
    rows = [row for _, row in shown(avae)["noise"].rows]
    assert [len(row) for row in rows] == [8] * 4
    codes = avae.encode(to_model(DATA.test[:4])).mean
    (noise,) = avae.compute("noise", batch=32, seed=0)
    (expected,) = avae.compute("sample", given={"z": codes.repeat_interleave(8, 0), "noise": noise}, seed=0)
    torch.testing.assert_close(torch.cat(rows), expected)
    assert noise.shape == (32, NOISE)


def test_without_an_encoder_codes_are_those_of_the_prior() -> None:
    model = made("gan")
    pictures = shown(model)
    assert [*pictures] == ["samples", "interpolations", "traversals", "neighbours"]
    assert [label for label, _ in pictures["traversals"].rows] == [f"z {d}" for d in range(LATENT)]
    (z,) = model.compute("z", batch=16, seed=0)
    (ends,) = model.compute("sample", given={"z": torch.cat([z[:1], z[8:9]])}, seed=0)
    row = pictures["interpolations"].rows[0][1]
    torch.testing.assert_close(row[[0, -1]], ends, atol=1e-3, rtol=0)


# -- what is left out --------------------------------------------------------------------------------------


def test_every_picture_of_a_model_that_has_all(avae: Model) -> None:
    pictures = shown(avae)
    assert [*pictures] == ALL
    assert "decoded by decoder, reconstruction by generator" in pictures["reconstructions"].caption
    assert [label for label, _ in pictures["reconstructions"].rows] == ["original", "decoded", "reconstruction"]
    again = shown(avae)
    assert all(pictures[name].png == again[name].png for name in ALL)


@pytest.mark.parametrize(
    ("name", "overrides", "files"),
    [
        ("vae", (), [name for name in ALL if name != "noise"]),
        ("vae", ("outputs.posterior=null",), [name for name in ALL if name != "noise"]),
        ("vae", ("outputs.sample=null",), ["reconstructions"]),
        ("gan", ("outputs.sample=null",), []),
        ("bigan", (), [name for name in ALL if name != "noise"]),
        ("vae", ("outputs.sample=reconstruction",), ["reconstructions"]),
    ],
)
def test_what_a_model_cannot_show_is_left_out(name: str, overrides: tuple[str, ...], files: list[str]) -> None:
    assert [*shown(made(name, *overrides))] == files


def test_one_test_image_is_enough(avae: Model) -> None:
    pictures = shown(avae, Images(DATA.train[:1], DATA.test[:1]))
    assert [*pictures] == ALL
    assert [label for label, _ in pictures["traversals"].rows] == [f"z {d}" for d in range(LATENT)]
    assert [len(row) for _, row in pictures["interpolations"].rows] == [8] * 8


# -- rows as files -----------------------------------------------------------------------------------------


def test_rows_are_cut_into_blocks_that_keep_their_labels() -> None:
    x = images(0, torch.float32).repeat(5, 1, 1, 1)  # 20 images
    picture = Picture("a.png", "A", "", [("one", x), ("two", x[:9])])
    blocks = picture.blocks()
    assert [[label for label, _ in block] for block in blocks] == [["one", "two"], ["one", "two"], ["one"]]
    assert blocks[1][0][1] == grid_png([x[8:16]])
    assert blocks[1][1][1] == grid_png([x[8:9]])
    assert Picture("a.png", "A", "", [("", x), ("", x)]).blocks() == [[("", grid_png([x, x]))]]


def test_a_grid_is_clear_between_its_images_and_white_where_nothing_shows() -> None:
    rows = [-torch.ones(2, 1, SIZE, SIZE), torch.ones(1, 1, SIZE, SIZE)]
    with Image.open(io.BytesIO(grid_png(rows, side=SIZE))) as picture:
        assert (picture.mode, picture.size) == ("RGBA", (2 * SIZE + 2, 2 * SIZE + 2))
        assert picture.getpixel((0, 0)) == (0, 0, 0, 255)
        assert picture.getpixel((SIZE, 0)) == (255, 255, 255, 0)
        assert picture.getpixel((0, SIZE + 2)) == (255, 255, 255, 255)
        assert picture.getpixel((SIZE + 2, SIZE + 2)) == (255, 255, 255, 0)


def test_walks_of_a_model_whose_samples_are_not_made_from_codes_are_none() -> None:
    assert walks(made("gan", "outputs.sample=null"), DATA) == []


@pytest.mark.parametrize(("channels", "shown"), [(1, [0, 0, 0]), (2, [0, 0, 0]), (3, [0, 1, 2]), (4, [0, 1, 2])])
def test_images_of_any_number_of_channels_are_shown(channels: int, shown: list[int]) -> None:
    row = to_model(torch.randint(0, 256, (2, channels, 4, 4), dtype=torch.uint8))
    picture = grid([row])
    assert torch.equal(picture[:3, :, :4], to_pixels(row)[0, shown])
    assert picture[3, :, :4].eq(255).all()


FOUR = '''
import torch
from zoo import api

def four(*, size: int = 8, channels: int = 4) -> api.Images:
    """Black."""
    return api.Images(*torch.zeros(2, 9, channels, size, size, dtype=torch.uint8))

@api.hookimpl
def zoo_components():
    return [api.Component("data", "four", f"{__name__}:four", "black")]
'''


@pytest.mark.parametrize(("channels", "said"), [(2, "the first"), (4, "the first three, as red, green and blue")])
def test_captions_say_which_channels_are_shown(tmp_path: Path, channels: int, said: str) -> None:
    file = tmp_path / f"four{channels}.py"  # plugins of one name are one
    file.write_text(FOUR)
    overrides = ["data.use=four", f"data.channels={channels}", "data.size=8", "latent=4", "evaluate=[]"]
    model = zoo.build("vae", overrides=overrides, plugins=[file])
    pictures = show(model, Images(*torch.zeros(2, 9, channels, 8, 8, dtype=torch.uint8)))
    assert {one.caption.rpartition("Shown of ")[2] for one in pictures} == {f"{channels} channels: {said}."}
    assert all(Image.open(io.BytesIO(one.png)).mode == "RGBA" for one in pictures)
