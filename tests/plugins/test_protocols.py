"""Protocols against the programs that they are named after: the same files, the same network, the same number.

The network is a small one, the same in both, so that every size and kind of file can be tried; InceptionV3 itself is in
``test_metrics_references``. What reaches it, and what becomes of its features, is the other program's own doing.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.special
import torch
import zoo_metrics.inception
from helpers.inception import saved, small
from helpers.sets import folder, pixels
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample
from torch_fidelity.datasets import ImagesPathDataset, TransformPILtoRGBTensor
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

import zoo
from zoo.compare.protocol import Score, refuse_different_protocols
from zoo.errors import RequestError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from cleanfid import fid as cleanfid
    from torchmetrics.image.fid import NoTrainInceptionV3, _compute_fid

real_network = zoo_metrics.inception.network
CLOSE = 1e-4
"""What agreement means, relative."""
N, M = 6, 7
"""Images that are judged, and others: fewer than features, as in a quick look."""


@pytest.fixture(scope="module", autouse=True)
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Puts the small network in Inception's place, and its weights into a file."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zoo_metrics.inception, "network", small)
        yield saved(tmp_path_factory.mktemp("judge") / "small.pth")
    torch.set_num_threads(threads)


@dataclass(frozen=True)
class Sets:
    """Two folders of images."""

    a: Path
    b: Path


KINDS = [(32, False, ".png"), (32, True, ".jpg"), (64, True, ".png"), (64, False, ".jpg"), (256, False, ".png")]
KINDS += [(256, True, ".jpg")]
"""Side, whether grey, ending: every size in both colours, and in both endings."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Sets]:
    """Writes the sets of a kind, once: pictures, noisy, so that every resize makes another of them."""
    known: dict[tuple[object, ...], Sets] = {}

    def make(size: int = 64, gray: bool = False, suffix: str = ".png") -> Sets:
        key = (size, gray, suffix)
        if key not in known:
            root = tmp_path_factory.mktemp("sets")
            both = []
            for name, n, seed, tint in (("a", N, 0, 0.2), ("b", M, 1, 0.0)):
                images = pixels(n, seed, size, gray=gray, tint=tint).astype(int)
                noise = np.random.default_rng(seed).integers(-40, 41, images.shape)
                both.append(folder(root / name, (images + noise).clip(0, 255).astype(np.uint8), suffix))
            known[key] = Sets(*both)
        return known[key]

    return make


def ours(sets: Sets, judge: str, protocol: str, metric: str = "fid", **more: Any) -> float:
    found = zoo.score(sets.a, sets.b, metrics=[metric], protocol=protocol, settings={"pretrained": judge, **more})
    return found[metric]["value"]


# -- the other programs ------------------------------------------------------------------------------------


def files(path: Path) -> list[str]:
    return sorted(map(str, path.iterdir()))


class _Stop(Exception):
    pass


def reached(extractor: nn.Module, images: Tensor) -> Tensor:
    """What reaches the first layer of an extractor."""
    caught: list[Tensor] = []

    def catch(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        caught.extend(given)
        raise _Stop

    hook = extractor.Conv2d_1a_3x3.register_forward_pre_hook(catch)
    with pytest.raises(_Stop), torch.no_grad():
        extractor._torch_fidelity_forward(images) if hasattr(extractor, "use_antialias") else extractor(images)
    hook.remove()
    return caught[0]


@pytest.fixture(scope="module")
def extractors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, nn.Module]:
    """torch-fidelity's network, and torchmetrics'; their weights do not matter here."""
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.save(real_network().state_dict(), path)
    theirs = {"torch-fidelity": FeatureExtractorInceptionV3("theirs", ["2048"], str(path))}
    return {**theirs, "torchmetrics": NoTrainInceptionV3("theirs", ["2048"], str(path), antialias=True)}


