"""The sources of images: what they pack, which pixels go where, and every sentence they refuse with."""

import ast
import gzip
import inspect
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import zoo_data
from PIL import Image
from zoo_data import decode, files, find, pixels
from zoo_data import photos as photos_module
from zoo_data.digits import digits
from zoo_data.folder import folder
from zoo_data.photos import PHOTOGRAPHS, Photograph, cut, installed_photographs, photos

from zoo.registry import load_registry

GUIDE = Path(__file__).parents[2] / "docs/data.md"
CELLS = re.findall(r"^\| ([^|]+) \|", GUIDE.read_text().partition("## Options")[2], re.MULTILINE)
COMMON = {"size", "channels"} | set(re.findall(r"`(\w+)`", " ".join(CELLS)))
"""Options that the guide explains once."""
FEW = {"size": 16, "train": 24, "test": 12}


@pytest.fixture(autouse=True)
def _one_process(monkeypatch):
    """No process is started for a few small images; ``test_data_faults.py`` does."""
    monkeypatch.setitem(folder.__kwdefaults__, "workers", 1)


def painted() -> Image.Image:
    """A picture that is black where training may look and white where test may."""
    image = Image.new("L", (200, 120), 0)
    image.paste(255, (120, 0, 160, 120))
    return image


@pytest.fixture
def cut_from(tmp_path):
    """``cut`` over pictures."""

    def cut_them(*images: Image.Image, **options):
        for index, image in enumerate(images):
            image.save(tmp_path / f"picture-{index}.png")
        photographs = [Photograph(path) for path in sorted(tmp_path.glob("*.png"))]
        defaults = {"size": 8, "channels": 1, "train": 300, "test": 300, "crop": (5, 40), "contrast": 0.0}
        return cut(photographs, **(defaults | {"flip": True, "seed": 0} | options))

    return cut_them


def save(path: Path, colour=(200, 30, 90), size=(24, 24), mode="RGB", **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path, **options)
    return path


def fill(root: Path, count: int) -> Path:
    for index in range(count):
        save(root / f"{index:03}.png", (index, 0, 0), (8, 8))
    return root


def only(root: Path, name: str, **options) -> torch.Tensor:
    """What ``folder`` makes of one file, read beside a black one that sorts before it."""
    save(root / "0.png", (0, 0, 0))
    packed = folder(path=str(root), test=1e-9, **options)
    assert packed.notes == ()
    assert len(packed.train) == len(packed.test) == 1, name
    return packed.test[0]


# --- the plugin's page


def test_entry_point_imports_nothing_heavy():
    code = (
        "import sys, zoo_data; zoo_data.zoo_components(); "
        "print([m for m in ('torch', 'numpy', 'PIL', 'sklearn', 'skimage') if m in sys.modules])"
    )
    path = os.pathsep.join([str(Path(zoo_data.__file__).parents[1]), str(Path(__file__).parents[2])])
    env = os.environ | {"PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("target", [photos, digits, folder])
def test_options_are_keyword_only_typed_and_readable_without_import(target):
    (component,) = (c for c in zoo_data.zoo_components() if c.name == target.__name__)
    assert component.kind == "data"
    assert component.target == f"{target.__module__}:{target.__name__}"
    tree = ast.parse(Path(inspect.getfile(target)).read_text())
    (node,) = (n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == target.__name__)
    assert [node.args.args, node.args.posonlyargs, node.args.vararg, node.args.kwarg] == [[], [], None, None]
    assert all(default is not None for default in node.args.kw_defaults)
    types = {a.arg: ast.unparse(a.annotation) for a in node.args.kwonlyargs}
    assert types["size"] == "Size"
    assert types["channels"] == "Literal[1, 3]"


@pytest.mark.parametrize("name", [component.name for component in zoo_data.zoo_components()])
def test_every_option_is_documented_and_has_a_place_in_the_guide(name):
    options = load_registry().find("data", name).signature.options
    assert [option.name for option in options if not option.doc] == []
    (row,) = re.findall(rf"^\| `{name}` .*", GUIDE.read_text(), re.MULTILINE)
    assert {option.name for option in options} - COMMON <= set(re.findall(r"`(\w+)`", row))


@pytest.mark.parametrize("source", [photos, digits, folder])
@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("size", 0, r"option 'size' is 0; choose an image side of at least 1 pixel\."),
        ("channels", 2, r"option 'channels' is 2; choose 1 \(grey\) or 3 \(colour\)\."),
        ("seed", -1, r"option 'seed' is -1; choose 0 or a positive whole number\."),
    ],
)
def test_common_options_are_refused_in_a_sentence(source, option, value, says):
    with pytest.raises(ValueError, match=f"^{source.__name__}: {says}$"):
        source(**{option: value})


