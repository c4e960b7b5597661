"""What a part of each kind must have, for type checkers; and the record that watchers are shown.

Shapes: images (B, C, H, W) in [-1, 1], codes (B, K), noise (B, A). ``*asked`` is whatever is asked for by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

if TYPE_CHECKING:
    from torch import Tensor, optim
    from torch.nn import Parameter

    from zoo.draws import Draw
    from zoo.types import CriticOutput, Gaussian, Images

__all__ = ["Augmentation", "AugmentationModule", "Critic", "Data", "Decoder", "Encoder", "ExportedRun", "Exporter"]
__all__ += ["Fitted", "Generator", "LearningTerm", "Metric", "MetricDefaults", "Network", "Optimizer", "Prior"]
__all__ += ["ReadingData", "ReadyData", "Record", "Term", "TermModule", "TrainedRun", "Value", "ValueModule"]
__all__ += ["Watcher", "WatcherDefaults"]


@dataclass(frozen=True)
class Record:
    """Progress and losses of a training at a step.

    Args:
        step: steps done.
        seen_images: images seen.
        seconds: since this process began to train.
        images_per_s: over the stretch since the record before.
        losses: ``"row/term"`` -> value.
    """

    step: int
    seen_images: int
    seconds: float
    images_per_s: float
    losses: Mapping[str, float]


class Network(Protocol):
    """An ``nn.Module`` that fills a slot, with whatever contract its component states: that of a module always does."""

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """The inputs of its contract -> the output."""

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Its parameters, as any ``nn.Module`` has them."""


class Encoder(Network, Protocol):
    """An encoder of the kind's own contract."""

    def forward(self, x: Tensor, /) -> Gaussian:
        """Images -> the distribution of their codes."""


class Decoder(Network, Protocol):
    """A decoder of the kind's own contract."""

    def forward(self, z: Tensor, /) -> Tensor:
        """Codes -> images."""


class Generator(Network, Protocol):
    """A generator of the kind's own contract."""

    def forward(self, z: Tensor, noise: Tensor, /) -> Tensor:
        """Codes and noise, of which there may be none, (B, 0) -> images."""


class Critic(Network, Protocol):
    """A critic of one input: images, or codes where its component's contract says so."""

    def forward(self, x: Tensor, /) -> CriticOutput:
        """Inputs -> a logit for each, real is positive."""


class Prior(Protocol):
    """An ``nn.Module`` that draws codes.

    It may have ``log_prob(z)``, (B, K) -> (B,) in nats, and ``kl(posterior)``, the closed form of the KL to it, (B, K).
    """

    def sample(self, batch: int, draw: Draw, /) -> Tensor:
        """So many codes, (B, K), of random numbers from ``draw`` alone."""


class Value(Protocol):
    """A function that computes a value; ``ValueModule`` if it is a class."""

    def __call__(self, *asked: Any, **options: Any) -> Any:
        """The value, of which nothing that is handed in was changed in place."""


class ValueModule(Protocol):
    """A class that computes a value."""

    def forward(self, *asked: Any, **named: Any) -> Any:
        """Computes the value, as ``Value`` does."""


class Term(Protocol):
    """A function that computes a scalar to minimise; ``TermModule`` if it is a class."""

    def __call__(self, *asked: Any, **options: Any) -> Tensor:
        """A scalar: the batch's mean of sums over everything else."""


class TermModule(Protocol):
    """A class that computes a scalar to minimise."""

    def forward(self, *asked: Any, **named: Any) -> Tensor:
        """Computes the scalar, as ``Term`` does."""


class LearningTerm(TermModule, Network, Protocol):
    """A term, an ``nn.Module``, whose own networks learn.

    With the rows of its phase plays one more, whose player is the term and which minimises what ``learn`` returns.
    """

    def forward(self, *asked: Any, **named: Any) -> Tensor:
        """Computes the scalar, as ``Term`` does."""

    def learn(self, *asked: Any, **named: Any) -> Tensor:
        """A scalar that the term's own parameters minimise."""


