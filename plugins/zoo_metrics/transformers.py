"""Vision transformers as the protocols that are named after them use them: DINOv2 at 224 px, CLIP projected.

The networks are timm's; what differs from timm is how positions are resampled (DINOv2) and that the projection stays
(CLIP).
"""

from __future__ import annotations

from dataclasses import dataclass

import timm
import torch
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from zoo_metrics.weights import State, aside, existing, fill, sha256, state

DINOV2, CLIP = "dinov2", "clip"
OFFSET = 0.1
"""What DINOv2 adds to the number of patches on a side before it resamples its positions."""


@dataclass(frozen=True)
class Kind:
    """A transformer of a protocol.

    Args:
        what: for a sentence.
        scale: of the pixels it was trained on.
        projected: features that a projection makes of the class token; 0 for the token itself.
    """

    what: str
    scale: str
    projected: int = 0


KINDS = {DINOV2: Kind("DINOv2", "imagenet"), CLIP: Kind("CLIP", "clip", 768)}


class Token(nn.Module):
    """The class token of a transformer after its last norm, projected and of length 1 where it is CLIP's.

    Args:
        network: timm's, with its projection as the head, or none.
        unit: whether features have length 1.
    """

    def __init__(self, network: nn.Module, unit: bool) -> None:
        super().__init__()
        self.network, self.unit = network.eval().requires_grad_(False), unit

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(B, 3, S, S), scaled -> (B, F)."""
        found = self.network(images)
        return {"pool": normalize(found, dim=-1) if self.unit else found}


def transformer(kind: str, model: str, pretrained: bool | str, side: int) -> tuple[Token, str]:
    """A transformer with its weights, and what they are.

    Args:
        kind: ``dinov2`` or ``clip``.
        model: timm's name of the architecture.
        pretrained: the path of a file, of timm's names or the authors'; True for timm's hub; False for random ones.
        side: of the images it will see.

    Raises:
        ValueError: weights that cannot be had or do not fit.
    """
    about = KINDS[kind]
    found, said = _weights(model, pretrained, about)
    with aside():
        network: VisionTransformer = timm.create_model(model, num_classes=about.projected, img_size=side)
    places = network.patch_embed.grid_size[0]
    if "pos_embed" in found:  # another's names for it are translated, and not resampled
        found = found | {"pos_embed": positions(found["pos_embed"], places)}
    found = checkpoint_filter_fn(found, network)
    fill(network, found, f"{about.what} ({model})")
    return Token(network, unit=bool(about.projected)), said


def positions(embedding: Tensor, places: int) -> Tensor:
    """Positions (1, 1 + N^2, F) for an image of ``places`` x ``places`` patches, as DINOv2's authors resample them.

    Bicubic, at (places + 0.1) / N of the scale, which shifts every place a little, and not antialiased.
    """
    own, patches = embedding[:, :1], embedding[:, 1:]
    side = round(patches.shape[1] ** 0.5)
    if side == places:
        return embedding
    grid = patches.float().unflatten(1, (side, side)).movedim(-1, 1)
    grid = interpolate(grid, scale_factor=(places + OFFSET) / side, mode="bicubic")
    return torch.cat([own, grid.flatten(2).mT.to(own)], 1)


def _weights(model: str, pretrained: bool | str, about: Kind) -> tuple[State, str]:
    """Weights at the size that the model was trained at, and what they are."""
    if isinstance(pretrained, str):
        path = existing(pretrained)
        found = {name: tensor for name, tensor in state(path).items() if not name.endswith("mask_token")}
        return found, f"sha256:{sha256(path)}"
    try:
        with aside():
            made = timm.create_model(model, pretrained=pretrained, num_classes=about.projected)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"the weights of {about.what} ({model}) cannot be loaded: {reason}; give the path of their file"
        ) from error
    if not pretrained:
        return made.state_dict(), f"random, seed 0, torch {torch.__version__}, timm {timm.__version__}"
    published = made.pretrained_cfg
    return made.state_dict(), f"timm {timm.__version__} {published['architecture']}.{published['tag']}"