def test_a_request_larger_than_memory_is_refused_before_it_is_made(monkeypatch):
    monkeypatch.setenv("ZOO_MEMORY", str(2**30))
    says = r"fashion-mnist: 20,000 images of 3 x 512 x 512 need 14\.6 GiB, and this machine has 1\.0 GiB; choose a sm"
    with pytest.raises(ValueError, match=says):
        pixels.allocate("fashion-mnist", 20000, 3, 512)


def test_resize_antialiases():
    checkers = Image.fromarray((np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8))
    assert np.abs(pixels.resized(checkers, 8).astype(int) - 127).max() <= 2


# --- photos


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [1, 17])
def test_photos_have_the_size_and_channels_asked_for(size, channels):
    packed = photos(size=size, channels=channels, train=5, test=3)
    assert (packed.train.shape, packed.test.shape) == ((5, channels, size, size), (3, channels, size, size))
    assert packed.train.dtype == packed.test.dtype == torch.uint8


def test_photographs_are_all_in_the_wheels_and_in_colour():
    found, notes = installed_photographs()
    assert notes == ()
    assert [photograph.path.name for photograph in found] == [Path(inside).name for _, inside in PHOTOGRAPHS]
    for photograph in found:
        red, green, blue = np.moveaxis(np.asarray(photograph.strips(3)[0]).astype(int), 2, 0)
        assert min(np.abs(red - green).mean(), np.abs(green - blue).mean()) > 3


@pytest.mark.parametrize("size", [8, 64])  # reduced, and enlarged: both filters read beyond their box
def test_train_and_test_crops_share_no_pixel(cut_from, size):
    packed = cut_from(painted(), size=size)
    assert packed.train.max() == 0
    assert packed.test.min() == 255


def test_crops_reach_every_edge_of_their_region(cut_from):
    ramp = np.broadcast_to(np.arange(200, dtype=np.uint8), (40, 200))
    packed = cut_from(Image.fromarray(ramp.copy()), size=5, crop=(5, 5), train=3000)
    left, right = packed.train[packed.train < 120], packed.train[packed.train >= 120]
    assert (left.min(), left.max(), right.min(), right.max()) == (0, 119, 160, 199)
    assert (packed.test.min(), packed.test.max()) == (120, 159)


def test_crop_sides_are_uniform_with_both_ends(cut_from):
    ramp = np.broadcast_to(np.arange(100, dtype=np.uint8), (100, 100))
    packed = cut_from(Image.fromarray(ramp.copy()), size=2, crop=(10, 13), flip=False)
    # Two pixels of a ramp lie half a crop apart: 5, 5.5, 6 or 6.5.
    steps = (packed.train[:, 0, 0, 1].float() - packed.train[:, 0, 0, 0].float()).tolist()
    assert {round(s) for s in steps} >= {5, 6}
    assert 5.5 <= sum(steps) / len(steps) <= 6.0


def test_photographs_are_chosen_by_area(cut_from):
    small, large = Image.new("L", (100, 50), 0), Image.new("L", (200, 75), 255)
    packed = cut_from(small, large, size=1, crop=(4, 4), train=4000)
    assert (packed.train == 255).float().mean().item() == pytest.approx(0.75, abs=0.03)


def test_same_seed_same_crops_other_seed_others():
    one, again, other = photos(**FEW), photos(**FEW), photos(**FEW, seed=1)
    assert torch.equal(one.train, again.train)
    assert torch.equal(one.test, again.test)
    assert not torch.equal(one.train, other.train)
    assert not torch.equal(one.test, other.test)


def test_test_crops_do_not_depend_on_the_number_of_training_crops():
    assert torch.equal(photos(**FEW).test, photos(**FEW | {"train": 7}).test)


