"""The families of image autoencoders that diffusers has, and the shapes that their configs come to. Without torch."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Family:
    """What of a family's config says its shapes.

    Args:
        levels: the key whose list has an entry for each resolution of the encoder, and how many where it is not there.
        latent: the keys of the channels of a code, the first that is there counts, and how many where none is.
        gaussian: whether the encoder gives means and variances.
        blocks: keys that, left out, name the family's own block once for each resolution -> the key of those.
    """

    levels: tuple[str, int]
    latent: tuple[tuple[str, ...], int]
    gaussian: bool = False
    blocks: Mapping[str, str] | None = None


_BLOCKS = {"down_block_types": "block_out_channels", "up_block_types": "block_out_channels"}
_ASYMMETRIC = {"down_block_types": "down_block_out_channels", "up_block_types": "up_block_out_channels"}
FAMILIES: Mapping[str, Family] = {
    "AutoencoderKL": Family(("block_out_channels", 1), (("latent_channels",), 4), True, _BLOCKS),
    "AsymmetricAutoencoderKL": Family(("down_block_out_channels", 1), (("latent_channels",), 4), True, _ASYMMETRIC),
    "AutoencoderKLFlux2": Family(("block_out_channels", 4), (("latent_channels",), 32), True, _BLOCKS),
    "VQModel": Family(("block_out_channels", 1), (("vq_embed_dim", "latent_channels"), 3), False, _BLOCKS),
    "AutoencoderTiny": Family(("encoder_block_out_channels", 4), (("latent_channels",), 4)),
    "AutoencoderDC": Family(("encoder_block_out_channels", 6), (("latent_channels",), 32)),
}
"""By the names of diffusers' classes."""


def family_of(name: str) -> Family:
    """A family by its name.

    Raises:
        ValueError: there is none of that name here; says the nearest, or all.
    """
    if name in FAMILIES:
        return FAMILIES[name]
    near = difflib.get_close_matches(name, FAMILIES, n=1)
    raise ValueError(
        f"family {name!r} is none of {', '.join(FAMILIES)}{f'; did you mean {near[0]!r}?' if near else ''}"
    )


def code_of(family: str, config: Mapping[str, Any]) -> tuple[int, int]:
    """The channels of a code, and how many times smaller than the image it is."""
    own = family_of(family)
    keys, depth = own.latent
    channels = next((config[key] for key in keys if config.get(key)), depth)
    key, count = own.levels
    levels = len(config[key]) if isinstance(config.get(key), list | tuple) else count
    return channels, 2 ** (levels - 1)


def _code(family: str, config: Mapping[str, Any]) -> str:
    channels, factor = code_of(family, config)
    return f"{channels} H/{factor} W/{factor}"


def encoding(family: str, config: Mapping[str, Any]) -> str:
    """The contract of an encoder."""
    return f"B {config.get('in_channels', 'C')} H W -> B {_code(family, config)}"


def decoding(family: str, config: Mapping[str, Any]) -> str:
    """The contract of a decoder."""
    return f"B {_code(family, config)} -> B {config.get('out_channels', 'C')} H W"


def generating(family: str, config: Mapping[str, Any]) -> str:
    """The contract of a generator."""
    return decoding(family, config).replace(" ->", ", B noise ->")
