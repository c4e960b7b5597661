"""Manifests of checkpoints: which files belong to a step, byte for byte, and what they were computed with. No torch."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

FORMAT = 1
LARGEST = 4 * 2**20
"""Bytes of the largest manifest that is read."""
SHAPING = ("seed", "latent", "noise", "augment", "slots", "phases")
"""What of a recipe makes its weights another's; how long it trains, and who looks on, does not."""
_NAME = re.compile(r"[\w-]+\.safetensors")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class File:
    """A file as it was written: its size, and the SHA-256 of its bytes."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Score:
    """What a checkpoint scored.

    Args:
        label: the metric's, in the recipe's ``evaluate``.
        value: the number.
        better: ``"lower"``, ``"higher"``, or ``"one"`` for the nearest to 1.
    """

    label: str
    value: float
    better: str

    def beats(self, other: Score) -> bool:
        """Whether it is better, and not as good; a number that is none is never better."""
        return not math.isnan(self.value) and not self._distance() >= other._distance()

    def _distance(self) -> float:
        distances = {"lower": self.value, "higher": -self.value, "one": abs(self.value - 1)}
        return distances[self.better]


@dataclass(frozen=True)
class Manifest:
    """What makes files a checkpoint; it is written after them, so that there is none of half a checkpoint.

    Args:
        step: steps done.
        recipe: ``identity`` of the recipe.
        files: name -> size and digest; the files lie beside the manifest.
        plain: the engine's state but for its tensors.
        computed: versions, device, precision and threads; with others the training goes on, but not bit for bit.
        score: where it was the best of the training so far.
    """

    step: int
    recipe: str
    files: Mapping[str, File]
    plain: Mapping[str, Any]
    computed: Mapping[str, Any] = field(default_factory=dict)
    score: Score | None = None

    def text(self) -> str:
        """As it is written: JSON that has its own SHA-256."""
        content = {"format": FORMAT, **asdict(self)}
        digest = hashlib.sha256(_json(content).encode()).hexdigest()
        return _json({**content, "sha256": digest})

    @classmethod
    def read(cls, text: str) -> Manifest:
        """What ``text`` wrote.

        Raises:
            ValueError: if a single byte is another, or it says what no manifest says.
        """
        try:
            content = json.loads(text)
            if content["format"] != FORMAT:
                raise ValueError(f"it has format {content['format']!r}; this version reads format {FORMAT}")
            found = _checked(content)
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"it is no manifest ({type(error).__name__}: {error})") from None
        if found.text() != text:
            raise ValueError("its content is not what was written")
        return found


def _checked(content: Mapping[str, Any]) -> Manifest:
    step, plain, score = content["step"], content["plain"], content["score"]
    if type(step) is not int or step < 0 or plain["step"] != step:
        raise ValueError("its step is none")
    files = {name: File(**file) for name, file in content["files"].items()}
    for name, file in files.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"it names a file {name[:100]!r}, which is no name of a checkpoint's")
        if type(file.bytes) is not int or file.bytes < 0 or not _DIGEST.fullmatch(file.sha256):
            raise ValueError(f"it does not say what {name} holds")
    if not files:
        raise ValueError("it names no file")
    found = Manifest(step, content["recipe"], files, plain, content["computed"], Score(**score) if score else None)
    if found.score and (found.score.better not in ("lower", "higher", "one") or type(found.score.value) is not float):
        raise ValueError("its score is none")
    return found


def _json(content: Any) -> str:
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def identity(plain: Mapping[str, Any]) -> str:
    """The SHA-256 of what makes a recipe's weights another's.

    Args:
        plain: the recipe as plain data, as ``Recipe.plain`` gives it or as a run's ``recipe.yaml`` says it.
    """
    content = {name: plain.get(name) for name in SHAPING}
    return hashlib.sha256(_json(content).encode()).hexdigest()


# -- a run's recipe ------------------------------------------------------------------------------------------

SEAL = "# SHA-256 of the lines above: "
EDITED = "# edited\n"
"""How text ends that was changed after it was sealed, and is meant so."""


def sealed(text: str) -> str:
    """Text that ends in a comment with the SHA-256 of what stands before it."""
    return f"{text}{SEAL}{hashlib.sha256(text.encode()).hexdigest()}\n"


def seal_holds(text: str) -> bool:
    """Whether text is as ``sealed`` wrote it, or says that it was edited."""
    return text.endswith(EDITED) or text == sealed(text.rpartition(SEAL)[0])