class Data(Protocol):
    """A function that has a data set. Where it brings images ``size`` and ``channels`` must be options of its own."""

    def __call__(self, *asked: Any, **options: Any) -> Images:
        """Both splits of every field."""


class TrainedRun(Protocol):
    """A finished run whose codes are data: data that asks for ``trained`` is given the one that its option ``run``
    names, and has its ``fields``.

    The run's data set and its networks are needed by ``batches`` alone.
    """

    fields: Mapping[str, Any]
    """An ``api.Field`` by name: ``x``, its codes, which are the posterior's means; ``original``, what they are of; its
    data's other fields."""
    identity: Any
    """Plain data that is another where these are: the SHA-256 of its weights, and hashes of its data."""

    def count(self, split: str) -> int:
        """How many items ``train`` or ``test`` has."""

    def like(self, field: str) -> Tensor:
        """No items of a field, (0, ...), of the shape and type of those that there are."""

    def batches(self, field: str, split: str, start: int = 0) -> Iterator[Tensor]:
        """The items of a field from a position on, (B, ...) at a time, in their order."""


class Fitted(Network, Protocol):
    """What fills a slot that ``after`` names: an ``nn.Module`` that is fitted once, when the training ends."""

    def fit(self, *asked: Any, **named: Any) -> None:
        """Fills its buffers: asks for ``codes`` of the training set, (N, ...), float32 on the CPU, which may lie on a
        disk, so that it reads them in parts, and for ``draw``, where all random numbers come from."""


class ReadyData(Data, Protocol):
    """Data that can say whether their files are there, which ``zoo compare --dry-run`` asks."""

    ready: Callable[..., None]
    """Given some of the options by name, it raises OSError where a file is missing that would not be fetched, and
    reads none."""


class ReadingData(Data, Protocol):
    """Data that reads images of a user's as it reads its own, for ``zoo reconstruct`` and lists of pictures."""

    read: Callable[..., tuple[Tensor, tuple[str, ...]]]
    """Given paths (files, directories) and Pillow's images, then by name ``size``, ``channels`` and what else it asks
    for of the options, and ``kind`` and ``classes`` of the field: uint8 (N, C, H, W), of a mask (N, 1, H, W), and
    sentences on those passed over; ValueError where none is good."""


class Metric(Protocol):
    """A class that measures. ``MetricDefaults`` has its optional attributes."""

    def update(self, *asked: Any, **named: Any) -> None:
        """Takes a batch in."""

    def compute(self) -> float:
        """The score of all batches together."""


class MetricDefaults:
    """Optional attributes of a metric, which need not inherit it, with what counts where one is missing."""

    better: ClassVar[Literal["lower", "higher", "one"] | None] = None
    """Which scores are better; ``"one"`` for those nearest to 1."""
    quick: ClassVar[bool] = False
    """True if it costs so little that it is measured now and then during training."""
    computes: ClassVar[Mapping[str, tuple[str, ...]] | None] = None
    """The values that ``update`` may compute anew, and of what: with ``{"sample": ("z",)}`` it has a parameter
    ``compute``, and ``compute("sample", given={"z": codes})`` gives samples of other codes."""
    split: Literal["test", "train"] = "test"
    """The images that it is given."""
    least: int = 0
    """How many images that split must have; a build with fewer is refused before it trains."""
    samples: int = 0
    """How many samples it wants in all; 0 for one for each image. It needs ``more`` for it."""
    more: Callable[..., None] | None = None
    """``more(sample)`` takes further samples in, until there are ``samples``."""
    training: Callable[..., None] | None = None
    """``training(x)`` is handed every training image, in batches, after the last ``update``.

    It may ask for other fields too, ``training(x, label)``.
    """
    details: Callable[[], Mapping[str, Any]] | None = None
    """``details()`` tells more than the score, in plain data."""
    merge: Callable[[Sequence[Any]], None] | None = None
    """``merge(others)`` takes in what metrics of its kind saw in other processes, after what it saw itself."""
    merge_training: Callable[[Sequence[Any]], None] | None = None
    """``merge_training(others)``: the same of what ``training`` was handed."""
    features: Callable[[Tensor], Tensor] | None = None
    """All that it sees of images, uint8 (B, C, H, W) -> (B, F) on the CPU; its ``protocol`` says how."""
    take: Callable[[Tensor, bool], None] | None = None
    """``take(features, real)`` takes such features in, of real images or of those to judge; ``update`` may not come."""
    reference: Callable[[Mapping[str, Tensor]], None] | None = None
    """``reference(statistics)`` takes published numbers in the place of real images; ValueError if it needs others."""
    alternatives: Callable[[], Mapping[str, Mapping[str, Any]]] | None = None
    """``alternatives()``: values for the option ``change``, by what they are called, that ``zoo score --why`` tries."""

    @property
    def protocol(self) -> Mapping[str, Any]:
        """How the score was measured, in plain data; an attribute will do. An entry of None leaves an option out."""
        return {}


