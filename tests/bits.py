"""What must stay the same when the house is put in order, written as files: ``python tests/bits.py DIR`` before and
after, then ``diff -r``. Weights of every bundled recipe after 20 steps, what the commands say, sentences of mutants."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import random
import sys
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "ZOO_CONFIG": os.devnull, "COLUMNS": "120"}
ROOT = Path(__file__).parents[1]
MUTANTS = 1500
TRAIN = ["train.steps=20", "train.batch=8", "train.precision=float32", "train.log_every=10"]
DATA = "data={use: photos, size: 32, train: 256, test: 64}"


def said(*arguments: str) -> str:
    """``zoo ARGUMENTS``: its exit code and all it says."""
    from zoo.cli import main

    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        code = main(list(arguments))
    return f"$ zoo {' '.join(arguments)} -> {code}\n{out.getvalue()}".replace(f"{ROOT}/", "")


def trained(recipe: str) -> str:
    """The SHA-256 of a bundled recipe's weights, every width 8, after a short training."""
    import torch

    import zoo
    from zoo.recipe import load_recipe
    from zoo.registry import load_registry

    torch.set_num_threads(1)
    slots = load_recipe(recipe, [], load_registry()).slots
    narrow = [f"slots.{name}.width=8" for name, part in slots.items() if "width" in part.options]
    model = zoo.build(recipe, overrides=[*TRAIN, DATA, *narrow])
    zoo.train(model)
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode() + tensor.contiguous().numpy().tobytes())
    return f"{recipe} {digest.hexdigest()}\n"


def sentences() -> str:
    """What is wrong with mutated recipes."""
    from helpers.mutations import mutant, seeds

    from zoo.errors import RecipeError
    from zoo.recipe import load_recipe
    from zoo.registry import load_registry

    corpus, found = seeds(ROOT / "plugins"), []
    for seed in range(MUTANTS):
        Path("m.yaml").write_text(json.dumps(mutant(random.Random(seed), corpus)))
        try:
            load_recipe("m.yaml", [], load_registry())
        except RecipeError as error:
            found.append(f"{seed}: {error}\n")
    return "".join(found)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    folder = folder.resolve()
    os.environ.setdefault("ZOO_CACHE", str(folder / "cache"))
    os.chdir(folder)
    parts = json.loads(said("list", "--json").split("\n", 1)[1])
    recipes = sorted({row["name"] for row in parts if row["kind"] == "recipe" and not row.get("table")})
    names = sorted({f"{row['kind']}/{row['name']}" for row in parts if row["kind"] != "recipe"})
    Path("list.txt").write_text(said("list") + said("plugins"))
    Path("show.txt").write_text("".join(said("show", name.split("/")[1]) for name in names))
    Path("explain.txt").write_text("".join(said("explain", name, "--set", DATA) for name in recipes))
    Path("sentences.txt").write_text(sentences())
    Path("weights.txt").write_text("".join(map(trained, recipes)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
