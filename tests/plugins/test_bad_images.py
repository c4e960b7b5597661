"""Images good, odd and damaged: what each is shown as, by an oracle written by hand, or why it is bad; none is lost."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.images import DEPTHS, Png, as_stored, png_that_claims
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from zoo_data.bad import Bad
from zoo_data.decode import View, decode_chunk, read_square, strict_pillow
from zoo_data.folder import folder

SIDE = 9
VIEW = View(SIDE, 3)


def quick(examples: int) -> settings:
    """The same examples each time."""
    everything = list(HealthCheck)
    return settings(max_examples=examples, derandomize=True, deadline=None, suppress_health_check=everything)


@pytest.fixture(autouse=True)
def _apart(tmp_path_factory, monkeypatch):
    """An empty cache, and no process but this one."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setitem(folder.__kwdefaults__, "workers", 1)


def read(content: bytes, view: View = VIEW) -> np.ndarray | str:
    with strict_pillow():
        return read_square(content, view)


def noise(seed: int, channels: int = 3) -> np.ndarray:
    shape = (SIDE, SIDE, channels) if channels > 1 else (SIDE, SIDE)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def saved(pixels: np.ndarray | Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(stream, kind, **options)
    return stream.getvalue()


LOSSLESS = {
    "png": {},
    "bmp": {},
    "tiff": {},
    "tiff-lzw": {"compression": "tiff_lzw"},
    "tiff-deflate": {"compression": "tiff_adobe_deflate"},
    "webp": {"lossless": True},
    "ppm": {},
}
LOSSY = {"jpeg": {"quality": 95}, "jpeg-progressive": {"progressive": True}, "gif": {}, "webp-lossy": {}}
KINDS = LOSSLESS | LOSSY


def file_of(kind: str, seed: int) -> bytes:
    options = {"lossless": False} if kind == "webp-lossy" else KINDS[kind]
    return saved(noise(seed), kind.partition("-")[0], **options)


seeds = st.integers(0, 2**16)
pngs = st.sampled_from([(colour, depth) for colour in DEPTHS for depth in DEPTHS[colour]]).flatmap(
    lambda kind: st.builds(
        Png, st.just(kind[0]), st.just(kind[1]), st.booleans(), st.booleans(), st.integers(2, 12), seeds
    )
)


# -- what is shown -----------------------------------------------------------------------------------------------


@pytest.mark.promise("Images of every kind are read as they say: bit depths, palettes, orientations, animations, inks.")
def test_every_kind_of_png_is_shown_as_its_samples_say(record_property):
    """All colour types, depths, passes and transparencies."""
    cases = 0

    @quick(300)
    @given(pngs)
    def check(png: Png) -> None:
        nonlocal cases
        cases += 1
        seen = read(png.write(), View(png.side, 3))
        assert np.abs(seen - png.shown()).max() < 2
        luma = np.tensordot([0.299, 0.587, 0.114], png.shown(), 1)
        assert np.abs(read(png.write(), View(png.side, 1))[0] - luma).max() < 2

    check()
    record_property("cases", cases)


@pytest.mark.promise("Images of every kind are read as they say: bit depths, palettes, orientations, animations, inks.")
@pytest.mark.parametrize("kind", ["png", "tiff", "webp", "jpeg"])
def test_every_orientation_is_undone(kind, record_property):
    """Against the table of the standard, turned by hand; JPEG in blocks of one colour, that it keeps."""
    for orientation in range(1, 9):
        upright = noise(orientation) if kind != "jpeg" else np.kron(noise(1)[:2, :2], np.ones((16, 16, 1), np.uint8))
        exif = Image.Exif()
        exif[0x0112] = orientation
        options = {"lossless": True} if kind == "webp" else {"quality": 100, "subsampling": 0} if kind == "jpeg" else {}
        stored = np.ascontiguousarray(as_stored(upright, orientation))
        seen = read(saved(stored, kind, exif=exif, **options), View(len(upright), 3)).transpose(1, 2, 0)
        assert np.abs(seen.astype(int) - upright).max() <= (4 if kind == "jpeg" else 0), orientation
    record_property("cases", 8)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_is_none_turns_nothing(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(read(saved(noise(1), "png", exif=exif)), noise(1).transpose(2, 0, 1))


@pytest.mark.parametrize("kind", ["gif", "png", "webp", "tiff"])
def test_of_an_animation_the_first_frame_is_shown(kind):
    frames = [Image.new("RGB", (SIDE, SIDE), colour) for colour in ((0, 0, 255), (255, 0, 0), (0, 255, 0))]
    options = {"lossless": True} if kind == "webp" else {}
    content = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert read(content)[:, 4, 4].tolist() == [0, 0, 255]


def test_a_colour_profile_changes_nothing():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert np.array_equal(read(saved(noise(1), "png", icc_profile=profile)), read(saved(noise(1), "png")))
    assert np.array_equal(read(saved(noise(1), "tiff", icc_profile=b"no profile")), read(saved(noise(1), "png")))


@pytest.mark.parametrize("channels", [1, 3])
def test_inks_are_shown_as_colours(channels):
    inks = Image.new("CMYK", (SIDE, SIDE), (0, 255, 255, 0))
    for content in (saved(inks, "jpeg", quality=100), saved(inks, "tiff")):
        expected = [255, 0, 0] if channels == 3 else [76]
        assert np.abs(read(content, View(SIDE, channels))[:, 4, 4].astype(int) - expected).max() < 8


# -- what is damaged ---------------------------------------------------------------------------------------------


@pytest.mark.promise(
    "A bad image is named with its reason, the policy is applied, the counts are right, no epoch is lost."
)
def test_damage_is_a_reason_and_never_silence(record_property):
    """Cut anywhere, a file is bad or shown as before; a PNG flipped anywhere too; others are at least an image."""
    cases = 0

    @quick(700)
    @given(
        st.sampled_from(list(KINDS)), seeds, st.floats(0, 1, exclude_max=True), st.sampled_from(["cut", "flip", "zero"])
    )
    def check(kind: str, seed: int, place: float, harm: str) -> None:
        nonlocal cases
        cases += 1
        content = bytearray(file_of(kind, seed % 50))
        at = int(place * len(content))
        if harm == "cut":
            del content[at:]
        elif harm == "flip":
            content[at] ^= 1 << seed % 8
        else:
            content[at : at + 40] = bytes(len(content[at : at + 40]))
        seen = read(bytes(content))
        if isinstance(seen, str):
            assert seen == seen.strip() != ""
            assert "\n" not in seen
        else:
            assert (seen.shape, seen.dtype) == ((3, SIDE, SIDE), np.uint8)
            assert (harm != "cut" and kind != "png") or np.array_equal(seen, read(file_of(kind, seed % 50)))

    check()
    record_property("cases", cases)


def test_a_chunk_whose_checksum_is_wrong_is_bad_unless_its_pixels_have_another():
    """Pillow leaves pixels to zlib's own checksum: where that is right, so are they."""

    def spoilt(chunk: bytes, inside: int) -> bytes:
        content = bytearray(saved(noise(1), "png"))
        at = content.index(chunk)
        content[at + 4 + int.from_bytes(content[at - 4 : at], "big") + inside] ^= 255
        return bytes(content)

    assert read(spoilt(b"IHDR", 0)) == "not an image, or damaged at its start"
    assert np.array_equal(read(spoilt(b"IDAT", 0)), noise(1).transpose(2, 0, 1))
    assert isinstance(read(spoilt(b"IDAT", -6)), str)


TOO_LARGE = "more than 89,478,485 pixels, Pillow's limit"


@pytest.mark.promise("An image bomb costs little.")
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "an empty file"),
        (b"a text", "not an image, or damaged at its start"),
        (png_that_claims(60_000, 60_000), TOO_LARGE),
        (png_that_claims(2**31 - 1, 1), TOO_LARGE),
        (png_that_claims(2**31 - 1, 2**31 - 1), TOO_LARGE),
        (png_that_claims(9_000, 9_000), "image file is truncated (0 bytes not processed)"),
        (saved(noise(1)[:1, :1], "png"), "only 1 x 1 pixels"),
        (saved(np.zeros((1, 30_000, 3), np.uint8), "png"), "only 30000 x 1 pixels"),
    ],
)
def test_what_cannot_be_a_picture_is_bad_and_costs_little(content, reason):
    assert read(content) == reason