def test_flat_crops_are_drawn_again():
    images = photos(**FEW, contrast=0.3)
    luminance = np.tensordot([0.299, 0.587, 0.114], images.train.numpy(), (0, 1)) / 127.5
    assert len(images.train) == FEW["train"]
    assert luminance.std((1, 2)).min() >= 0.3
    assert photos(**FEW).train.float().std((1, 2, 3)).min() < 30


def test_more_contrast_than_there_is_is_refused_in_a_sentence(cut_from):
    with pytest.raises(ValueError, match=r"option 'contrast' is 0\.9, and .* crops were flatter; choose a smaller"):
        cut_from(painted(), contrast=0.9)


def test_flip_mirrors_half_of_the_training_crops_and_moves_none():
    options = FEW | {"train": 400}
    plain, flipped = photos(**options, flip=False), photos(**options)
    same = (plain.train == flipped.train).flatten(1).all(1)
    mirrored = (plain.train.flip(3) == flipped.train).flatten(1).all(1)
    assert (same | mirrored).all()
    assert 150 < (mirrored & ~same).sum() < 250
    assert torch.equal(plain.test, flipped.test)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"crop": (50, 40)}, r"option 'crop' is \[50, 40\]; choose \[smallest, largest\]"),
        ({"crop": (0, 40)}, r"option 'crop' is \[0, 40\]; choose .* 1 or more"),
        (
            {"crop": (41, 90)},
            r"'crop' is \[41, 90\], and a region of picture-0.png is only 40 x 120 pix.* most 40\.",
        ),
        ({"train": 0}, r"option 'train' is 0; choose at least 1 crop\."),
        ({"test": -3}, r"option 'test' is -3; choose at least 1 crop\."),
    ],
)
def test_photos_refuse_in_a_sentence(cut_from, options, says):
    with pytest.raises(ValueError, match=says):
        cut_from(painted(), **options)


def test_crops_larger_than_a_region_are_limited_and_noted(cut_from):
    packed = cut_from(painted(), crop=(10, 70))
    assert packed.notes == ("photos: crops up to 70 pixels are limited to their region, 40 in picture-0.png.",)
    assert packed.test.min() == 255


def test_enlarged_crops_are_noted(cut_from):
    images = cut_from(painted(), size=32, crop=(10, 40))
    assert images.notes == ("photos: crops of 10 to 31 pixels are enlarged to size 32.",)


def test_photographs_missing_from_an_installation_are_noted(monkeypatch):
    monkeypatch.setattr(photos_module, "PHOTOGRAPHS", (PHOTOGRAPHS[0], ("skimage", "data/no.png")))
    (note,) = photos(**FEW).notes
    assert note.startswith("photos: skimage/data/no.png not installed, so crops differ from others';")


def test_no_photograph_at_all_is_a_sentence(monkeypatch):
    monkeypatch.setattr(photos_module, "PHOTOGRAPHS", (("no_such_package", "a.png"),))
    with pytest.raises(FileNotFoundError, match=r"^photos: none of no_such_package/a.png is installed; reinst"):
        photos()


@pytest.fixture
def wheel(monkeypatch, tmp_path) -> Path:
    """An empty folder that is all there is of any installed package."""
    spec = type("Spec", (), {"submodule_search_locations": [str(tmp_path)]})
    monkeypatch.setattr(files, "find_spec", lambda _: spec)
    return tmp_path


@pytest.mark.parametrize("kept", [8, -9000])  # its header is damaged, or its pixels are
def test_a_damaged_photograph_is_a_sentence(monkeypatch, wheel, kept):
    Image.effect_noise((200, 100), 90).save(wheel / "a.png")
    (wheel / "a.png").write_bytes((wheel / "a.png").read_bytes()[:kept])
    monkeypatch.setattr(photos_module, "PHOTOGRAPHS", (("skimage", "a.png"),))
    with pytest.raises(OSError, match=r"^photos: .*/a\.png cannot be read \(.*\); reinstall the package it is in\.$"):
        photos(crop=(10, 20))


# --- digits


def test_digits_at_their_own_size_are_the_originals_once_each():
    from sklearn.datasets import load_digits

    packed = digits(size=8)
    assert (packed.train.shape, packed.test.shape) == ((1500, 1, 8, 8), (297, 1, 8, 8))
    expected = np.rint(load_digits().images * 255 / 16).astype(np.uint8)
    found = torch.cat([packed.train, packed.test])[:, 0].numpy()
    assert sorted(map(bytes, found)) == sorted(map(bytes, expected))


