"""Metrics against the libraries that papers use: the same weights, the same images, the same number."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import lpips
import numpy as np
import pytest
import skimage.metrics
import torch
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric
from torchvision import models
from zoo_metrics import inception
from zoo_metrics.features import Features, few_at_a_time
from zoo_metrics.frechet import Fid, frechet
from zoo_metrics.inception_score import InceptionScore
from zoo_metrics.kernel import Kid
from zoo_metrics.neighbours import Precision, Recall
from zoo_metrics.pairs import Lpips
from zoo_metrics.perceptual import HEADS, SMALLEST, TRUNKS
from zoo_metrics.reconstruction import Psnr, Ssim, ssim

from zoo import api

CLOSE = 1e-4
"""What agreement means, relative."""


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def pictures(n: int, seed: int = 0, size: int = 32) -> Tensor:
    """Pixels 0..255 as models see them: smooth, so that networks find something to tell apart."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, 5, 5, generator=generator) + 0.2 * torch.rand(n, 3, 1, 1, generator=generator)
    fine = nn.functional.interpolate(coarse, (size, size), mode="bicubic")
    return api.to_model((fine * 200 + 10 * torch.rand(fine.shape, generator=generator)).clamp(0, 255).to(torch.uint8))


# -- pixels ------------------------------------------------------------------------------------------------


def test_psnr_and_ssim_are_scikit_images() -> None:
    x, y = pictures(4), pictures(4) * 0.7 + pictures(4, 1) * 0.3
    pairs = list(zip(x.double().numpy(), y.double().numpy(), strict=True))
    for metric, expected in (
        (Psnr(), [skimage.metrics.peak_signal_noise_ratio(a, b, data_range=2) for a, b in pairs]),
        (Ssim(32), [_ssim(a, b) for a, b in pairs]),
    ):
        metric.update(x[:3], y[:3])
        metric.update(x[3:], y[3:])
        assert metric.compute() == pytest.approx(np.mean(expected), rel=CLOSE)
    assert ssim(x.double(), x.double()).tolist() == pytest.approx([1.0] * 4)


def _ssim(a: np.ndarray, b: np.ndarray) -> float:
    return skimage.metrics.structural_similarity(
        a, b, data_range=2, channel_axis=0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )


def test_ssim_refuses_images_smaller_than_its_window() -> None:
    with pytest.raises(ValueError, match="windows are 11 px wide, and images are 8"):
        Ssim(8)


def test_few_images_at_a_time_are_seen_in_order_by_every_thread() -> None:
    """Without gradients; threads are then as many as before, in threads to come as well."""
    seen = []

    def see(a: Tensor, b: Tensor) -> tuple[Tensor, bool]:
        seen.append((len(a), torch.get_num_threads(), threading.get_ident()))
        return a - b, torch.is_grad_enabled()

    images = torch.arange(22.0)[:, None]
    torch.set_num_threads(4)
    try:
        found = few_at_a_time(see, images, images / 2)
        later: list[int] = []
        (thread := threading.Thread(target=lambda: later.append(torch.get_num_threads()))).start()
        thread.join()
        assert [torch.get_num_threads(), *later] == [4, 4]
    finally:
        torch.set_num_threads(1)
    assert torch.equal(torch.cat([part for part, _ in found]), images / 2)
    assert not any(grad for _, grad in found)
    assert sorted(n for n, _, _ in seen) == [2, 4, 4, 4, 4, 4]
    assert {threads for _, threads, _ in seen} == {1}
    assert threading.get_ident() not in {ident for _, _, ident in seen}


# -- inception ---------------------------------------------------------------------------------------------

N = 6
"""Images in a set: Inception takes a fifth of a second for each."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Random weights of the true architecture, whose batch norms have seen images: nothing fades on the way up."""
    torch.manual_seed(0)
    network = inception.network()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.uniform_(norm.bias, -0.5, 0.5)
    network.train()
    network.dropout.eval()
    network(nn.functional.interpolate(pictures(2, 5), (139, 139)))
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save(network.state_dict(), path)
    return str(path)


@pytest.fixture(scope="module")
def sets() -> tuple[Tensor, Tensor]:
    return pictures(N), pictures(N, 1) * 0.8


@pytest.fixture(scope="module")
def theirs(weights: str, sets: tuple[Tensor, Tensor]) -> list[tuple[Tensor, Tensor]]:
    """torch-fidelity's features and logits of both sets."""
    names = ["2048", "logits_unbiased"]
    extractor = FeatureExtractorInceptionV3("reference", names, feature_extractor_weights_path=weights)
    with torch.no_grad():
        return [extractor(api.to_pixels(images)) for images in sets]


@pytest.fixture(scope="module")
def features(weights: str) -> Features:
    """Holds the network, so that every metric of this file shares it."""
    return Features("inception", weights, None, download=False)


def test_inception_features_are_torch_fidelitys(features, sets, theirs) -> None:
    for images, (expected, logits) in zip(sets, theirs, strict=True):
        found = features(images)
        assert float(expected.std(0).mean()) > 0.01 * float(expected.mean())
        torch.testing.assert_close(found, expected, rtol=CLOSE, atol=CLOSE * float(expected.abs().max()))
        judge = features.judge(images.device)
        unbiased = judge.network.logits(found)
        torch.testing.assert_close(unbiased, logits, rtol=CLOSE, atol=CLOSE * float(logits.abs().max()))


