"""The InceptionV3 behind the published FIDs: TensorFlow's of 2015-12-05.

B batch.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, max_pool2d
from torchvision.models import inception

from zoo_metrics.weights import Published, State, aside, fill

SIDE, CLASSES, SPATIAL = 299, 1008, 7

PUBLISHED = Published(
    "FID's InceptionV3",
    "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
)
"""95 MB, converted from TensorFlow's graph (Apache-2.0)."""


def _mean_inside(x: Tensor) -> Tensor:
    """The mean of 3 x 3 places, of those inside the map at its edges."""
    return avg_pool2d(x, 3, 1, 1, count_include_pad=False)


class _A(inception.InceptionA):
    def _forward(self, x: Tensor) -> list[Tensor]:
        return [*super()._forward(x)[:-1], self.branch_pool(_mean_inside(x))]


class _C(inception.InceptionC):
    def _forward(self, x: Tensor) -> list[Tensor]:
        return [*super()._forward(x)[:-1], self.branch_pool(_mean_inside(x))]


class _E(inception.InceptionE):
    def _forward(self, x: Tensor) -> list[Tensor]:
        return [*super()._forward(x)[:-1], self.branch_pool(_mean_inside(x))]


class _LastE(inception.InceptionE):
    """TensorFlow's graph has a maximum here, where every other block has a mean."""

    def _forward(self, x: Tensor) -> list[Tensor]:
        return [*super()._forward(x)[:-1], self.branch_pool(max_pool2d(x, 3, 1, 1))]


def network() -> inception.Inception3:
    """The architecture with random weights: torchvision's InceptionV3, pooled as TensorFlow's graph pools."""
    blocks = [
        inception.BasicConv2d,
        _A,
        inception.InceptionB,
        _C,
        inception.InceptionD,
        _E,
        inception.InceptionAux,
    ]
    with aside():
        made = inception.Inception3(CLASSES, aux_logits=False, inception_blocks=blocks, init_weights=False)
        made.Mixed_7c = _LastE(2048)
    return made.eval().requires_grad_(False)


class Inception(nn.Module):
    """Features of FID's InceptionV3 (Szegedy et al. 2016; Heusel et al. 2017 put FID on the pooled ones).

    ``pool`` is (B, 2048); ``spatial`` (B, 2023), places of the first 7 channels of ``mixed_6/conv`` in TensorFlow's
    order, on which Nash et al. 2021 put sFID.

    Args:
        weights: of the network.
    """

    def __init__(self, weights: State) -> None:
        super().__init__()
        body = network()
        fill(body, weights, PUBLISHED.what)
        names, (*parts, self.classify) = zip(*body.named_children(), strict=True)
        seen = names.index("Mixed_6d") + 1
        self.first, self.rest = nn.Sequential(*parts[:seen]).eval(), nn.Sequential(*parts[seen:]).eval()

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(B, 3, 299, 299), scaled -> the features by name."""
        maps = self.first(images)
        return {"pool": self.rest(maps).flatten(1), "spatial": maps[:, :SPATIAL].movedim(1, -1).flatten(1)}

    def logits(self, features: Tensor) -> Tensor:
        """Features (B, 2048) -> logits (B, 1008) without the bias, as Salimans' inception score takes them."""
        return features @ self.classify.weight.T.to(features)
