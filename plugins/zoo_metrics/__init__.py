"""Metrics over a whole split: reconstructions, sets of samples, codes; and two of their judges to learn from."""

from zoo import api


def _metric(name: str, target: str, summary: str) -> api.Component:
    return api.Component("metric", name, f"zoo_metrics.{target}", summary)


@api.hookimpl
def zoo_components() -> tuple[api.Component, ...]:
    """The metrics, and the judges."""
    pair = "B C H W, B C H W -> B"
    return (
        api.Component("module", "lpips", "zoo_metrics.judges:Lpips", "LPIPS of image pairs, to learn from", pair),
        api.Component("module", "pd-lite0", "zoo_metrics.judges:PdLite0", "a stand-in for lpips, to learn from", pair),
        _metric("mse", "reconstruction:Mse", "mean squared error of reconstructions"),
        _metric("psnr", "reconstruction:Psnr", "peak signal-to-noise ratio of reconstructions, in dB"),
        _metric("ssim", "reconstruction:Ssim", "structural similarity of reconstructions"),
        _metric("random-pairs", "reconstruction:RandomPairs", "error of reconstructions of other images: a baseline"),
        _metric("lpips", "pairs:Lpips", "learned perceptual distance of reconstructions"),
        _metric("pd-lite0", "pairs:PdLite0", "perceptual distance on EfficientNet-Lite0: a stand-in for lpips"),
        _metric("edges", "sharpness:Edges", "edge strength of images against real ones (1 = as sharp)"),
        _metric("fid", "frechet:Fid", "Fréchet Inception distance of samples"),
        _metric("sfid", "frechet:Sfid", "spatial FID of samples, as ADM reports it"),
        _metric("fd-dinov2", "frechet:FdDinoV2", "Fréchet distance on DINOv2's features, as dgm-eval takes it"),
        _metric("fd-lite0", "frechet:FdLite0", "Fréchet distance on EfficientNet-Lite0: a stand-in for fid"),
        _metric("frechet", "frechet:Frechet", "Fréchet distance on any timm model's features"),
        _metric("kid", "kernel:Kid", "kernel Inception distance of samples"),
        _metric("kernel", "kernel:KernelDistance", "kernel distance on any timm model's features"),
        _metric("cmmd", "kernel:Cmmd", "maximum mean discrepancy of CLIP's embeddings"),
        _metric("inception-score", "inception_score:InceptionScore", "inception score of samples"),
        _metric("precision", "neighbours:Precision", "samples that lie among real images"),
        _metric("recall", "neighbours:Recall", "real images that lie among samples"),
        _metric("density", "neighbours:Density", "how densely real images lie around samples"),
        _metric("coverage", "neighbours:Coverage", "real images that have a sample near"),
        _metric(
            "nearest", "nearest:Nearest", "nearness of samples to training images (1 = as test images, 0 = copies)"
        ),
        _metric("class-accuracy", "classes:ClassAccuracy", "samples that a fixed classifier says are of their class"),
        _metric("active-units", "latent:ActiveUnits", "latent dimensions that tell images apart"),
        _metric("kl", "latent:Kl", "nats of a code, by dimension in its details"),
        _metric("iwae-nll", "bounds:IwaeNll", "bound of -log p(x) by several codes an image, nats"),
        _metric("mig", "bounds:Mig", "gap between the two dimensions that tell most of a factor"),
        _metric("cycle", "latent:Cycle", "distance of a code from that which the encoder finds in its image"),
        _metric("noise-use", "latent:NoiseUse", "the noise's part of the samples' variance"),
        _metric("path-length", "paths:PathLength", "perceptual path length between codes"),
    )