def test_digits_split_depends_on_the_seed_alone():
    one, again, other = digits(size=8), digits(size=8), digits(size=8, seed=1)
    assert torch.equal(one.test, again.test)
    assert not torch.equal(one.test, other.test)


def test_digits_in_three_channels_are_grey():
    packed = digits(channels=3)
    assert packed.train.shape == (1500, 3, 32, 32)
    assert torch.equal(packed.train[:, 0], packed.train[:, 2])


@pytest.mark.parametrize("test", [0, 1797])
def test_digits_refuse_an_empty_split(test):
    with pytest.raises(ValueError, match=f"^digits: option 'test' is {test}; choose from 1 to 1796 held-out di"):
        digits(test=test)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            b"no gzip",
            r"digits: scikit-learn's datasets/data/digits\.csv\.gz is damaged \(Not a gzipped file.*\); reinst",
        ),
        (gzip.compress(b"1,2\n3,4\n", mtime=0), r"digits\.csv\.gz holds a table \(2, 2\), not 1,797 x 65; reinstall"),
    ],
    ids=["no gzip", "no table"],
)
def test_damaged_digits_are_a_sentence(wheel, content, says):
    path = wheel / "datasets/data/digits.csv.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=says):
        digits()


@pytest.mark.usefixtures("wheel")
def test_digits_that_are_not_installed_are_a_sentence():
    with pytest.raises(
        FileNotFoundError, match=r"^digits: sklearn/datasets/.*gz is not installed; reinstall scikit-le"
    ):
        digits()


# --- folder: reading


def test_folder_finds_every_extension_at_any_depth_in_any_case(tmp_path):
    for index, extension in enumerate(find.EXTENSIONS):
        save(tmp_path / f"deep/{index}/er/picture{extension.upper()}")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "._picture.png").write_text("what macOS leaves behind")
    packed = folder(path=str(tmp_path), size=8, channels=1)
    assert packed.notes == (f"folder: found {len(find.EXTENSIONS)} images in {tmp_path}, passed over files (1 .txt).",)
    images = torch.cat([packed.train, packed.test])
    assert len(images) == len(find.EXTENSIONS)
    assert (images.int() - 88).abs().max() < 8  # the luma of (200, 30, 90)


@pytest.mark.parametrize("channels", [1, 3])
def test_folder_takes_the_central_square(tmp_path, channels):
    image = Image.new("RGB", (60, 20), (255, 0, 0))
    image.paste((10, 20, 30), (20, 0, 40, 20))
    image.save(tmp_path / "wide.png")
    square = only(tmp_path, "wide.png", channels=channels, size=8)
    expected = [10, 20, 30] if channels == 3 else [18]  # ITU-R 601 luma
    assert square.flatten(1).unique(dim=1).tolist() == [[v] for v in expected]


def test_folder_squeezes_or_takes_a_square_of_its_own(tmp_path):
    image = Image.new("RGB", (60, 20), (255, 0, 0))
    image.paste((10, 20, 30), (25, 5, 35, 15))
    image.save(tmp_path / "wide.png")
    assert only(tmp_path, "wide.png", crop=10, size=4).flatten(1).unique(dim=1).tolist() == [[10], [20], [30]]
    whole = np.asarray(image.resize((8, 8), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    assert np.array_equal(only(tmp_path, "wide.png", crop="none", size=8).numpy(), whole)
    with pytest.raises(ValueError, match=r"first 0\.png \(24 x 24 pixels, too small for a crop of 30\)"):
        folder(path=str(tmp_path), crop=30)


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("RGBA", (255, 0, 0, 0), (255, 255, 255)),
        ("RGBA", (255, 0, 0, 255), (255, 0, 0)),
        ("LA", (0, 0), (255, 255, 255)),
        ("L", 77, (77, 77, 77)),
        ("1", 1, (255, 255, 255)),
    ],
)
def test_folder_shows_transparency_as_white_and_grey_as_grey(tmp_path, mode, colour, expected):
    save(tmp_path / "1.png", colour, mode=mode)
    assert tuple(only(tmp_path, "1.png")[:, 0, 0].tolist()) == expected


