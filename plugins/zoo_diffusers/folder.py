"""Folders of diffusers', as its ``from_pretrained`` takes them and its ``save_pretrained`` writes them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from zoo import api
from zoo_diffusers.families import FAMILIES
from zoo_diffusers.library import keys_of

CONFIG, WEIGHTS = "config.json", "diffusion_pytorch_model.safetensors"
OLD = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""What the tensors of an attention were called until diffusers 0.15 -> what they are called now."""
_ATTENTION = re.compile(rf"(.*\.attentions\.\d+)\.({'|'.join(OLD)})\.(weight|bias)")


def read(file: Callable[[str], Path]) -> api.Saved:
    """The weights of a folder, and the family and config that they are of.

    Args:
        file: gives the path of a file of the folder.

    Raises:
        ValueError: it holds another model, or no config.
        OSError: it lacks a file.
    """
    try:
        config = json.loads(file(CONFIG).read_text())
        family = config["_class_name"]
    except (json.JSONDecodeError, UnicodeDecodeError, LookupError, TypeError) as error:
        raise ValueError(f"its {CONFIG} is none of diffusers' ({type(error).__name__}: {error})") from error
    if family not in FAMILIES:
        raise ValueError(f"it holds a {family}; autoencoders of images are {', '.join(FAMILIES)}")
    known = keys_of(family)
    options = {"family": family, "config": {key: value for key, value in config.items() if key in known}}
    return api.Saved(file(WEIGHTS), options, named)


def named(tensor: str) -> str:
    """A tensor's name as diffusers gives it today."""
    old = _ATTENTION.fullmatch(tensor)
    return f"{old[1]}.{OLD[old[2]]}.{old[3]}" if old else tensor