@pytest.mark.usefixtures("features")
def test_fid_is_torch_fidelitys(weights, sets, theirs) -> None:
    """Of some of the features: torch-fidelity's eigenvalues of all 2,048 take many seconds, and say no more."""
    some = slice(0, 2048, 16)
    statistics = [fid_features_to_statistics(found[:, some].double()) for found, _ in theirs]
    expected = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    metric = Fid(pretrained=weights)
    metric.update(*sets)
    ours = [(m.mean[some], m.covariance()[some, some]) for m in (metric.moments[True], metric.moments[False])]
    assert frechet(*ours[0], *ours[1]) == pytest.approx(expected, rel=CLOSE)
    assert metric.protocol["feature_weights"].endswith(", not the published ones")


@pytest.mark.usefixtures("features")
def test_kid_is_torch_fidelitys(weights, sets, theirs) -> None:
    options = {"kid_subsets": 1, "kid_subset_size": N, "kid_kernel": "poly", "kid_kernel_poly_degree": 3}
    options |= {"kid_kernel_poly_gamma": None, "kid_kernel_poly_coef0": 1, "rng_seed": 0, "verbose": False}
    expected = kid_features_to_metric(*(found for found, _ in theirs), **options)["kernel_inception_distance_mean"]
    for subset in (0, N):
        metric = Kid(pretrained=weights, subset=subset, subsets=1)
        metric.update(*sets)
        assert metric.compute() == pytest.approx(expected, rel=CLOSE)


@pytest.mark.usefixtures("features")
def test_inception_score_is_torch_fidelitys(weights, sets, theirs) -> None:
    expected = isc_features_to_metric(theirs[0][1], splits=2, shuffle=False)
    metric = InceptionScore(pretrained=weights, splits=2)
    metric.update(sets[0])
    assert metric.compute() == pytest.approx(expected["inception_score_mean"], rel=CLOSE)
    assert metric.details()["sd"] == pytest.approx(expected["inception_score_std"], rel=CLOSE)


@pytest.mark.usefixtures("features")
@pytest.mark.parametrize("k", [1, 3])
def test_precision_and_recall_are_torch_fidelitys(weights, sets, theirs, k: int) -> None:
    (real, _), (made, _) = theirs
    options = {"prc_neighborhood": k, "prc_batch_size": 100, "save_cpu_ram": False, "verbose": False}
    expected = prc_features_to_metric(made, real, **options)
    for name, metric in (
        ("precision", Precision(pretrained=weights, k=k)),
        ("recall", Recall(pretrained=weights, k=k)),
    ):
        metric.update(*sets)
        assert metric.compute() == pytest.approx(expected[name], rel=CLOSE)


# -- lpips -------------------------------------------------------------------------------------------------


def trunk(net: str, path: Path) -> dict[str, Tensor]:
    """Random weights of torchvision's network without its classifier, saved under torchvision's names."""
    torch.manual_seed(0)
    with torch.device("meta"):
        layers = TRUNKS[net][0]().features
    layers.to_empty(device="cpu")
    for layer in layers.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.uniform_(layer.bias, -0.1, 0.1)
    found = {f"features.{name}": tensor for name, tensor in layers.state_dict().items()}
    torch.save(found, path)
    return found


@pytest.mark.parametrize("net", TRUNKS)
def test_lpips_is_lpips(net: str, tmp_path: Path, monkeypatch) -> None:
    found = trunk(net, tmp_path / "trunk.pth")
    monkeypatch.setattr(models, "vgg16", lambda **_: _Body(models.vgg.make_layers(models.vgg.cfgs["D"])))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="torchvision")
        theirs = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    theirs.net.load_state_dict({name: found[f"features.{name.split('.', 1)[1]}"] for name in theirs.net.state_dict()})
    x, y = pictures(3, size=40), pictures(3, 1, size=40)
    with torch.no_grad():
        expected = theirs(x, y).flatten()
    metric = Lpips(40, net=net, pretrained=str(tmp_path / "trunk.pth"))
    metric.update(x[:1], y[:1])
    assert metric.compute() == pytest.approx(float(expected[0]), rel=CLOSE)
    metric.update(x[1:], y[1:])
    assert metric.compute() == pytest.approx(float(expected.mean()), rel=CLOSE)
    assert metric.protocol["feature_weights"]["heads"] == f"sha256:{HEADS[net]}"
    metric = Lpips(40, net=net, pretrained=str(tmp_path / "trunk.pth"))
    metric.update(x, x)
    assert metric.compute() == 0


class _Body(nn.Module):
    """A network without its classifier, which LPIPS does not look at."""

    def __init__(self, features: nn.Module) -> None:
        super().__init__()
        self.features = features


@pytest.mark.parametrize("net", TRUNKS)
def test_the_smallest_images_that_lpips_takes(net: str, tmp_path: Path) -> None:
    trunk(net, tmp_path / "trunk.pth")
    side = SMALLEST[net]
    metric = Lpips(side, net=net, pretrained=str(tmp_path / "trunk.pth"))
    metric.update(pictures(1, size=side), pictures(1, 1, size=side))
    assert metric.compute() > 0
    with pytest.raises(RuntimeError):
        metric.update(pictures(1, size=side - 1), pictures(1, 1, size=side - 1))
    with pytest.raises(ValueError, match=f"needs images of {side} px or more, not {side - 1}"):
        Lpips(side - 1, net=net)