def by_extractor(extractor: nn.Module, path: Path) -> Tensor:
    """Features of a folder, read by torch-fidelity's data set."""
    images = ImagesPathDataset(files(path), TransformPILtoRGBTensor())
    return torch.cat([small().pooled(reached(extractor, images[i][None])) for i in range(len(images))])


def torch_fidelity(sets: Sets, extractors: dict[str, nn.Module]) -> float:
    found = [by_extractor(extractors["torch-fidelity"], path) for path in (sets.a, sets.b)]
    statistics = [fid_features_to_statistics(features.double()) for features in found]
    return float(fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"])


def torchmetrics(sets: Sets, extractors: dict[str, nn.Module]) -> float:
    found = [by_extractor(extractors["torchmetrics"], path).double() for path in (sets.b, sets.a)]
    statistics = [number for features in found for number in (features.mean(0), features.T.cov())]
    return float(_compute_fid(*statistics))


def clean_features(path: Path) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        how = {"mode": "clean", "device": torch.device("cpu"), "num_workers": 0, "verbose": False}
        return cleanfid.get_folder_features(str(path), lambda x: small().pooled((x - 128) / 128), **how)


def clean_fid(sets: Sets, _: object) -> float:
    found = [clean_features(path).astype(np.float64) for path in (sets.a, sets.b)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return float(distance(*found, over=1))


def distance(a: np.ndarray, b: np.ndarray, over: int) -> float:
    """The published formula by scipy's root; ``over`` is 1 for covariances over n - 1, 0 for n."""
    (m1, c1), (m2, c2) = ((x.mean(0), np.cov(x, rowvar=False, ddof=over)) for x in (a, b))
    root = scipy.linalg.sqrtm(c1 @ c2)
    return float(np.square(m1 - m2).sum() + np.trace(c1 + c2) - 2 * np.trace(root).real)


def read(path: Path) -> np.ndarray:
    """(N, H, W, 3)."""
    return np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files(path)])


def tensorflow(images: np.ndarray, side: int = 299) -> Tensor:
    """ResizeBilinear of TensorFlow 1 from its documentation: output i is at i * in / out, between two pixels."""
    found = images.astype(np.float64)
    for axis in (1, 2):
        size = images.shape[axis]
        at = np.arange(side) * size / side
        low = np.floor(at).astype(int)
        part = (at - low).reshape(-1, *(1,) * (3 - axis))
        high = np.minimum(low + 1, size - 1)
        found = found.take(low, axis) * (1 - part) + found.take(high, axis) * part
    return torch.from_numpy(found).movedim(-1, 1).float()


def adm(sets: Sets, _: object) -> float:
    found = [small().pooled((tensorflow(read(path)) - 128) / 128).double().numpy() for path in (sets.a, sets.b)]
    return distance(*found, over=1)


def stylegan_features(images: np.ndarray) -> np.ndarray:
    """The resize inside NVIDIA's TorchScript network: a grid of samples, shifted so that top left corners meet."""
    x = torch.from_numpy(images).movedim(-1, 1).float()
    n, _, height, width = x.shape
    theta = torch.eye(2, 3)
    theta[0, 2] += 1 / width - 1 / 299
    theta[1, 2] += 1 / height - 1 / 299
    grid = affine_grid(theta.expand(n, 2, 3), [n, 3, 299, 299], align_corners=False)
    x = grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return small().pooled((x - 128) / 128).double().numpy()


def stylegan(sets: Sets, _: object) -> float:
    return distance(*(stylegan_features(read(path)) for path in (sets.a, sets.b)), over=0)


PROGRAMS: dict[str, Callable[..., float]] = {
    "torch-fidelity": torch_fidelity,
    "clean-fid": clean_fid,
    "torchmetrics": torchmetrics,
    "adm": adm,
    "stylegan": stylegan,
    "rfid": torch_fidelity,
}