def test_folder_reads_palettes_with_and_without_transparency(tmp_path):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 20, 120, 220])
    image.save(tmp_path / "1.png")
    assert only(tmp_path, "1.png")[:, 0, 0].tolist() == [20, 120, 220]
    image.save(tmp_path / "1.png", transparency=bytes([255, 0]))
    assert only(tmp_path, "1.png")[:, 0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("channels", [1, 3])
def test_folder_reads_cmyk(tmp_path, channels):
    save(tmp_path / "1.jpg", (0, 255, 255, 0), mode="CMYK", quality=95)
    expected = torch.tensor([255, 0, 0] if channels == 3 else [76])
    assert (only(tmp_path, "1.jpg", channels=channels)[:, 5, 5].int() - expected).abs().max() < 8


@pytest.mark.parametrize("name", ["1.png", "1.tif", "1.pgm"])
def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path, name):
    values = np.repeat(np.array([0, 1000, 32768, 65535], np.uint16)[None], 4, 0)
    if name == "1.pgm":
        (tmp_path / name).write_bytes(b"P5\n4 4\n65535\n" + values.astype(">u2").tobytes())
    else:
        Image.fromarray(values).save(tmp_path / name)
    assert only(tmp_path, name, size=4, channels=1)[0, 0].tolist() == [0, 4, 128, 255]


@pytest.mark.parametrize("name", ["1.jpg", "1.png", "1.tif", "1.webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(tmp_path, name, orientation):
    quarters = Image.fromarray(np.array([[0, 80], [160, 240]], np.uint8)).resize((64, 64), 0)
    # How a camera stores an upright picture under each orientation: the inverse of what a viewer applies.
    turn = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}.get(orientation, decode.TURNS.get(orientation))
    stored = quarters if turn is None else quarters.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if name.endswith("webp") else {}
    stored.convert("RGB").save(tmp_path / name, exif=exif, **options)
    seen = only(tmp_path, name, channels=1, size=64)[0][16::32, 16::32].int()
    assert (seen - torch.tensor([[0, 80], [160, 240]])).abs().max() <= 3


def test_animations_show_their_first_frame(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((9, 200, 9), (200, 9, 9), (9, 9, 200))]
    for name in ("1.gif", "1.webp", "1.png", "1.tif"):
        options = {"lossless": True} if name.endswith("webp") else {}
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
        assert only(tmp_path, name)[:, 0, 0].tolist() == [9, 200, 9], name
        (tmp_path / name).unlink()


def test_a_phone_jpeg_with_a_second_picture_inside_is_read(tmp_path):
    frames = [Image.new("RGB", (16, 16), grey) for grey in ((200, 200, 200), (20, 20, 20))]
    frames[0].save(tmp_path / "1.jpg", format="MPO", save_all=True, append_images=frames[1:])
    assert only(tmp_path, "1.jpg")[:, 0, 0].tolist() == [200, 200, 200]


def test_large_jpegs_decoded_small_match_a_full_decode(tmp_path):
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 255, (9, 9, 3), np.uint8)).resize((512, 512), Image.Resampling.BICUBIC)
    smooth.save(tmp_path / "1.jpg", quality=95)
    with Image.open(tmp_path / "1.jpg") as image:
        full = pixels.resized(image.convert("RGB"), 16).astype(int)
    assert np.abs(only(tmp_path, "1.jpg", size=16).numpy().astype(int) - full).max() <= 4


# --- folder: bad files


def truncated_jpeg() -> bytes:
    stream = io.BytesIO()
    Image.effect_noise((64, 64), 80).save(stream, "JPEG")
    return stream.getvalue()[:-200]


def eps() -> bytes:
    return b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"


def bad_files(root: Path) -> dict[str, str]:
    """One file of every bad kind, and the pattern of its reason."""
    (root / "broken.png").symlink_to(root / "gone.png")
    (root / "cut.jpg").write_bytes(truncated_jpeg())
    (root / "dot.png").write_bytes(save(root / "dot.png", size=(1, 1)).read_bytes())
    (root / "empty.png").write_bytes(b"")
    save(root / "float.tif", 0.5, mode="F")
    save(root / "line.png", size=(30_000, 1))
    os.mkfifo(root / "pipe.png")
    (root / "script.png").write_bytes(eps())
    (root / "text.jpeg").write_text("this is not an image")
    Image.new("I", (4, 4), 70_000).save(root / "thirty-two.tif")
    return {
        "broken.png": "a broken link",
        "cut.jpg": "[^()]*truncated[^)]*(?:\\([^)]*\\))?[^)]*",
        "dot.png": "only 1 x 1 pixels",
        "empty.png": "an empty file",
        "float.tif": "floating-point pixels have no defined white",
        "line.png": "only 30000 x 1 pixels",
        "pipe.png": "not a regular file",
        "script.png": "not an image, or damaged at its start",
        "text.jpeg": "not an image, or damaged at its start",
        "thirty-two.tif": "32-bit pixels have no defined white",
    }


