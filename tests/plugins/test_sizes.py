"""Images of another height than width: in the data, in the networks, and through a whole run."""

import json

import numpy as np
import pytest
import torch
import zoo_quantise.networks
import zoo_timm.encoder
import zoo_timm.frozen
import zoo_timm.maps
from PIL import Image
from zoo_critics.patch import MultiScale, Patch
from zoo_data.decode import View
from zoo_data.digits import digits
from zoo_data.fashion_mnist import _packed
from zoo_data.folder import folder
from zoo_data.photos import Photograph, cut
from zoo_data.pixels import nearest_four
from zoo_data.sprites import places, sprites
from zoo_dcgan.networks import Critic, Decoder, Encoder, Generator, JointCritic
from zoo_entropy.networks import denoiser, reader

import zoo
from zoo.errors import RecipeError
from zoo.recipe.yaml.read import write

METRICS = ["mse", "ssim", "psnr", "edges", "nearest", "cycle", "noise-use", "kl"]
PHOTOS = {"size": [16, 24], "train": 32, "test": 8}


def ramps(width: int, height: int) -> Image.Image:
    """A picture whose red is the column and whose green is the row."""
    down, across = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([across, down, 0 * down], axis=2).astype(np.uint8))


@pytest.mark.parametrize(
    ("size", "crop", "box"),
    [
        ((48, 64), "square", (0, 25, 200, 175)),  # 200 x 200 pixels: all of the width, 48 / 64 of it of the height
        ((64, 48), "square", (25, 0, 175, 200)),
        ((10, 30), 30, (55, 85, 145, 115)),
        ((10, 30), "none", (0, 0, 200, 200)),
        (48, "square", (0, 0, 200, 200)),
    ],
)
def test_a_crop_has_the_proportions_of_the_size(size, crop, box):
    assert View(size, 3, crop).box(200, 200) == box


def test_a_crop_that_does_not_fit_is_refused_with_both_its_sides():
    with pytest.raises(ValueError, match=r"^200 x 40 pixels, too small for a crop of 60 x 45$"):
        View((48, 64), 3, 45).box(200, 40)


