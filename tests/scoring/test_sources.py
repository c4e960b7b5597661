"""What may be scored: every way to hold the same images gives one number; what is none is told in a sentence."""

from __future__ import annotations

import json
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Run
from helpers.sets import folder, pixels, zipped
from zoo_metrics.frechet import Frechet

import zoo
from zoo.errors import RequestError

RANDOM = {"model": "test_resnet", "pretrained": False, "resize": 32}
N = 6


def number(a: object, b: object, metric: str = "frechet", **more: object) -> float:
    settings = RANDOM if metric == "frechet" else {}
    return zoo.score(str(a), str(b), metrics=[metric], settings={**settings, **more})[metric]["value"]


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same two sets of images in every form."""
    root = tmp_path_factory.mktemp("sets")
    for name, images in (("a", pixels(N)), ("b", pixels(N + 2, 1, tint=0.3))):
        zipped(root / f"{name}.zip", folder(root / name, images))
        np.savez(root / f"{name}.npz", images)
        np.savez_compressed(root / f"{name}_packed.npz", arr_0=images, arr_1=np.arange(len(images)))
    folder(root / "p", pixels(N, tint=0.1))
    return root


@pytest.mark.parametrize("a", ["a", "a.zip", "a.npz", "a_packed.npz"])
@pytest.mark.parametrize("b", ["b", "b.zip", "b_packed.npz"])
def test_the_same_images_in_another_form_are_the_same(sets: Path, a: str, b: str) -> None:
    metric = Frechet(**RANDOM)
    for images, real in ((pixels(N + 2, 1, tint=0.3), True), (pixels(N), False)):
        metric.take(metric.features(torch.from_numpy(images).movedim(-1, 1).contiguous()), real)
    scored = zoo.score(sets / a, sets / b, metrics=["frechet"], settings=RANDOM)["frechet"]
    assert scored["value"] == pytest.approx(metric.compute(), rel=1e-5)
    known = {name: scored["passport"][name]["images"] for name in ("judged", "reference")}
    plain = zoo.score(sets / "a", sets / "b", metrics=["frechet"], settings=RANDOM)["frechet"]["passport"]
    assert known == {name: plain[name]["images"] for name in known}
    assert known["judged"] != known["reference"]


@pytest.mark.parametrize("given", ["channels last", "channels first", "a tensor"])
def test_pixels_in_memory_are_those_of_a_folder(sets: Path, given: str) -> None:
    images = pixels(N)
    first = np.moveaxis(images, -1, 1)
    a = {"channels last": images, "channels first": first, "a tensor": torch.from_numpy(first)}[given]
    scored = zoo.score(a, sets / "b", metrics="frechet", settings=RANDOM)["frechet"]
    of_files = zoo.score(sets / "a", sets / "b", metrics=["frechet"], settings=RANDOM)["frechet"]
    assert scored["value"] == of_files["value"]
    assert scored["passport"]["judged"]["images"] == of_files["passport"]["judged"]["images"]
    assert zoo.score(a, a, metrics="mse")["mse"]["value"] == 0.0


def test_pixels_in_memory_that_are_none(sets: Path) -> None:
    for a, said in (
        (torch.zeros(4, 3, 8, 8), r"a is torch.float32 (4, 3, 8, 8); a set is a path, a name, or uint8 (N, C, H, W)"),
        (np.zeros((8, 8, 3), np.uint8), r"a is torch.uint8 (8, 8, 3); a set is"),
        (None, "a is NoneType; a set is a path"),
        (torch.tensor(3.0), "a is torch.float32 (); a set is"),
        (torch.zeros(0, 3, 8, 8, dtype=torch.uint8), "a: has no images"),
        (np.zeros((4, 8, 8, 4), np.uint8), "a is torch.uint8 (4, 8, 8, 4); a set is"),
    ):
        with pytest.raises(RequestError, match=re.escape(said)):
            zoo.score(a, sets / "b", metrics="mse")


def test_grey_is_grey_in_every_channel(tmp_path: Path) -> None:
    gray = pixels(N, gray=True)
    np.savez(tmp_path / "gray.npz", gray[..., None])
    np.savez(tmp_path / "colour.npz", np.stack([gray] * 3, -1))
    other = folder(tmp_path / "other", pixels(N, 3))
    found = {number(tmp_path / name, other) for name in ("gray.npz", "colour.npz")}
    assert found == {number(folder(tmp_path / "gray", gray), other)}


def test_pairs_are_matched_by_name_whatever_the_ending(sets: Path, tmp_path: Path) -> None:
    reversed_names = tmp_path / "reversed"
    folder(reversed_names, pixels(N, tint=0.1)[::-1])
    made, kept = pixels(N).astype(float), pixels(N, tint=0.1).astype(float)
    expected = np.square((made - kept) / 127.5).mean()
    assert number(sets / "a", sets / "p", "mse") == pytest.approx(expected, rel=1e-6)
    assert number(sets / "a.npz", sets / "p", "mse") == pytest.approx(expected, rel=1e-6)
    assert number(sets / "a", reversed_names, "mse") > 1.5 * expected
    jpeg = folder(tmp_path / "jpeg", pixels(N), ".jpg")
    assert 0 < number(sets / "a", jpeg, "mse") < 0.01


# -- published statistics --------------------------------------------------------------------------------


def test_statistics_in_the_place_of_images(sets: Path, tmp_path: Path) -> None:
    metric = Frechet(**RANDOM)
    found = metric.features(torch.from_numpy(pixels(N + 2, 1, tint=0.3)).movedim(-1, 1).contiguous()).double().numpy()
    mean, expected = found.mean(0), number(sets / "a", sets / "b")
    np.savez(tmp_path / "clean.npz", mu=mean, sigma=np.cov(found, rowvar=False))
    assert number(sets / "a", tmp_path / "clean.npz") == pytest.approx(expected, rel=1e-4)
    state = {"capture_all": False, "capture_mean_cov": True, "max_items": None, "num_items": N + 2}
    state |= {"num_features": found.shape[1], "all_features": None}
    state |= {"raw_mean": found.sum(0), "raw_cov": found.T @ found}
    (tmp_path / "stylegan.pkl").write_bytes(pickle.dumps(state))
    np.savez(tmp_path / "biased.npz", mu=mean, sigma=np.cov(found, rowvar=False, bias=True))
    biased = number(sets / "a", tmp_path / "biased.npz")
    assert number(sets / "a", tmp_path / "stylegan.pkl") == pytest.approx(biased, rel=1e-9)
    assert abs(biased / expected - 1) > 1e-3
    wrong = {"mu": 2 * mean, "sigma": np.cov(found, rowvar=False)}
    np.savez(
        tmp_path / "adm.npz", arr_0=pixels(N + 2, 1, tint=0.3), **wrong
    )  # what ADM's program takes, if it is there
    assert number(sets / "a", tmp_path / "adm.npz") > 1.01 * expected
    assert zoo.score(sets / "a", tmp_path / "adm.npz", metrics=["kernel"], settings=RANDOM)["kernel"]["value"]


class Thief:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch stolen",)


def test_a_pickle_of_statistics_runs_no_code(sets: Path, here: Path) -> None:
    for name, content in (("a.pkl", Thief()), ("b.pkl", {"raw_mean": Thief()}), ("c.pkl", [1])):
        (here / name).write_bytes(pickle.dumps(content))
        with pytest.raises(RequestError, match=r"cannot be read: .*(posix\.system|nt\.system|a list, not numbers)"):
            number(sets / "a", here / name)
    assert not (here / "stolen").exists()


# -- runs and data sets ------------------------------------------------------------------------------------


def test_a_run_and_a_data_set_by_name(finished: Path) -> None:
    small = {**RANDOM, "data.size": 8, "data.train": 64, "data.test": 8}
    scored = zoo.score(finished, "photos:train", metrics=["frechet"], settings=small, n=20)
    passport = scored["frechet"]["passport"]
    assert (passport["judged"]["n"], passport["judged"]["output"]) == (20, "sample")
    assert (passport["reference"]["split"], passport["reference"]["size"]) == ("train", 8)
    assert passport["judged"]["sizes"] == {"8x8": 20}
    again = zoo.score(finished, "photos:train", metrics=["frechet"], settings=small, n=20)
    other = zoo.score(finished, "photos:train", metrics=["frechet"], settings=small, n=20, seed=1)
    assert again["frechet"]["value"] == scored["frechet"]["value"] != other["frechet"]["value"]


def test_reconstructions_of_a_run_beside_its_images(finished: Path) -> None:
    scored = zoo.score(f"{finished}#reconstruction", f"{finished}#x", metrics=["mse", "psnr"])
    model = zoo.load(finished)
    kept = zoo.evaluate(model, metrics=["mse"])["mse"]["value"]
    assert scored["mse"]["value"] == pytest.approx(kept, rel=0.1)  # another draw of the posterior, in 256 steps
    assert zoo.score(f"{finished}#x", f"{finished}#x", metrics=["mse"])["mse"]["value"] == 0


# -- what is refused ---------------------------------------------------------------------------------------


def broken(root: Path) -> None:
    """Sets with which something is wrong."""
    folder(root / "a", pixels(N))
    folder(folder(root / "mixed", pixels(4)), pixels(3, 2, 31), first=4)
    folder(root / "elsewhere", pixels(N), first=100)
    folder(root / "fewer", pixels(N - 2))
    folder(root / "larger", pixels(N, size=40))
    folder(root / "one", pixels(1))
    folder(root / "damaged", pixels(N))
    (root / "damaged" / "00003.png").write_bytes((root / "damaged" / "00003.png").read_bytes()[:80])
    (root / "empty").mkdir()
    (root / "text.txt").write_text("no images")
    np.savez(root / "images.npz", pixels(N))
    cut = (root / "images.npz").read_bytes()
    (root / "corrupt.npz").write_bytes(cut[: len(cut) // 2])
    (root / "flipped.npz").write_bytes(cut[:4000] + bytes(100) + cut[4100:])
    np.savez(root / "floats.npz", pixels(N) / 255.0)
    np.savez(root / "first.npz", np.moveaxis(pixels(N), -1, 1))
    np.savez(root / "labels.npz", a=np.arange(3), b=np.arange(3))
    np.savez(root / "nan.npz", mu=np.full(3, np.nan), sigma=np.eye(3))
    np.savez(root / "small.npz", mu=np.zeros(3), sigma=np.eye(3))


REFUSED = {
    "nowhere a fd-lite0": r"nowhere: there is no such folder, zip, .npz, run, or data set by name; .* zoo list data",
    "a photoss fd-lite0": r"photoss: .*; did you mean 'photos'\?",
    "a photos:val mse": r"photos:val: there is no split 'val'; choices: test, train",
    "mixed a frechet": r"mixed: its images differ in size \(4 of 32x32, 3 of 31x31\), and this protocol takes one",
    "mixed a random-pairs": r"without a partner: 1 of mixed",
    "a elsewhere psnr": r"no image of a has a partner in elsewhere: names are 00000 ... here and 00100 ... there",
    "a fewer mse": r"without a partner: 2 of a \(00004, 00005\); remove them, or score what has one",
    "fewer a mse": r"without a partner: 2 of a \(00004, 00005\)",
    "a larger mse": r"00000 is 32 x 32 in a and 40 x 40 in larger; pairs have one size",
    "one a frechet": r"metric 'frechet': a covariance needs at least 2 images, and there are 1",
    "damaged a frechet": r"damaged: 00003.png cannot be read as an image: .*; repair or remove it",
    "a damaged frechet": r"damaged: 00003.png cannot be read as an image",
    "empty a frechet": r"empty: holds no images \(.png .jpg",
    "text.txt a frechet": r"text.txt: is neither a zip of images, an .npz nor a .pkl of statistics",
    "corrupt.npz a frechet": r"corrupt.npz: cannot be read: .*; write or fetch it again",
    "flipped.npz a frechet": r"flipped.npz: cannot be read: Bad CRC-32.*; write or fetch it again",
    "floats.npz a frechet": r"floats.npz: arr_0 is float64; expected uint8, 0 to 255",
    "first.npz a frechet": r"first.npz: arr_0 is \(6, 3, 32, 32\), channels first; expected N x H x W x 3",
    "labels.npz a frechet": r"labels.npz: holds a, b; expected images .* or statistics \(mu and sigma\)",
    "a nan.npz frechet": r"nan.npz: mu holds numbers that are not finite",
    "a small.npz frechet": r"metric 'frechet': the reference has 3 features, and these are 96",
    "a small.npz kernel": r"small.npz: has statistics \(mu, sigma\), and metric 'kernel' needs images",
    "a small.npz mse": r"small.npz: has statistics and no images, which metric 'psnr' needs",
    "small.npz a frechet": r"small.npz: has statistics and no images; give it as the second, the reference",
    "a one fid": r"metric 'fid': the weights of FID's InceptionV3 are not on this machine; .*; options: --set",
    "a one cycle": r"metric 'cycle' looks at .*, beside images: zoo evaluate RUN measures it",
    "a one fidd": r"did you mean 'fid'",
}


@pytest.mark.parametrize("asked", REFUSED)
def test_what_is_refused(asked: str, here: Path, run_zoo: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(here))
    broken(here)
    a, b, metric = asked.split()
    options = ["--set", "model=test_resnet", "--set", "pretrained=false"] if metric in ("frechet", "kernel") else []
    before = {*Path(os.environ["ZOO_CACHE"]).rglob("*.part")}
    done = run_zoo(
        "score", a, b, "--metrics", f"psnr,{metric}" if metric == "mse" else metric, *options, "--to", "o.json"
    )
    assert done.code == 2
    assert done.out == ""
    assert re.search(REFUSED[asked], done.errors[-1]), done.errors[-1]
    assert not Path("o.json").exists()
    assert not {*Path(os.environ["ZOO_CACHE"]).rglob("*.part")} - before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--protocol", "clean-fidd"], "there is no protocol 'clean-fidd'; did you mean 'clean-fid'?"),
        (["--protocol", "zzz"], "there is no protocol 'zzz'; choices: adm, clean-fid, kid"),
        (["--metrics", "mse", "--protocol", "adm"], "none of mse has protocols, so 'adm' says nothing; leave it out"),
        (["--metrics", "kid", "--protocol", "adm"], "metric 'kid' option 'protocol' must be"),
        (
            ["--metrics", "frechet", "--set", "modl=x"],
            "--set modl: no metric here has that option; did you mean 'model'?",
        ),
        (["--metrics", "frechet", "--set", "mse.size=1"], "--set mse.size: 'mse' is not measured"),
        (["--metrics", "frechet", "--set", "model"], "--set model: has no '='"),
        (
            ["--metrics", "fd-lite0", "--set", "change={filtre: box}"],
            "a protocol has no 'filtre' to change; choices: size, ",
        ),
        (
            ["--metrics", "fd-lite0", "--set", "change={filter: bx}"],
            "filter is 'bx'; choices: bilinear, bicubic, lanczos",
        ),
        (["--metrics", "mse", "-n", "9"], "a: has 6 images, and 9 are asked for"),
    ],
)
def test_what_options_are_refused(options: list[str], said: str, sets: Path, run_zoo: Run) -> None:
    done = run_zoo("score", sets / "a", sets / "p", *options)
    assert done.code == 2
    assert said in done.errors[-1]


def test_what_the_command_prints_and_writes(sets: Path, here: Path, run_zoo: Run) -> None:
    (sets / "a" / "readme.txt").write_text("no image")
    options = ["--metrics", "psnr,frechet", "--set", "model=test_resnet", "--set", "pretrained=false"]
    done = run_zoo("score", sets / "a", sets / "p", *options, "--interval", "4", "--to", "o.json")
    assert done.code == 0
    header, _, psnr, frechet = done.out.splitlines()
    assert header.split()[:2] == ["score", "value"]
    assert (psnr.split()[0], frechet.split()[0]) == ("psnr", "frechet")
    assert "passed over 1 file that are no images" in done.err
    assert "6 images are no more than 96 features: frechet is " in done.err
    written = json.loads((here / "o.json").read_text())
    passport = written["frechet"]["passport"]
    assert passport["how"]["feature_weights"].startswith("random, seed 0")
    assert passport["how"]["resize"] == "160 px, bilinear, antialiased"
    assert set(passport["versions"]) >= {"PyTorch", "numpy", "pillow", "generative-zoo"}
    assert passport["judged"]["sizes"] == {"32x32": N}
    low, high = (written["frechet"]["interval"][name] for name in ("low", "high"))
    assert low < written["frechet"]["value"] < high
    document = json.loads(run_zoo("score", sets / "a", sets / "p", *options, "--json").out)
    assert document["frechet"]["value"] == written["frechet"]["value"]