def test_bad_files_are_skipped_counted_and_named(tmp_path):
    fill(tmp_path, 3)
    reasons = bad_files(tmp_path)
    packed = folder(path=str(tmp_path))
    assert len(packed.train) + len(packed.test) == 3
    listed = ", ".join(rf"{re.escape(name)} \({reason}\)" for name, reason in reasons.items())
    (note,) = packed.notes
    assert re.fullmatch(rf"folder: skipped 10 of 13 files in {re.escape(str(tmp_path))}: {listed}\.", note), note


def test_bad_files_stop_the_work_when_asked(tmp_path):
    bad_files(fill(tmp_path, 3))
    says = r"^folder: 10 of 13 files in .* cannot be used, first broken.png \(a broken link\); repair or remove"
    with pytest.raises(ValueError, match=says):
        folder(path=str(tmp_path), on_error="error")


def test_a_note_names_ten_bad_files_and_counts_the_others(tmp_path):
    fill(tmp_path, 2)
    for index in range(13):
        (tmp_path / f"bad-{index:02}.png").touch()
    (note,) = folder(path=str(tmp_path)).notes
    assert "skipped 13 of 15 files" in note
    assert note.count("(an empty file)") == 10
    assert re.search(r"bad-09\.png \(an empty file\) and 3 more, listed in .*/folder-all-\w+\.json\.$", note)


@pytest.mark.parametrize("limit", [40, 70])  # of 100 pixels, Pillow itself refuses the first and warns of the second
def test_decompression_bombs_are_bad(tmp_path, monkeypatch, limit):
    for name, side in (("a.png", 4), ("b.png", 4), ("bomb.png", 10)):
        save(tmp_path / name, size=(side, side))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    (note,) = folder(path=str(tmp_path)).notes
    assert note.endswith(f": bomb.png (more than {limit} pixels, Pillow's limit).")


def test_damaged_headers_of_every_kind_never_escape(tmp_path):
    """Bytes overwritten at random in files of every format: an image or a reason, nothing else."""
    rng = np.random.default_rng(0)
    noise = Image.effect_noise((16, 16), 90).convert("RGB")
    for extension in ("png", "jpg", "bmp", "webp", "gif", "tif", "ppm"):
        stream = io.BytesIO()
        noise.save(stream, {"jpg": "jpeg", "tif": "tiff"}.get(extension, extension))
        for index in range(30):
            data = bytearray(stream.getvalue())
            for at in rng.integers(0, min(len(data), 120), 4):
                data[at] = rng.integers(256)
            (tmp_path / f"{index}.{extension}").write_bytes(data)
    fill(tmp_path / "good", 2)
    packed = folder(path=str(tmp_path), size=8)
    assert 2 < len(packed.train) + len(packed.test) < 212


def test_names_that_no_terminal_prints_are_escaped(tmp_path):
    fill(tmp_path, 2)
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\nb\xff.png")).touch()
    (note,) = folder(path=str(tmp_path)).notes
    assert r"a\nb\udcff.png (an empty file)" in note


# --- folder: walking


def test_link_loops_end_and_linked_images_count_once(tmp_path):
    fill(tmp_path / "real", 4)
    (tmp_path / "real/loop").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(tmp_path / "real")
    (tmp_path / "copy.png").symlink_to(tmp_path / "real/001.png")
    (tmp_path / "self.png").symlink_to(tmp_path / "self.png")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    packed = folder(path=str(tmp_path))
    assert len(packed.train) + len(packed.test) == 4
    assert packed.notes == (f"folder: skipped 1 of 5 files in {tmp_path}: self.png (a broken link).",)


