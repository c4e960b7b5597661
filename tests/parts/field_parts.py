"""A stranger's plugin whose data has fields: labels, pairs, masks, two domains, signals, volumes, tables."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from zoo import api

NAMES = ("red", "green", "blue")
SIGNAL = api.Field("signal", "2 length")
VOLUME = api.Field("volume", "1 4 6 8")
TABLE = api.Field("vector", "5")
SPECTRUM = api.Field("image", "5 H W", range=(0.0, 2.0))


def paired_fields(size: tuple[int, int]) -> Mapping[str, api.Field]:
    """A photograph, a map of one channel and a mask of two classes, all of one size."""
    assert len(size) == 2
    return {"x": api.IMAGE, "y": api.Field("image", "1 H W"), "mask": api.Field("mask", "H W", classes=2)}


@api.hookimpl
def zoo_components() -> tuple[api.Component, ...]:
    """Data with fields, networks that take them, the values and terms between them."""
    labelled = {"x": api.Field("image", "1 H W"), "label": api.Field("label", classes=NAMES)}
    return (
        api.Component("data", "shades", "field_parts:shades", "toy images by class", fields=labelled),
        api.Component("data", "pairs", "field_parts:pairs", "photographs and maps", fields="field_parts:paired_fields"),
        api.Component("data", "signals", "field_parts:signals", "sines", fields={"x": SIGNAL}),
        api.Component("data", "volumes", "field_parts:volumes", "boxes", fields={"x": VOLUME}),
        api.Component("data", "tables", "field_parts:tables", "rows of numbers", fields={"x": TABLE}),
        api.Component("data", "spectra", "field_parts:spectra", "floats of five channels", fields={"x": SPECTRUM}),
        api.Component("encoder", "any", "field_parts:Encoder", "of anything", contract="B ... -> B latent"),
        api.Component("decoder", "any", "field_parts:Decoder", "to anything", contract="B latent -> B ..."),
        api.Component(
            "encoder", "by-class", "field_parts:ByClass", "of an image and its class", "B C H W, B -> B latent"
        ),
        api.Component("decoder", "by-class", "field_parts:OfClass", "to a class", "B latent, B -> B C H W"),
        api.Component("generator", "by-class", "field_parts:OfClass", "to a class", "B latent, B -> B C H W"),
        api.Component("critic", "projection", "field_parts:Projection", "of a class", "B C H W, B -> B"),
        api.Component("generator", "repainter", "field_parts:Translator", "image to image", "B N H W -> B C H W"),
        api.Component("critic", "patches", "field_parts:Patches", "of an image", "B N H W -> B"),
        api.Component("encoder", "rung", "field_parts:Rung", "of codes of another width", "B features -> B latent"),
        *(api.Component("value", name, f"field_parts:{name}", "a toy") for name in VALUES),
        *(api.Component("term", name, f"field_parts:{name}", "a toy") for name in TERMS),
    )


VALUES = ("posterior_xc", "reconstruction_c", "decoded_c", "generated_c", "real_c", "fake_c", "repainted")
VALUES += ("real_pair", "fake_pair", "there", "back", "score_x", "score_there", "score_here", "score_y", "again")
VALUES += ("climb", "merged", "drawn")
TERMS = ("tell", "fool", "apart", "between")


# -- data ----------------------------------------------------------------------------------------------------


def numbers(*shape: int, seed: int) -> Tensor:
    """Uniform in [0, 1), a function of shape and seed."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def shades(*, size: int = 16, channels: int = 1) -> api.Examples:
    """Images about as bright as their class; two in four are of class 0."""
    assert channels == 1
    labels = [torch.tensor([0, 1, 0, 2] * count) for count in (10, 3)]
    images = [
        (label[:, None, None, None] * 60 + 40 * numbers(len(label), 1, size, size, seed=1)).byte() for label in labels
    ]
    return api.Examples(*images, fields={"label": (labels[0], labels[1])})


def pairs(*, size: tuple[int, int] = (12, 16), channels: int = 3, count: int = 20, seed: int = 0) -> api.Examples:
    """Maps, photographs that are their mirrors in colour, and where a map is bright."""
    maps = [(255 * numbers(n, 1, *size, seed=seed + n)).byte() for n in (count, 6)]
    photos = [255 - one.expand(-1, channels, -1, -1) for one in maps]
    masks = [(one[:, 0] > 127).byte() for one in maps]
    return api.Examples(*photos, fields={"y": (maps[0], maps[1]), "mask": (masks[0], masks[1])})