BOUND = """
import resource, sys
from zoo_data.decode import View, read_square, strict_pillow
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with strict_pillow():
    read_square(open(sys.argv[1], "rb").read(), View(64, 3))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


@pytest.mark.promise("An image bomb costs little.")
@pytest.mark.parametrize(
    ("size", "mode", "most"),
    [((60_000, 60_000), None, 16), ((30_000, 2), "RGB", 16), ((9_400, 9_500), "L", 200), ((5_000, 5_000), "I;16", 200)],
)
def test_memory_is_bounded(tmp_path, size, mode, most):
    """MiB beyond what an idle worker has: the largest grey image takes 85, and once more for its square."""
    path = tmp_path / "large.png"
    if mode is None:
        path.write_bytes(png_that_claims(*size))
    else:
        Image.new(mode, size).save(path, compress_level=1)
    done = subprocess.run([sys.executable, "-c", BOUND, path], capture_output=True, text=True, check=True)
    assert int(done.stdout) <= most


# -- folders of all this -------------------------------------------------------------------------------------------


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=30).filter(
    lambda name: not name.startswith(".") and len(os.fsencode(name)) < 200
)
ODD = (
    "-rf", "--help", "a\nb", "tab\t", "'quoted\"", "$(reboot)", "n" * 240, " ", "%s{0}", "con", "\u202egnp",
    "\ufeffbom", os.fsdecode(b"\xff\xfe"), unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é"),
)  # fmt: skip
EXTENSIONS = (".png", ".JPG", ".gif", ".tif", ".webp", ".bmp")
"""As files claim to be; what they are is another draw."""
POISON = {
    "empty": lambda path: path.touch(),
    "text": lambda path: path.write_text("no image"),
    "cut": lambda path: path.write_bytes(saved(noise(1), "png")[:100]),
    "bomb": lambda path: path.write_bytes(png_that_claims(60_000, 60_000)),
    "dot": lambda path: path.write_bytes(saved(noise(1)[:1, :1], "png")),
    "line": lambda path: path.write_bytes(saved(np.zeros((1, 3000), np.uint8), "png")),
    "broken link": lambda path: path.symlink_to(f"nowhere-{len(list(path.parent.iterdir()))}"),
    "loop": lambda path: path.symlink_to(path),
    "pipe": os.mkfifo,
    "socket": lambda path: _socket(path),
}


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.getcwd()
        os.chdir(path.parent)  # a socket's whole path may have 107 bytes
        try:
            listener.bind(path.name if len(os.fsencode(path.name)) < 100 else "short")
        finally:
            os.chdir(here)
        if not path.exists():
            path.with_name("short").rename(path)


@st.composite
def folders(draw: st.DrawFn) -> dict[str, str]:
    """Name -> what the file is: a kind of image, or of poison; at least two images."""
    names = draw(st.lists(st.one_of(NAMES, st.sampled_from(ODD)), min_size=4, max_size=9, unique=True))
    kinds = [*draw(st.lists(st.sampled_from(list(LOSSLESS)), min_size=2, max_size=2))]
    kinds += draw(st.lists(st.sampled_from([*LOSSLESS, *POISON]), min_size=len(names) - 2, max_size=len(names) - 2))
    extensions = draw(st.lists(st.sampled_from(EXTENSIONS), min_size=len(names), max_size=len(names)))
    return {name + extension: kind for name, extension, kind in zip(names, extensions, kinds, strict=True)}


def fill(root: Path, files: dict[str, str]) -> dict[str, torch.Tensor]:
    """Writes them; name -> pixels of those that are images."""
    good = {}
    for number, (name, kind) in enumerate(files.items()):
        if kind in POISON:
            POISON[kind](root / name)
        else:
            (root / name).write_bytes(file_of(kind, number))
            good[name] = torch.from_numpy(noise(number).transpose(2, 0, 1).copy())
    return good


@pytest.mark.promise(
    "A bad image is named with its reason, the policy is applied, the counts are right, no epoch is lost."
)
def test_of_a_folder_every_image_is_there_and_every_bad_file_is_named(tmp_path_factory, record_property):
    """Kept and skipped make those found; the images are the right ones, in one order; ``error`` names the first."""
    cases = 0

    @quick(150)
    @given(folders())
    def check(files: dict[str, str]) -> None:
        nonlocal cases
        cases += 1
        root = tmp_path_factory.mktemp("images")
        good = fill(root, files)
        bad = sorted(set(files) - set(good))
        images = folder(path=str(root), size=SIDE, test=0.4)
        expected = {name: pixels.numpy().tobytes() for name, pixels in good.items()}
        for split in (images.train, images.test):
            seen = [next(name for name in expected if expected[name] == one.numpy().tobytes()) for one in split]
            assert seen == sorted(seen)
        assert len(images.train) + len(images.test) == len(good)
        assert {one.numpy().tobytes() for split in (images.train, images.test) for one in split} == set(
            expected.values()
        )
        if bad:
            (note,) = images.notes
            assert note.startswith(f"folder: skipped {len(bad)} of {len(files)} files in {root}: ")
            assert [str(Bad(name, "")).removesuffix(" ()") in note for name in bad] == [True] * len(bad)
            assert note.isprintable()
            with pytest.raises(
                ValueError, match=f"^folder: {len(bad)} of {len(files)} files in .* cannot be used, first "
            ):
                folder(path=str(root), size=SIDE, test=0.4, on_error="error")
        else:
            assert images.notes == ()

    check()
    record_property("cases", cases)


@pytest.mark.promise(
    "A bad image is named with its reason, the policy is applied, the counts are right, no epoch is lost."
)
def test_any_order_of_good_and_bad_keeps_the_count(record_property):
    cases = 0

    @quick(150)
    @given(st.lists(st.tuples(st.booleans(), seeds), max_size=12))
    def check(drawn: list[tuple[bool, int]]) -> None:
        nonlocal cases
        cases += 1
        items = [(str(i), file_of("png", seed % 50)[: None if good else 60]) for i, (good, seed) in enumerate(drawn)]
        chunk = decode_chunk(items, VIEW)
        assert [bad.name for bad in chunk.bad] == [str(i) for i, (good, _) in enumerate(drawn) if not good]
        assert [one.tobytes() for one in chunk.pixels] == [
            noise(seed % 50).transpose(2, 0, 1).tobytes() for good, seed in drawn if good
        ]
        assert chunk.seen == len(drawn)

    check()
    record_property("cases", cases)


@pytest.mark.promise("Loops of links end.")
def test_loops_of_links_and_links_out_of_the_folder(tmp_path):
    root, out = tmp_path / "root", tmp_path / "out"
    for place in (root / "a/b/c", out):
        place.mkdir(parents=True)
        (place / f"{place.name}.png").write_bytes(saved(noise(len(place.name)), "png"))
    (root / "a/b/c/up").symlink_to(root)
    (root / "two").symlink_to(root / "one")
    (root / "one").symlink_to(root / "two")
    (root / "out").symlink_to(out)
    (out / "back").symlink_to(root / "a")
    (root / "one.png").symlink_to(out / "out.png")
    images = folder(path=str(root), size=SIDE)
    assert len(images.train) + len(images.test) == 2
    assert images.notes == ()


def test_a_path_too_long_to_be_listed_is_named(tmp_path):
    for i in range(2):
        (tmp_path / f"{i}.png").write_bytes(saved(noise(i), "png"))
    here = os.getcwd()
    try:
        os.chdir(tmp_path)
        for _ in range(20):
            os.mkdir("d" * 250)
            os.chdir("d" * 250)
    finally:
        os.chdir(here)
    (note,) = folder(path=str(tmp_path), size=SIDE).notes
    assert note.startswith(f"folder: skipped 1 of 3 files in {tmp_path}: ddd")
    assert note.endswith("(file name too long).")


def test_a_folder_whose_own_name_is_no_text_is_read(tmp_path, capsys):
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    root.mkdir()
    for i in range(2):
        (root / f"{i}.png").write_bytes(saved(noise(i), "png"))
    (root / "empty.png").touch()
    (note,) = folder(path=str(root), size=SIDE).notes
    print(note)
    assert r"\udcff: empty.png (an empty file)." in capsys.readouterr().out
