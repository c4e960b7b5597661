"""Manifests of checkpoints: which files belong to a step, byte for byte, and what they were computed with. No torch."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from zoo.columns import distance

FORMAT = 1
LARGEST = 4 * 2**20
"""Bytes of the largest manifest that is read."""
SHAPING = ("seed", "latent", "noise", "augment", "slots", "phases")
"""The parts of a recipe that make its weights another's; how long it trains, and who looks on, does not."""


@dataclass(frozen=True)
class File:
    """A file as it was written: its size, and the SHA-256 of its bytes."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Score:
    """A checkpoint's score; ``better`` is ``"lower"``, ``"higher"``, or ``"one"`` for the nearest to 1."""

    label: str
    value: float
    better: str

    def beats(self, other: Score | None) -> bool:
        """True if it is better than another, or there is none; one that is not finite never is."""
        mine = distance(self.value, self.better)
        return math.isfinite(mine) and not (other and mine >= distance(other.value, other.better))


@dataclass(frozen=True)
class Manifest:
    """Makes files a checkpoint; it is written after them, so that there is none of half a checkpoint.

    Args:
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
        return _json({**content, "sha256": sha256(_json(content))})

    @classmethod
    def read(cls, text: str) -> Manifest:
        """Reads what ``text`` wrote; a ValueError if a single byte is another, or it says what no manifest says."""
        try:
            content = json.loads(text)
            if content["format"] != FORMAT:
                raise ValueError(f"it has format {content['format']!r}; this version reads format {FORMAT}")
            step, plain, score = content["step"], content["plain"], content["score"]
            files = {name: File(**file) for name, file in content["files"].items()}
            found = cls(step, content["recipe"], files, plain, content["computed"], Score(**score) if score else None)
            if type(step) is not int or step < 0 or plain["step"] != step:
                raise ValueError("its step is none")
            if found.score:
                distance(found.score.value, found.score.better)
            if found.text() != text:
                raise ValueError("its content is not what was written")
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"it is no manifest ({type(error).__name__}: {error})") from None
        return found


def sha256(text: str) -> str:
    """The SHA-256 of text, in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def _json(content: Any) -> str:
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def identity(plain: Mapping[str, Any]) -> str:
    """The SHA-256 of what makes a recipe's weights another's, of plain data as ``Recipe.plain`` gives it."""
    shaping = {name: plain.get(name) for name in SHAPING}
    return sha256(_json({**shaping, "slots": _placeless(shaping["slots"])}))


def _placeless(slots: Any) -> Any:
    """Leaves out where the weights lay that slots began with: a run does not need them again."""
    if not isinstance(slots, dict):
        return slots
    named = {label: part for label, part in slots.items() if isinstance(part, dict)}
    return slots | {label: {k: v for k, v in part.items() if k != "weights"} for label, part in named.items()}


# -- a run's recipe ------------------------------------------------------------------------------------------

SEAL = "# SHA-256 of the lines above: "
EDITED = "# edited\n"
"""How text ends that was changed after it was sealed, and is meant so."""


def sealed(text: str) -> str:
    """Text that ends in a comment with the SHA-256 of what stands before it."""
    return f"{text}{SEAL}{sha256(text)}\n"


def seal_holds(text: str) -> bool:
    """True of text that is as ``sealed`` wrote it, or says that it was edited."""
    return text.endswith(EDITED) or text == sealed(text.rpartition(SEAL)[0])