def signals(*, length: int = 24) -> api.Examples:
    """Two waves each."""
    return api.Examples(*(torch.sin(6 * numbers(n, 2, 1, seed=n) * torch.linspace(0, 3, length)) for n in (20, 6)))


def volumes() -> api.Examples:
    """Noise, as 8 bits."""
    return api.Examples(*((255 * numbers(n, 1, 4, 6, 8, seed=n)).byte() for n in (20, 6)))


def tables() -> api.Examples:
    """Rows."""
    return api.Examples(numbers(20, 5, seed=1), numbers(6, 5, seed=2))


def spectra(*, size: int = 8) -> api.Examples:
    """Floats from 0 to 2."""
    return api.Examples(2 * numbers(20, 5, size, size, seed=1), 2 * numbers(6, 5, size, size, seed=2))


# -- networks ------------------------------------------------------------------------------------------------


class Encoder(nn.Module):
    """A linear layer, of items of any shape."""

    def __init__(self, latent: int, *, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(torch.Size(shape).numel(), 2 * latent))

    def forward(self, x: Tensor) -> api.Gaussian:
        """Items -> their codes."""
        return api.Gaussian(*self.head(x).chunk(2, 1))


class Decoder(nn.Module):
    """A linear layer, to items of any shape."""

    def __init__(self, latent: int, *, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(latent, torch.Size(shape).numel()), nn.Unflatten(1, shape), nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        """Codes -> items."""
        return self.body(z)


class Rung(nn.Module):
    """A linear layer from codes of one level of a ladder to those of the next."""

    def __init__(self, features: int, latent: int) -> None:
        super().__init__()
        self.head = nn.Linear(features, 2 * latent)

    def forward(self, z: Tensor) -> api.Gaussian:
        """Codes -> a Gaussian of others."""
        return api.Gaussian(*self.head(z).chunk(2, 1))


class ByClass(nn.Module):
    """A linear encoder with a bias of each class."""

    def __init__(self, channels: int, height: int, width: int, latent: int, classes: int) -> None:
        super().__init__()
        self.head, self.of = nn.Linear(channels * height * width, 2 * latent), nn.Embedding(classes, 2 * latent)

    def forward(self, x: Tensor, label: Tensor) -> api.Gaussian:
        """Images and classes -> codes."""
        return api.Gaussian(*(self.head(x.flatten(1)) + self.of(label)).chunk(2, 1))


class OfClass(nn.Module):
    """A linear decoder with a code of each class."""

    def __init__(self, channels: int, height: int, width: int, latent: int, classes: int) -> None:
        super().__init__()
        self.of, self.shape = nn.Embedding(classes, latent), (channels, height, width)
        self.body = nn.Linear(latent, channels * height * width)

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        """Codes and classes -> images."""
        return self.body(z + self.of(label)).tanh().unflatten(1, self.shape)


class Projection(nn.Module):
    """A critic whose logit has the inner product of features and a class (Miyato & Koyama 2018)."""

    def __init__(self, channels: int, height: int, width: int, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, 6), nn.Tanh())
        self.logit, self.of = nn.Linear(6, 1), nn.Embedding(classes, 6)

    def forward(self, x: Tensor, label: Tensor) -> api.CriticOutput:
        """Images and classes -> logits."""
        features = self.features(x)
        return api.CriticOutput(self.logit(features)[:, 0] + (features * self.of(label)).sum(1))


class Translator(nn.Module):
    """Image to image."""

    def __init__(self, channels: int, *, takes: int = 3) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(takes, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, channels, 3, padding=1))

    def forward(self, given: Tensor) -> Tensor:
        """Images (B, N, H, W) -> (B, C, H, W) in [-1, 1]."""
        return self.body(given).tanh()


class Patches(nn.Module):
    """The mean logit of patches."""

    def __init__(self, *, takes: int = 3) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(takes, 4, 4, 2), nn.Tanh(), nn.Conv2d(4, 1, 3))

    def forward(self, x: Tensor) -> api.CriticOutput:
        """Images -> logits."""
        return api.CriticOutput(self.body(x).mean((1, 2, 3)))