class Optimizer(Protocol):
    """A function that makes an optimiser, or the class of one."""

    def __call__(self, parameters: list[Parameter], /, *args: Any, **options: Any) -> optim.Optimizer:
        """An optimiser of these parameters, all and only."""


class Watcher(Protocol):
    """A class that sees records of a training, and cannot change it. ``WatcherDefaults`` has its optional methods."""

    def start(self, step: int, steps: int, batch: int) -> None:
        """Training begins at ``step`` of ``steps``."""

    def log(self, record: Record) -> None:
        """A record was taken."""

    def end(self) -> None:
        """Training ended, or was interrupted."""


class WatcherDefaults:
    """Optional methods of a watcher, which has none of them by default."""

    picture: Callable[[int, str, Tensor], None] | None = None
    """``picture(step, name, image)`` is shown samples on the way, uint8 (C, H, W)."""
    scores: Callable[[int, Mapping[str, float]], None] | None = None
    """``scores(step, values)`` is told the scores of the finished model that are finite numbers, after ``end``."""


class Augmentation(Protocol):
    """A function that changes images; ``AugmentationModule`` if it is a class."""

    def __call__(self, images: Tensor, *asked: Any, **options: Any) -> Tensor:
        """Images of the same shape and type; ``draw.uniform(B)`` has a number for each that depends on it alone."""


class AugmentationModule(Protocol):
    """A class that changes images."""

    def forward(self, images: Tensor, *asked: Any, **named: Any) -> Tensor:
        """Changes the images, as ``Augmentation`` does."""


class ExportedRun(Protocol):
    """What is known of a model that is exported, for exporters."""

    name: str
    """That of its recipe."""
    recipe: Mapping[str, Any]
    """The resolved recipe as plain data."""
    routes: Sequence[Sequence[str]]
    """Who learns from what, the lines of a table, the head first; ``legend`` says what its words mean."""
    legend: str
    step: int
    """Steps behind its weights."""
    scores: Mapping[str, Mapping[str, Any]]
    """Those of these weights, by label: each has ``value`` and ``protocol``, or ``why`` there is no value."""
    parts: Sequence[Mapping[str, str]]
    """Its parts: ``kind``, ``name``, ``distribution`` and ``version``; those of a file are of ``local``."""
    pictures: Mapping[str, bytes]
    """PNG files by name."""
    fields: Mapping[str, Mapping[str, Any]]
    """Those of its data by name, the first of them first: ``kind``, ``shape`` of an item, ``classes`` of labels."""
    takes: Mapping[str, Sequence[str]]
    """The fields that each of its outputs is made of."""
    places: Sequence[str]
    """What its recipe says of places of this machine, such as ``data.path=/home/me/cats``."""

    def write(self, folder: Path) -> None:
        """Writes there what ``zoo.load`` reads: a sealed recipe, who provides its parts, its weights, its scores."""


class Exporter(Protocol):
    """A function that writes a trained model for other programs."""

    def __call__(self, *asked: Any, **options: Any) -> Sequence[str] | None:
        """Writes a model into ``folder``, an empty directory; gives sentences that are worth telling, or None.

        It asks for ``model``, an ``nn.Module`` whose slots are attributes, as at evaluation and without gradients, or
        for ``run``, an ``ExportedRun``.
        """