@pytest.mark.parametrize(("size", "gray", "suffix"), KINDS)
@pytest.mark.parametrize("protocol", PROGRAMS)
def test_fid_is_the_programs(protocol, size, gray, suffix, made, judge, extractors) -> None:
    sets = made(size, gray, suffix)
    expected = PROGRAMS[protocol](sets, extractors)
    assert expected > 0.01
    assert ours(sets, judge, protocol) == pytest.approx(expected, rel=CLOSE)


# -- faults --------------------------------------------------------------------------------------------------

SLIPS: dict[str, tuple[str, dict[str, Any]]] = {
    "another filter": ("clean-fid", {"filter": "bilinear"}),
    "a sharper filter": ("clean-fid", {"filter": "lanczos"}),
    "not antialiased": ("clean-fid", {"library": "torch", "antialias": False}),
    "antialiased": ("torch-fidelity", {"library": "torch", "antialias": True}),
    "pixels' centres aligned": ("torch-fidelity", {"library": "torch"}),
    "the nearest pixel": ("torch-fidelity", {"library": "torch", "filter": "nearest"}),
    "rounded to uint8": ("clean-fid", {"rounding": "nearest"}),
    "cut off to uint8": ("clean-fid", {"rounding": "down"}),
    "[0, 1] for [-1, 1]": ("torch-fidelity", {"scale": "unit"}),
    "127.5 for 128": ("torch-fidelity", {"scale": "centred"}),
    "ImageNet's mean": ("torch-fidelity", {"scale": "imagenet"}),
    "BGR": ("torch-fidelity", {"order": "BGR"}),
    "another side": ("clean-fid", {"size": 288}),
    "n for n - 1": ("adm", {"covariance": "n"}),
    "n - 1 for n": ("stylegan", {"covariance": "n - 1"}),
    "cropped by a pixel": ("torch-fidelity", {"crop": 319}),
}
"""What somebody's program does otherwise -> the protocol, and how."""


@pytest.fixture(scope="module")
def right(made, judge, extractors) -> Callable[..., float]:
    """The number of a program at a size, which is ours; found once."""

    @cache
    def number(protocol: str, size: int) -> float:
        expected = PROGRAMS[protocol](made(size), extractors)
        assert ours(made(size), judge, protocol) == pytest.approx(expected, rel=CLOSE)
        return expected

    return number


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_is_another_number(slip, made, judge, right) -> None:
    """At 320 px, where a resize to 299 shrinks; where places matter, at 64 px."""
    protocol, change = SLIPS[slip]
    size = 64 if change == {"library": "torch"} else 320
    sets, expected = made(size), right(protocol, size)
    assert abs(ours(sets, judge, protocol, change=change) / expected - 1) > 2 * CLOSE


def test_other_images_are_another_number(made, judge, extractors, tmp_path: Path) -> None:
    """One image fewer, JPEG for PNG, one channel for grey, another set in the reference's place."""
    sets = made(64)
    expected = torch_fidelity(sets, extractors)
    whole, gray = read(sets.b), read(sets.b).copy()
    gray[:] = gray[..., :1]
    for other in (
        folder(tmp_path / "fewer", whole[:-1]),
        folder(tmp_path / "jpeg", whole, ".jpg"),
        folder(tmp_path / "red", gray),
        made(64, False, ".jpg").a,
    ):
        assert abs(ours(Sets(sets.a, other), judge, "torch-fidelity") / expected - 1) > 2 * CLOSE


def test_rfid_crops_what_is_not_square(made, judge, extractors, tmp_path: Path) -> None:
    sets = made(64)
    wide = [folder(tmp_path / p.name, np.pad(read(p), ((0, 0), (0, 0), (8, 9), (0, 0)))) for p in (sets.a, sets.b)]
    expected = torch_fidelity(sets, extractors)
    assert ours(Sets(*wide), judge, "rfid") == pytest.approx(expected, rel=CLOSE)
    assert abs(ours(Sets(*wide), judge, "torch-fidelity") / expected - 1) > 2 * CLOSE