# -- values and terms ----------------------------------------------------------------------------------------


def posterior_xc(encoder: nn.Module, x: Tensor, label: Tensor) -> api.Gaussian:
    """q(z|x, c)."""
    return encoder(x, label)


def reconstruction_c(decoder: nn.Module, z_posterior: Tensor, label: Tensor) -> Tensor:
    """D(z, c), z ~ q(z|x, c)."""
    return decoder(z_posterior, label)


def decoded_c(decoder: nn.Module, z: Tensor, label: Tensor) -> Tensor:
    """D(z, c), z ~ p(z)."""
    return decoder(z, label)


def generated_c(generator: nn.Module, z: Tensor, label: Tensor) -> Tensor:
    """G(z, c)."""
    return generator(z, label)


def real_c(critic: nn.Module, x: Tensor, label: Tensor) -> api.CriticOutput:
    """C(x, c)."""
    return critic(x, label)


def fake_c(critic: nn.Module, generated_c: Tensor, label: Tensor) -> api.CriticOutput:
    """C(G(z, c), c)."""
    return critic(generated_c, label)


def repainted(generator: nn.Module, y: Tensor) -> Tensor:
    """G(y)."""
    return generator(y)


def real_pair(critic: nn.Module, x: Tensor, y: Tensor) -> api.CriticOutput:
    """C(x, y)."""
    return critic(torch.cat([x, y], 1))


def fake_pair(critic: nn.Module, repainted: Tensor, y: Tensor) -> api.CriticOutput:
    """C(G(y), y)."""
    return critic(torch.cat([repainted, y], 1))


def there(forth: nn.Module, x: Tensor) -> Tensor:
    """F(x), of the domain of y."""
    return forth(x)


def back(back_again: nn.Module, y: Tensor) -> Tensor:
    """G(y), of the domain of x."""
    return back_again(y)


def again(back_again: nn.Module, there: Tensor) -> Tensor:
    """G(F(x))."""
    return back_again(there)


def score_x(critic_of_x: nn.Module, x: Tensor) -> api.CriticOutput:
    """C_x(x)."""
    return critic_of_x(x)


def score_here(critic_of_x: nn.Module, back: Tensor) -> api.CriticOutput:
    """C_x(G(y))."""
    return critic_of_x(back)


def score_y(critic_of_y: nn.Module, y: Tensor) -> api.CriticOutput:
    """C_y(y)."""
    return critic_of_y(y)


def score_there(critic_of_y: nn.Module, there: Tensor) -> api.CriticOutput:
    """C_y(F(x))."""
    return critic_of_y(there)


def climb(rung: nn.Module, code: Tensor | api.Gaussian) -> api.Gaussian:
    """A level of a ladder, from the one before: from its mean, where that is a Gaussian."""
    return rung(code.mean if isinstance(code, api.Gaussian) else code)


def merged(upward: api.Gaussian, downward: api.Gaussian) -> api.Gaussian:
    """Two Gaussians by their precisions (Sonderby et al. 2016, eq. 12 and 13)."""
    weights = [(-2 * each.log_sigma).exp() for each in (upward, downward)]
    total = weights[0] + weights[1]
    return api.Gaussian((upward.mean * weights[0] + downward.mean * weights[1]) / total, -0.5 * total.log())


def drawn(gaussian: api.Gaussian, draw: api.Draw) -> Tensor:
    """A sample of a level."""
    return gaussian.sample(draw)


def between(q: api.Gaussian, p: api.Gaussian) -> Tensor:
    """KL(q || p) of Gaussians, summed over all but the batch."""
    each = p.log_sigma - q.log_sigma + (q.sigma**2 + (q.mean - p.mean) ** 2) / (2 * p.sigma**2) - 0.5
    return each.sum() / len(each)


def tell(real: api.CriticOutput, fake: api.CriticOutput) -> Tensor:
    """sp(-C(real)) + sp(C(fake))."""
    return softplus(-real.logit).mean() + softplus(fake.logit).mean()


def fool(fake: api.CriticOutput) -> Tensor:
    """sp(-C(fake))."""
    return softplus(-fake.logit).mean()


def apart(one: Tensor, other: Tensor) -> Tensor:
    """Absolute distance, summed over all but the batch."""
    return (one - other).abs().sum() / len(one)