def test_every_way_to_pixels_keeps_rows_and_columns_apart(tmp_path):
    for number in range(3):
        ramps(96, 72).save(tmp_path / f"{number}.png")
    expected = np.array(ramps(96, 72).resize((48, 36), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    read = folder(path=str(tmp_path), size=(36, 48), workers=1)
    assert read.train.shape[1:] == (3, 36, 48)
    assert np.array_equal(read.train[0], expected)
    assert np.array_equal(nearest_four(ramps(96, 72), (72, 96)), np.array(ramps(96, 72)).transpose(2, 0, 1))
    assert digits(size=(16, 8)).train.shape[1:] == (1, 16, 8)
    padded = _packed("mnist", np.full((1, 28, 28), 9, np.uint8), (30, 40), 1, "pad")
    assert padded[0, 0, 1:29, 6:34].eq(9).all()
    assert padded.sum() == 9 * 28 * 28
    with pytest.raises(ValueError, match=r"^folder: option 'size' is \[4, 0\]; choose an image side of at least 1"):
        folder(path=str(tmp_path), size=(4, 0))


def test_crops_of_photographs_have_the_proportions_of_the_size(tmp_path):
    ramps(200, 120).save(tmp_path / "ramps.png")
    options = {"channels": 3, "train": 40, "test": 40, "crop": (24, 90), "contrast": 0.0, "flip": False, "seed": 0}
    crops = cut([Photograph(tmp_path / "ramps.png")], size=(12, 16), **options)
    whole = torch.cat([crops.train, crops.test]).float()
    red, green = whole[:, 0, 6], whole[:, 1, :, 8]
    across, down = red[:, 12] - red[:, 4], green[:, 9] - green[:, 3]  # half of each side, far from the borders' filters
    assert (across * 3 / 4 - down).abs().max() <= 2
    assert crops.notes == ("photos: crops up to 90 pixels are limited to their region, 30 in ramps.png.",)


def test_sprites_are_as_round_in_a_wide_image():
    across, down = places((16, 32))
    assert across[0, 0, 1] - across[0, 0, 0] == down[0, 1, 0] - down[0, 0, 0] == 2 / 16
    drawn = sprites(size=(16, 32), train=200, test=1)
    mask, shape = drawn.fields["mask"][0].bool(), drawn.fields["shape"][0]
    assert drawn.train.shape[1:] == (3, 16, 32)
    inside = (shape == 0) & ~(mask[:, 0].any(1) | mask[:, -1].any(1))  # circles that no border cuts
    extents = mask[inside].any(2).sum(1) - mask[inside].any(1).sum(1)
    assert inside.sum() > 5
    assert extents.abs().max() <= 1


@pytest.mark.parametrize("size", [(48, 64), (64, 48), (8, 40), (28, 32)])
def test_networks_take_a_height_and_a_width(size):
    x, z = torch.rand(2, 3, *size) * 2 - 1, torch.randn(2, 5)
    assert Encoder(3, size, 5, width=4)(x).mean.shape == (2, 5)
    assert Decoder(3, size, 5, width=4)(z).shape == Generator(3, size, 5, 0, width=4)(z, z[:, :0]).shape == x.shape
    assert Critic(3, size, width=4)(x).logit.shape == JointCritic(3, size, 5, width=4)(x, z).logit.shape == (2,)
    assert MultiScale(3, size, width=4, layers=1).forward(x).logit.shape == (2, 2, size[0] // 2, size[1] // 2)
    assert Patch(3, size, width=4, layers=1)(x).logit.shape == (2, 1, size[0] // 2 - 2, size[1] // 2 - 2)
    for net in ("conv", "mlp"):
        assert denoiser(net, 3, size, 2)(x).shape == x.shape
        read, features = reader(net, 3, size, 2)
        assert read(x).shape == (2, features)


def test_timm_models_take_a_height_and_a_width():
    x = torch.rand(2, 3, 32, 64) * 2 - 1
    for model in ("test_resnet", "test_vit"):
        assert zoo_timm.encoder.Encoder(3, (32, 64), 5, model=model)(x).mean.shape == (2, 5)
    with pytest.raises(
        ValueError, match=r"'test_vit' cannot take 32 x 40 images: .*set patch to a divisor of 32 and 40"
    ):
        zoo_timm.encoder.Encoder(3, (32, 40), 5, model="test_vit")


def test_maps_of_codes_have_a_height_and_a_width():
    x, z = torch.rand(2, 3, 32, 48) * 2 - 1, torch.randn(2, 4, 8, 12)
    options = {"width": 4, "multipliers": (1, 1, 1), "blocks": 1}
    assert zoo_quantise.networks.Decoder(3, (32, 48), (4, 8, 12), **options)(z).shape == x.shape
    vit = zoo_timm.maps.VitDecoder(3, (32, 48), (4, 8, 12), width=8, blocks=1, heads=2)
    square = zoo_timm.maps.VitDecoder(3, 32, (4, 8, 8), width=8, blocks=1, heads=2)
    assert vit(z).shape == x.shape
    assert torch.equal(vit.places.view(8, 12, 8)[:, :8], square.places.view(8, 8, 8))
    with pytest.raises(ValueError, match="codes of 8 x 8 places do not divide images of 32 x 48"):
        zoo_timm.maps.VitDecoder(3, (32, 48), (4, 8, 8))
    encoder = zoo_timm.maps.MapEncoder(3, (32, 48), model="test_vit", pretrained=False, depth=64)
    assert encoder(x).mean.shape == (2, 64, 2, 3)
    with pytest.raises(
        ValueError, match="64 features for each of 2 x 3 places at 32 x 48 px: set depth to 64 and factor"
    ):
        zoo_timm.maps.MapEncoder(3, (32, 48), model="test_vit", pretrained=False, depth=8)
    critic = zoo_timm.frozen.Frozen(3, (32, 64), model="test_resnet", pretrained=False, width=4, taps=3)
    assert critic(torch.rand(2, 3, 32, 64)).logit.shape[1:] == (3, 1, 2)


def test_what_a_network_cannot_have_is_told_at_the_size():
    for size, says in (
        ([36, 64], "36 x 64, whose shorter side is 36, which is no 4, 5, 6 or 7 times 2, 4, 8 ... 64: choose 32 or 40"),
        ([48, 60], "48 x 60: they halve 48 3 times, and the longer side must be a multiple of 8: choose 56 or 64"),
    ):
        with pytest.raises(RecipeError, match=rf"data\.size=.*: dcgan networks cannot have size {says}"):
            zoo.build("vae", overrides=["data.use=photos", f"data.size={size}"])
    with pytest.raises(RecipeError, match=r"asks for 'size: int', the side of a square, and images are 3 x 32 x 64"):
        zoo.build("avae-paper", overrides=["data={use: photos, size: [32, 64]}"])
    with pytest.raises(RecipeError) as caught:
        zoo.build("vae", overrides=["data.size=[32, 64, 3]"])
    (problem,) = caught.value.problems
    assert problem.message.endswith("must be a whole number or a list of 2 whole numbers, not [32, 64, 3]")


def test_an_avae_of_wide_images_is_built_pictured_and_scored(tmp_path, run_zoo):
    slots = {name: {"width": 4} for name in ("encoder", "decoder", "generator", "critic")}
    recipe = {"extends": "avae", "data": {"use": "photos", **PHOTOS}, "latent": 4, "noise": 2, "slots": slots}
    recipe |= {"evaluate": METRICS, "train": {"steps": 2, "batch": 8}}
    (tmp_path / "wide.yaml").write_text(write(recipe))
    run = tmp_path / "run"
    assert run_zoo("build", tmp_path / "wide.yaml", "--out", run).code == 0
    for name in ("samples", "reconstructions", "interpolations", "traversals", "noise", "neighbours"):
        with Image.open(run / f"{name}.png") as picture:
            columns, rows = (picture.width + 8) / (4 * 26), (picture.height + 8) / (4 * 18)  # shown four times as large
        assert columns == int(columns) > 1, name
        assert rows == int(rows) > 1, name
    scores = json.loads((run / "scores.json").read_text())
    assert all(np.isfinite(scores[name]["value"]) for name in METRICS)
