"""The exporter ``diffusers``: two slots as one model of diffusers'."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from zoo_diffusers.halves import Generator, Half, build


def export(
    model: nn.Module,
    folder: Path,
    *,
    encoder: str = "encoder",
    decoder: str = "decoder",
    scaling_factor: float | None = None,
) -> None:
    """Writes a folder that diffusers' ``from_pretrained`` loads: its model computes what the two slots do, bit for bit.

    Args:
        model: whose slots they are.
        folder: empty; ``config.json`` and ``diffusion_pytorch_model.safetensors`` are written there.
        encoder: name of the slot that encodes.
        decoder: name of the slot that decodes, which may be a generator without noise.
        scaling_factor: what codes are multiplied by for a model of codes, one over their deviation as a rule; null for
            the config's.

    Raises:
        ValueError: a slot is none of this plugin's, takes noise, or the two are halves of different models.
    """
    encoding, decoding = (_half(model, name, there) for name, there in ((encoder, "encoder"), (decoder, "decoder")))
    if (encoding.family, encoding.config) != (decoding.family, decoding.config):
        first, second = encoding.config, decoding.config
        unlike = [key for key in first if second.get(key) != first[key]] or ["family"]
        raise ValueError(f"slots '{encoder}' and '{decoder}' are of different models: they differ in {unlike[0]}")
    config = encoding.config if scaling_factor is None else encoding.config | {"scaling_factor": scaling_factor}
    weights = encoding.state_dict() | decoding.state_dict()
    with torch.device("meta"):  # it draws no random numbers there
        whole = build(encoding.family, config, 0)
    whole.load_state_dict(weights, assign=True)
    whole.save_pretrained(folder)


def _half(model: nn.Module, slot: str, part: str) -> Half:
    half = getattr(model, slot, None)
    if not isinstance(half, Half) or not hasattr(half, part):
        raise ValueError(f"slot '{slot}' is no {part} of diffusers: fill it with {{use: diffusers}}, or name another")
    if isinstance(half, Generator) and hasattr(half, "spread"):
        raise ValueError(f"slot '{slot}' takes noise, which no autoencoder of diffusers does")
    return half