# -- other numbers -----------------------------------------------------------------------------------------


def test_adms_numbers(made, judge, monkeypatch: pytest.MonkeyPatch) -> None:
    """sFID on places in TensorFlow's order, the score in splits, precision and recall by comparing all with all."""
    monkeypatch.setattr("zoo_metrics.inception_score.ADM_SPLIT", 4)
    sets = made(64)
    a, b = (small().pooled((tensorflow(read(path)) - 128) / 128).double().numpy() for path in (sets.a, sets.b))
    found = zoo.score(sets.a, sets.b, protocol="adm", settings={"pretrained": judge, "sfid.change": {"size": 19}})
    assert set(found) == {"fid", "sfid", "inception-score", "precision", "recall"}
    maps = [small().maps((tensorflow(read(path), 19) - 128) / 128)[:, :7] for path in (sets.a, sets.b)]
    spatial = [each.movedim(1, -1).flatten(1).double().numpy() for each in maps]
    assert found["sfid"]["value"] == pytest.approx(distance(*spatial, over=1), rel=CLOSE)
    p = scipy.special.softmax(a @ small().fc.weight.double().T.numpy(), 1)
    by_hand = [np.exp(np.mean(np.sum(q * (np.log(q) - np.log(q.mean(0))), 1))) for q in (p[:4], p[4:])]
    assert found["inception-score"]["value"] == pytest.approx(np.mean(by_hand), rel=CLOSE)
    among = np.sqrt(np.square(a[:, None] - b[None]).sum(-1))
    of_a, of_b = (np.sort(np.sqrt(np.square(x[:, None] - x[None]).sum(-1)), 1)[:, 3] for x in (a, b))
    assert found["precision"]["value"] == pytest.approx((among <= of_b[None]).any(1).mean())
    assert found["recall"]["value"] == pytest.approx((among <= of_a[:, None]).any(0).mean())


def test_kid_is_clean_fids(made, judge) -> None:
    """Their subset is all images where both sets have as many."""
    both = Sets(made(64).a, made(64, False, ".jpg").a)
    features = [clean_features(path).astype(np.float64) for path in (both.a, both.b)]
    expected = cleanfid.kernel_distance(*features, num_subsets=1)
    assert ours(both, judge, "clean-fid", "kid") == pytest.approx(expected, rel=CLOSE)


def test_images_of_several_sizes_are_clean_fids(made, judge, tmp_path: Path) -> None:
    for number, images in enumerate(zip(read(made(64).a), read(made(256).a), strict=True)):
        for place, image in enumerate(images):
            folder(tmp_path / "mixed", image[None], first=2 * number + place)
    sets = Sets(tmp_path / "mixed", made(64).b)
    assert ours(sets, judge, "clean-fid") == pytest.approx(clean_fid(sets, None), rel=CLOSE)


# -- in a recipe ---------------------------------------------------------------------------------------------


def test_a_recipe_names_a_protocol_and_protocols_that_differ_share_no_column(judge) -> None:
    known = {}
    for protocol in ("torch-fidelity", "adm", "stylegan", "clean-fid"):
        fid = {"protocol": protocol, "pretrained": judge}
        model = zoo.build("vae", overrides={"data.size": 8, "data.train": 8, "data.test": 4, "evaluate": {"fid": fid}})
        score = zoo.evaluate(model)["fid"]
        known[protocol] = Score("vae", "photos", "fid", 0, score["value"], score["protocol"])
        assert score["value"] > 0
    assert known["adm"].protocol == known["torch-fidelity"].protocol
    refuse_different_protocols([known["adm"], known["torch-fidelity"]])
    for other, field in (
        ("stylegan", "covariance is n - 1 in vae, n in vae"),
        ("clean-fid", "resize is 299 px, bilin"),
    ):
        with pytest.raises(RequestError, match=f"photos fid: {field}"):
            refuse_different_protocols([known["adm"], known[other]])