def test_links_lead_outside_the_folder(tmp_path):
    fill(tmp_path / "elsewhere", 3)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/link").symlink_to(tmp_path / "elsewhere")
    packed = folder(path=str(tmp_path / "folder"))
    assert len(packed.train) + len(packed.test) == 3


def test_an_unreadable_directory_inside_is_named(tmp_path, monkeypatch):
    fill(tmp_path, 2)
    fill(tmp_path / "locked", 2)
    scandir = os.scandir

    def refusing(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    (note,) = folder(path=str(tmp_path)).notes
    assert note.endswith(": locked (permission denied).")
    with pytest.raises(OSError, match=r"locked' cannot be listed \(Permission denied\); give a directory you"):
        folder(path=str(tmp_path / "locked"))


# --- folder: splitting


def reds(images: torch.Tensor) -> list[int]:
    return images[:, 0, 0, 0].tolist()


def test_splits_are_disjoint_complete_sorted_and_near_the_share(tmp_path):
    packed = folder(path=str(fill(tmp_path, 200)), size=4, test=0.3)
    train, test = reds(packed.train), reds(packed.test)
    assert sorted(train + test) == list(range(200))
    assert (train, test) == (sorted(train), sorted(test))
    assert 40 <= len(test) <= 80


def test_adding_images_moves_no_other(tmp_path):
    before = folder(path=str(fill(tmp_path, 60)), size=4)
    after = folder(path=str(fill(tmp_path, 90)), size=4)
    assert set(reds(before.test)) == {red for red in reds(after.test) if red < 60}


def test_the_split_follows_the_seed_and_not_the_place(tmp_path):
    here, there = fill(tmp_path / "here", 60), fill(tmp_path / "there", 60)
    one = reds(folder(path=str(here), size=4).test)
    assert one == reds(folder(path=str(there), size=4).test)
    assert one != reds(folder(path=str(here), size=4, seed=1).test)


@pytest.mark.parametrize(("share", "sizes"), [(1e-9, (4, 1)), (1 - 1e-9, (1, 4))])
def test_neither_split_is_ever_empty(tmp_path, share, sizes):
    packed = folder(path=str(fill(tmp_path, 5)), test=share)
    assert (len(packed.train), len(packed.test)) == sizes


# --- folder: sentences


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_folder_refuses_a_share_outside_its_range(tmp_path, share):
    with pytest.raises(ValueError, match=rf"^folder: option 'test' is {share}; choose a share between 0 and 1"):
        folder(path=str(tmp_path), test=share)


def test_folder_needs_a_path():
    with pytest.raises(ValueError, match=r"^folder: option 'path' is empty; give the directory of your images\.$"):
        folder()


def test_folder_refuses_a_missing_path(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"^folder: .*/gone does not exist; give a directory of images\.$"):
        folder(path=str(tmp_path / "gone"))


def test_folder_refuses_a_file(tmp_path):
    path = save(tmp_path / "a.png")
    with pytest.raises(NotADirectoryError, match=r"^folder: .*a\.png is no directory; give one that holds im"):
        folder(path=str(path))


@pytest.mark.parametrize("path", ["a\0b", "~no-such-user-here/x", "x" * 5000])
def test_folder_refuses_paths_that_cannot_be(path):
    with pytest.raises(OSError, match=r"^folder: .* cannot be listed \(.*\); give a directory you may read\.$"):
        folder(path=path)


def test_folder_refuses_emptiness(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(
        ValueError,
        match=r"^folder: .* holds no image \(\.png .*, at any depth\); passed over files \(1 \.txt\)\.$",
    ):
        folder(path=str(tmp_path))


def test_folder_refuses_nothing_but_bad_files(tmp_path):
    (tmp_path / "a.png").touch()
    with pytest.raises(ValueError, match=r"none of the 1 files in .* can be used, first a\.png \(an empty file\)"):
        folder(path=str(tmp_path))


def test_folder_refuses_a_single_good_image(tmp_path):
    fill(tmp_path, 1)
    with pytest.raises(ValueError, match=r"^folder: .* holds one good image; add another, for train and test"):
        folder(path=str(tmp_path))
    (tmp_path / "a.png").touch()
    with pytest.raises(ValueError, match=r"one good image, besides 1 bad ones, first a\.png \(an empty file\); a"):
        folder(path=str(tmp_path))
