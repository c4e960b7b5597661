"""Parts that a type checker holds against the Protocols of ``zoo.api``: good ones, and bad ones that it must refuse.

``make check`` runs mypy over this file. What it must refuse is marked ``type: ignore``; were it to let one pass, the
mark would be an error of its own (``warn_unused_ignores``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from zoo import api

# -- networks ------------------------------------------------------------------------------------------------


class Encoder(nn.Module):
    """Codes of no variance."""

    def __init__(self, channels: int, size: int, latent: int, *, bias: bool = True) -> None:
        super().__init__()
        self.head = nn.Linear(channels * size**2, latent, bias)

    def forward(self, x: Tensor) -> api.Gaussian:
        mean: Tensor = self.head(x.flatten(1))
        return api.Gaussian(mean, torch.full_like(mean, -9.0))


class Decoder(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return z


class Generator(nn.Module):
    def forward(self, z: Tensor, noise: Tensor) -> Tensor:
        return z + noise


class Critic(nn.Module):
    def forward(self, x: Tensor) -> api.CriticOutput:
        return api.CriticOutput(x.flatten(1).sum(1))


class Pairs(nn.Module):
    """Its contract is ``B C H W, B latent -> B``."""

    def forward(self, x: Tensor, z: Tensor) -> api.CriticOutput:
        return api.CriticOutput(x.flatten(1).sum(1) + z.sum(1))


class NoModule:
    def forward(self, x: Tensor) -> api.Gaussian:
        return api.Gaussian(x, x)


class Prior(nn.Module):
    def sample(self, batch: int, draw: api.Draw) -> Tensor:
        return draw.normal(batch, 4)


class Stubborn(nn.Module):
    def sample(self, batch: int) -> Tensor:
        return torch.zeros(batch, 4)


encoders: list[type[api.Encoder]] = [Encoder]
decoders: list[type[api.Decoder]] = [Decoder]
generators: list[type[api.Generator]] = [Generator]
critics: list[type[api.Critic]] = [Critic]
networks: list[type[api.Network]] = [Encoder, Decoder, Generator, Critic, Pairs]
priors: list[type[api.Prior]] = [Prior]

no_encoder: type[api.Encoder] = Decoder  # type: ignore[assignment]
no_network: type[api.Encoder] = NoModule  # type: ignore[assignment]
no_decoder: type[api.Decoder] = Generator  # type: ignore[assignment]
no_generator: type[api.Generator] = Decoder  # type: ignore[assignment]
no_critic: type[api.Critic] = Pairs  # type: ignore[assignment]
no_prior: type[api.Prior] = Stubborn  # type: ignore[assignment]


# -- values and terms ----------------------------------------------------------------------------------------


def darker(x: Tensor, draw: api.Draw, *, most: float = 0.5) -> Tensor:
    return x - most * draw.uniform(len(x), 1, 1, 1)


def light(reconstruction: Tensor, *, power: float = 1.0) -> Tensor:
    return reconstruction.pow(power).mean()


def number(reconstruction: Tensor) -> float:
    return float(reconstruction.mean())


class Darker:
    def __init__(self, size: int, *, most: float = 0.5) -> None:
        self.most = most / size

    def forward(self, x: Tensor) -> Tensor:
        return x - self.most


class Bound(nn.Module):
    """A term that owns a network."""

    def __init__(self, channels: int, weight: tuple[float, float]) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.full((channels, 1, 1), weight[0]))

    def forward(self, generated: Tensor) -> Tensor:
        return (generated - self.mean).square().sum() / len(generated)

    def learn(self, generated_held: Tensor) -> Tensor:
        return self.forward(generated_held)


class Forwardless:
    def compute(self, x: Tensor) -> Tensor:
        return x


class Idle(Bound):
    def learn(self) -> None:  # type: ignore[override]
        return None


values: list[api.Value] = [darker, light, number]
value_modules: list[type[api.ValueModule]] = [Darker, Bound]
terms: list[api.Term] = [darker, light]
term_modules: list[type[api.TermModule]] = [Darker, Bound]
learning: list[type[api.LearningTerm]] = [Bound]

no_value_module: type[api.ValueModule] = Forwardless  # type: ignore[assignment]
no_term: api.Term = number  # type: ignore[assignment]
no_term_module: type[api.TermModule] = Encoder  # type: ignore[assignment]
no_learning: type[api.LearningTerm] = Darker  # type: ignore[assignment]
not_learning: type[api.LearningTerm] = Idle  # type: ignore[assignment]


# -- data, metrics, optimisers, watchers, augmentations -------------------------------------------------------


def grey(*, size: int = 32, channels: Literal[1, 3] = 1, level: int = 128) -> api.Images:
    pixels = torch.full((8, channels, size, size), level, dtype=torch.uint8)
    return api.Images(pixels[:6], pixels[6:])


def pixels_alone(*, size: int = 32, channels: Literal[1, 3] = 1) -> Tensor:
    return grey(size=size, channels=channels).train


class Worst(api.MetricDefaults):
    """The largest error of a pixel."""

    better = "lower"
    quick = True
    computes: ClassVar = {"sample": ("z",)}

    def __init__(self, *, split: Literal["test", "train"] = "test", samples: int = 0) -> None:
        self.split, self.samples, self.worst = split, samples, 0.0

    @property
    def protocol(self) -> dict[str, Any]:
        return {"range": [-1, 1]}

    def update(self, x: Tensor, reconstruction: Tensor) -> None:
        self.worst = max(self.worst, float((x - reconstruction).abs().max()))

    def more(self, sample: Tensor) -> None:
        self.update(sample, sample)

    def training(self, x: Tensor) -> None:
        self.update(x, x)

    def merge(self, others: Sequence[Self]) -> None:
        self.worst = max([self.worst, *(other.worst for other in others)])

    merge_training = merge

    def details(self) -> Mapping[str, Any]:
        return {"worst": self.worst}

    def compute(self) -> float:
        return self.worst


class Plain:
    def update(self, x: Tensor) -> None: ...

    def compute(self) -> float:
        return 0.0


class Wrong(api.MetricDefaults):
    better = "smaller"  # type: ignore[assignment]
    protocol: ClassVar = "mean"  # type: ignore[assignment]
    samples = "many"  # type: ignore[assignment]

    def update(self, x: Tensor) -> None: ...

    def merge(self) -> None: ...  # type: ignore[override]

    def details(self) -> float:  # type: ignore[override]
        return 0.0

    def compute(self) -> Tensor:
        return torch.zeros(())


def adagrad(parameters: Iterable[nn.Parameter], *, lr: float = 0.01) -> torch.optim.Optimizer:
    return torch.optim.Adagrad(parameters, lr)


class Descent(torch.optim.SGD):
    def __init__(self, parameters: Iterable[nn.Parameter], *, lr: float = 0.01) -> None:
        super().__init__(parameters, lr)


class Best(api.WatcherDefaults):
    def __init__(self, folder: Path, *, every: int = 1) -> None:
        self.file, self.every = folder / "best.txt", every

    def start(self, step: int, steps: int, batch: int) -> None: ...

    def log(self, record: api.Record) -> None:
        self.file.write_text(f"{record.losses}")

    def end(self) -> None: ...

    def picture(self, step: int, name: str, image: Tensor) -> None: ...

    def scores(self, step: int, values: Mapping[str, float]) -> None: ...


class Endless(api.WatcherDefaults):
    def start(self, step: int, steps: int, batch: int) -> None: ...

    def log(self, losses: Mapping[str, float]) -> None: ...

    def picture(self, image: Tensor) -> None: ...  # type: ignore[override]


def names(model: nn.Module, folder: Path, *, indent: int = 1) -> None:
    (folder / "names.txt").write_text((" " * indent).join(model.state_dict()))


def dim(images: Tensor, draw: api.Draw, *, most: float = 0.2) -> Tensor:
    return images - most * draw.uniform(len(images), 1, 1, 1)


class Dim:
    def __init__(self, *, most: float = 0.2) -> None:
        self.most = most

    def forward(self, images: Tensor, draw: api.Draw) -> Tensor:
        return dim(images, draw, most=self.most)


data: list[api.Data] = [grey]
metrics: list[type[api.Metric]] = [Worst, Plain]
optimizers: list[api.Optimizer] = [adagrad, Descent]
watchers: list[type[api.Watcher]] = [Best]
exporters: list[api.Exporter] = [names]
augmentations: list[api.Augmentation] = [dim]
augmentation_modules: list[type[api.AugmentationModule]] = [Dim]

no_data: api.Data = pixels_alone  # type: ignore[assignment]
not_ready: api.ReadyData = grey  # type: ignore[assignment]
no_reader: api.ReadingData = grey  # type: ignore[assignment]
no_metric: type[api.Metric] = Wrong  # type: ignore[assignment]
no_optimizer: api.Optimizer = light  # type: ignore[assignment]
no_watcher: type[api.Watcher] = Endless  # type: ignore[assignment]
no_exporter: api.Exporter = light  # type: ignore[assignment]
no_augmentation: api.Augmentation = light  # type: ignore[assignment]
no_augmentation_module: type[api.AugmentationModule] = Encoder  # type: ignore[assignment]
