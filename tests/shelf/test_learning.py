"""What systems learn of images of spots within a second, each by a score that its own mechanism moves.

Where no toy tells a mechanism from its absence, a step by hand holds it: DiffAugment's changes of real and generated
images alike, StyleGAN2's penalties, a projected critic's mixing (``test_adversarial``).
"""

from __future__ import annotations

import pytest
import torch
from helpers.shelf import small
from helpers.spots import spots
from helpers.toys import ADAM, trained, unlike, unreconstructed
from torch import Tensor
from zoo_grids.terms import log_mel
from zoo_losses.augmented import augmented

import zoo
from zoo import api
from zoo.data.batches import load_images
from zoo.data.fields import items
from zoo.draws import Draw
from zoo.model.model import Model

FAST = "train.optimizer.lr=0.01"


def judged(model: Model, images: Tensor) -> Tensor:
    """C(x), without a gradient."""
    with torch.no_grad():
        return model.critic(images).logit


@pytest.mark.parametrize(
    ("name", "steps", "batch", "most"),
    [
        ("diffaugment-gan", 60, 32, 0.85),  # .62, and 1.16 after the first step
        ("projected-gan", 25, 8, 0.95),  # .72, and 1.16
        ("stylegan2-lite", 25, 8, 1.5),  # 1.13, and 1.83; 4.7 where the generator's loss has another sign
        ("bigbigan", 60, 16, 0.85),  # .63, and 1.16
        ("age", 60, 16, 0.7),  # .42
    ],
)
def test_samples_come_near_the_images(name: str, steps: int, batch: int, most: float) -> None:
    """How far they are off in the mean and in the deviation of each pixel."""
    assert unlike(trained(name, steps, f"train.batch={batch}"), spots()) < most


@pytest.mark.parametrize(("name", "steps", "most"), [("vqvae", 50, 0.6), ("dc-ae-lite", 60, 0.4)])
def test_images_that_were_not_seen_are_reconstructed(name: str, steps: int, most: float) -> None:
    """By few entries, and by a map of four places: of the mean image's error .29 and .12 are left."""
    assert unreconstructed(trained(name, steps, "train.batch=16", FAST), spots(seed=5)) < most


def test_alae_reads_its_styles_back() -> None:
    """The error of codes that the encoder reads of their images, as a share of how they vary: .13."""
    model = trained("alae", 60, "train.batch=16")
    z = torch.randn(256, 5, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        w = model.mapping(z)
        back = model.encoder(model.decoder(w)).mean
    assert float((back - w).square().mean() / w.var()) < 0.5


def test_cr_gan_s_critic_says_the_same_of_an_image_that_is_moved() -> None:
    """Its opinions of an image and of that image moved, apart in units of how its opinions vary: .9, else 23."""
    x = api.to_model(spots())
    moved = augmented(x, Draw(1, device=torch.device("cpu"), dtype=torch.float32), ("translation",))
    model = trained("cr-gan", 50)
    apart = (judged(model, x) - judged(model, moved)).square().mean()
    assert float(apart / judged(model, x).var()) < 3


def test_lecam_s_critic_stays_near_its_averages() -> None:
    """Real and generated images are judged .5 apart, and 1.6 without the term."""
    model = trained("lecam-gan", 50, "phases.0.critic.lecam.weight=1")
    samples = model.sample(64, generator=torch.Generator().manual_seed(1))
    assert float(judged(model, api.to_model(spots()[:64])).mean() - judged(model, samples).mean()) < 1.0


def test_a_flow_of_codes_goes_where_the_codes_are() -> None:
    """Samples of codes are .57 off in the mean and deviation of each number, and .87 after the first step."""
    model = trained("flow-prior", 60, "train.optimizer.lr=0.02")
    x = api.to_model(spots())
    with torch.no_grad():
        codes = model.encoder(x).mean
    (samples,) = model.compute("flow_sample", given={"x": x}, seed=1)
    off = sum(float((of(samples) - of(codes)).abs().mean()) for of in (lambda y: y.mean(0), lambda y: y.std(0)))
    assert off < 0.7


def test_a_codec_s_sounds_come_nearer_in_their_spectra() -> None:
    """Log-mel spectra of sounds that were not heard are 3.0 off, and 3.8 after the first step."""
    torch.manual_seed(0)
    sizes = ("train.batch=4", "train.steps=20", "data.train=64", ADAM, "train.optimizer.lr=0.02")
    model = small("codec", *sizes).float()
    zoo.train(model, progress=False)
    x = items(load_images(model.recipe), "test", model.recipe, 0, 8)["x"].float()
    with torch.no_grad():
        assert float(log_mel(x, model.eval().reconstruct(x))) < 3.3


def test_two_maps_of_entries_tell_an_image() -> None:
    """VQ-VAE-2, at 32 px: of the mean image's error .2 is left."""
    images = spots().repeat_interleave(2, 2).repeat_interleave(2, 3)
    model = trained("vq-vae-2", 60, "train.batch=4", FAST, images=images)
    assert unreconstructed(model, images) < 0.6
