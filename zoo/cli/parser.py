"""The verbs and their arguments."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import zoo
from zoo.errors import RequestError, closest, did_you_mean


@cache
def make_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(prog="zoo", description="Generative models built from parts that anyone can swap.")
    version = f"zoo {zoo.__version__}"
    parser.add_argument("--version", action="version", version=version, help="print the version and exit")
    verbs = parser.add_subparsers(metavar="COMMAND", title="commands", prog="zoo")
    for add in (_recipe_verbs, _run_verbs, _compare_verbs, _score_verb, _shelf_verbs, _audit_verb):
        add(verbs)
    parser.set_defaults(run=lambda _: parser.print_help(), commands=verbs.choices, json=False, no_plugins=False)
    return parser


SHORT = {"--seed": "seed", "--steps": "train.steps", "--batch": "train.batch", "--name": "name"}
"""Short option -> the setting that it sets."""
MEANT = dict.fromkeys(("train", "fit", "run"), "build") | {"generate": "sample", "fid": "score"}
"""What other programs call a command -> what it is called here."""


def refuse_unknown(argv: Sequence[str], commands: Collection[str]) -> None:
    """Raises a RequestError if what stands in the place of a command is none."""
    if argv and not argv[0].startswith("-") and argv[0] not in commands:
        meant = closest(argv[0], [*commands, *MEANT])
        hint = f"; did you mean '{MEANT.get(meant, meant)}'?" if meant else did_you_mean(argv[0], commands)
        raise RequestError(f"there is no command '{argv[0]}'{hint}")


def refuse_further(unknown: Sequence[str], verb: argparse.ArgumentParser) -> None:
    """Raises a RequestError if a command was given what it does not take."""
    if unknown:
        said = unknown[0].partition("=")[0]
        hint = did_you_mean(said, verb._option_string_actions, listed=False) if said.startswith("-") else ""
        raise RequestError(f"{verb.prog} does not take '{said}'{hint or f'; see {verb.prog} --help'}")


class _Short(argparse.Action):
    """An option that sets a value of the recipe, as ``--set`` does."""

    def __call__(self, _: Any, namespace: argparse.Namespace, value: Any, option: str | None = None) -> None:
        namespace.set = [*namespace.set, f"{SHORT[str(option)]}={value}"]


def _place(text: str) -> Path | str:
    """A run's directory; a run of the hub stays text, which a path would shorten."""
    return text if text.startswith("hf://") else Path(text)


def _names(text: str) -> list[str]:
    """The names of ``a,b``."""
    return [name.strip() for name in text.split(",") if name.strip()]


NAMES: Any = {"action": "extend", "type": _names}


def _verb(verbs: Any, name: str, text: str, module: str, function: str = "") -> argparse.ArgumentParser:
    """A command: a function of ``zoo.cli.MODULE``, imported when it is run."""
    verb: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text)
    verb.set_defaults(run=lambda arguments: getattr(import_module(f"zoo.cli.{module}"), function or name)(arguments))
    verb.add_argument("--json", action="store_true", help="print one JSON document on stdout, nothing else")
    _list(verb, "--plugin", "FILE", "a plugin file", type=Path)
    verb.add_argument("--no-plugins", action="store_true", help="import no package's plugins but zoo's own")
    return verb


def _list(verb: argparse.ArgumentParser, option: str, metavar: str, text: str, **more: Any) -> None:
    """An option that may be given several times; with ``NAMES``, each time with several values."""
    verb.add_argument(option, default=[], metavar=metavar, help=text, **{"action": "append", **more})


def _recipe_verbs(verbs: Any) -> None:
    recipe = "a YAML file, a run's directory, or the name of a bundled recipe"
    build = _verb(verbs, "build", "assemble, train, evaluate and report a recipe", "recipes")
    build.add_argument("recipe", help=recipe)
    build.add_argument("--out", type=Path, metavar="DIR", help="the run's directory (runs/NAME)")
    build.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 ...")
    build.add_argument("--no-tensorboard", action="store_true", help="no event files in RUN/tensorboard")
    alarm = "of a collapse or a saturated critic (warn)"
    build.add_argument("--on-alarm", choices=("warn", "stop"), default="warn", help=alarm)
    extend = "train the run on: longer, ended where it is, or under another rate, clip, batch ..."
    build.add_argument("--extend", action="store_true", help=extend)
    again = build.add_mutually_exclusive_group()
    verify = "take steps of the run once more, interrupted and not, and compare every bit (10)"
    again.add_argument("--verify-resume", nargs="?", type=int, const=10, metavar="STEPS", help=verify)
    again.add_argument("--replay-fault", action="store_true", help="show once more what made the training go wrong")
    build.add_argument("--stop-after", choices=("assemble", "train", "evaluate"), default="")
    check = _verb(verbs, "check", "everything short of training", "recipes")
    check.add_argument("recipes", nargs="+", metavar="recipe", help=recipe)
    explain = _verb(verbs, "explain", "who learns from what, values, parameters", "recipes")
    explain.add_argument("recipe", help=recipe)
    explain.add_argument("--dot", action="store_true", help="the graph, for Graphviz: zoo explain R --dot | dot -Tsvg")
    init = _verb(verbs, "init", "write an editable copy of a bundled recipe", "recipes")
    init.add_argument("recipe")
    init.add_argument("--out", type=Path, metavar="FILE", help="where to (NAME.yaml)")
    bench = _verb(verbs, "bench", "what a step takes here, where it goes, what would be quicker", "recipes")
    bench.add_argument("recipe", help=recipe)
    bench.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 ...")
    bench.add_argument("--steps", type=int, default=24, metavar="N", help="steps of the recipe that are timed (24)")
    bench.add_argument("--random-data", action="store_true", help="random pixels in the place of the recipe's images")
    against = "time the recipe with this against it, such as train.compile=true"
    _list(bench, "--try", "PATH=VALUE", against, dest="against")
    for verb in (build, check, explain, bench):
        _list(verb, "--set", "PATH=VALUE", "such as slots.encoder.width=32")
    for verb in (build, check, explain):
        _short(verb)


def _short(verb: argparse.ArgumentParser) -> None:
    """The shorthands of ``--set``."""
    for option, path in SHORT.items():
        kind, like = (str, "NAME") if option == "--name" else (int, "N")
        how: Any = {"type": kind, "metavar": like, "default": argparse.SUPPRESS, "help": f"--set {path}={like}"}
        verb.add_argument(option, action=_Short, **how)


def _shelf_verbs(verbs: Any) -> None:
    listing = _verb(verbs, "list", "what is installed", "shelf", "list_parts")
    listing.add_argument("kind", nargs="?", default="", help="encoder, term, recipe ...")
    listing.add_argument("family", nargs="?", default="", help="of recipes: variational, adversarial ...")
    show = _verb(verbs, "show", "options, shapes and source of a part or a recipe", "shelf")
    show.add_argument("name", help="[KIND:][DISTRIBUTION/]NAME")
    _verb(verbs, "doctor", "what a bug report needs, and what is wrong with the installation", "doctor")
    _verb(verbs, "completion", 'a script by which bash and zsh complete: eval "$(zoo completion)"', "shelf")
    schema = _verb(verbs, "schema", "a JSON Schema of recipes, by which editors complete them", "shelf")
    schema.add_argument("--out", type=Path, metavar="FILE", help="such as zoo.schema.json")
    plugins = _verb(verbs, "plugins", "every plugin and how it fared; leave one out", "plugins")
    plugins.add_argument(
        "action", nargs="?", choices=("disable", "enable"), help="leave plugins out, or take them back"
    )
    plugins.add_argument("names", nargs="*", metavar="NAME", help="a plugin, a package or PACKAGE/PLUGIN")
    plugins.add_argument("--traceback", nargs="?", const="", metavar="NAME", help="show what was raised (by all)")
    new = _verb(verbs, "new-plugin", "write a plugin package of your own", "new_plugin", "new_plugin")
    new.add_argument("name", help="of the package, such as my-zoo-plugin")
    new.add_argument("--out", type=Path, metavar="DIR", help="the package's directory (NAME)")


def _run_verbs(verbs: Any) -> None:
    sample = _verb(verbs, "sample", "images from a run's prior", "runs")
    sample.add_argument("-n", type=int, help="how many (64; as many as there are files of --given)")
    reconstruct = _verb(verbs, "reconstruct", "images through a run's model", "runs")
    interpolate = _verb(verbs, "interpolate", "paths between codes of a run", "runs")
    interpolate.add_argument("-n", type=int, default=6, help="paths (6)")
    interpolate.add_argument("--steps", type=int, default=10, help="images on a path (10)")
    evaluate = _verb(verbs, "evaluate", "score a run again", "runs")
    _list(evaluate, "--metrics", "A[,B]", "these (the recipe's)", **NAMES)
    _list(evaluate, "--set", "PATH=VALUE", "such as evaluate.fid.download=true")
    export = _verb(verbs, "export", "write a run's model for another program", "runs")
    _list(export, "--set", "OPTION=VALUE", "of the exporter (zoo show exporter:NAME)")
    export.add_argument("--to", required=True, dest="exporter", metavar="EXPORTER", help="which (zoo list exporter)")
    push = _verb(verbs, "push", "put a run on the Hugging Face hub, with a model card", "runs")
    _list(push, "--set", "OPTION=VALUE", "of the card: license=cc-by-4.0, data_license=..., about=...")
    push.add_argument("--private", action="store_true", help="a model that only you and your organisation see")
    encode = _verb(verbs, "encode", "the codes of images, in safetensors files, and their statistics", "runs")
    encode.add_argument("--to", type=Path, required=True, metavar="DIR", help="goes on with what it holds of them")
    encode.add_argument("--output", default="posterior", help="an output or value of the recipe (posterior)")
    encode.add_argument("--batch", type=int, default=0, metavar="N", help="images at a time")
    _list(encode, "--set", "PATH=VALUE", "such as data.size=512, data={use: digits, size: 32}")
    explore = _verb(verbs, "explore", "a page on which codes and noise are moved and images dropped in", "runs")
    explore.add_argument("--host", default="127.0.0.1", help="who may look: 0.0.0.0 for everybody (this machine alone)")
    explore.add_argument("--port", type=int, default=7860, help="0 for a free one (7860)")
    for verb in (sample, reconstruct, interpolate, evaluate, export, push, encode, explore):
        kind, auto = Path if verb in (evaluate, push) else _place, "cpu" if verb in (export, push) else "auto"
        verb.add_argument("folder", type=kind, metavar="RUN", help="runs/avae, or hf://ORG/NAME (not to evaluate)")
        verb.add_argument("--device", default=auto, help=f"auto, cpu, cuda ... ({auto})")
        verb.add_argument("--weights", choices=("raw", "ema", "best"), default="", help="(averaged, if there are)")
    explore.add_argument("others", type=_place, nargs="*", metavar="RUN", help="beside it")
    encode.add_argument("data", metavar="DATA", help="a folder of images; data, the run's own, or data:train")
    push.add_argument("name", metavar="ORG/NAME", help="of the model on the hub, made if there is none")
    export.add_argument("out", type=Path, metavar="DIR", help="a new directory")
    for verb in (sample, reconstruct, interpolate):
        to = "one picture: .png, .jpg; all images: .npz, .pt, or a directory for a file each (a PNG in RUN)"
        verb.add_argument("--to", "--out", type=Path, metavar="DIR|FILE", help=to)
        verb.add_argument("--seed", type=int, default=0, help="which draw of codes and noise (0)")
        _list(verb, "--given", "FIELD=VALUE", "a field of the data: label=3, label=cat, y=map.png")
    reconstruct.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="a file or a directory")
    interpolate.add_argument("images", type=Path, nargs="*", metavar="IMAGE", help="two, to go from one to the other")


def _compare_verbs(verbs: Any) -> None:
    text = "recipes on data sets over seeds, in one table with pictures; runs and tables too"
    compare = _verb(verbs, "compare", text, "compare", "compare_models")
    compare.add_argument("models", nargs="+", metavar="RECIPE|RUN|TABLE", help="a recipe, a directory of runs, a table")
    compare.add_argument("--out", type=Path, default=Path("runs/compare"), metavar="DIR", help="(runs/compare)")
    ablate = _verb(verbs, "ablate", "a recipe with and without something, in one table", "compare")
    ablate.add_argument("recipe", help="a YAML file, or the name of a bundled recipe")
    toggle = "such as phases.0.generator.entropy=off,-0.01; of several, every combination"
    _list(ablate, "--toggle", "PATH=A,B", toggle, required=True)
    ablate.add_argument("--out", type=Path, metavar="DIR", help="(runs/ablate/RECIPE)")
    for verb in (compare, ablate):
        _list(verb, "--data", "NAME[,NAME]", "(each recipe's own)", **NAMES)
        verb.add_argument("--seeds", type=int, metavar="N", help="seeds 0 to N - 1 (a table's, else 1)")
        _list(verb, "--metrics", "A[,B]", "columns, in order (all)", **NAMES)
        _list(verb, "--set", "PATH=VALUE", "for every recipe that has it")
        verb.add_argument("--to", type=Path, metavar="FILE", help="write the table: .md, .csv, .tex or .html")
        verb.add_argument("--device", default="auto", help="auto, cpu, cuda ...")
        verb.add_argument("--dry-run", action="store_true", help="say what would be built, and what is missing for it")


def _score_verb(verbs: Any) -> None:
    score = _verb(
        verbs, "score", "how far images are from others: FID, KID, PSNR ... by a named protocol", "score", "score_sets"
    )
    what = "images in a folder, a zip or an .npz; RUN, RUN#OUTPUT; DATA, DATA:SPLIT"
    why = "name the change that makes one number of the other: numbers, or files that --to wrote"
    score.add_argument("--why", nargs=2, metavar=("X", "Y"), help=why)
    score.add_argument("a", nargs="?", default="", metavar="A", help=f"what is judged: {what}")
    score.add_argument(
        "b", nargs="?", default="", metavar="B", help="what it is judged by: the same, or statistics (.npz, .pkl)"
    )
    score.add_argument(
        "--protocol", default="", metavar="NAME", help="torch-fidelity, clean-fid, adm ... (docs/scores.md)"
    )
    _list(score, "--metrics", "A[,B]", "these (those of the protocol)", **NAMES)
    _list(score, "--set", "OPTION=VALUE", "such as pretrained=inception.pth, fid.download=true, data.size=64")
    score.add_argument("-n", type=int, default=0, metavar="N", help="the first N images of A, or samples of a run")
    score.add_argument(
        "--interval", nargs="?", type=int, default=0, const=20, metavar="DRAWS", help="by bootstrap (20)"
    )
    score.add_argument("--extrapolate", action="store_true", help="FID of infinitely many images, too")
    score.add_argument("--to", type=Path, metavar="FILE.json", help="write the numbers and their passports")
    score.add_argument("--seed", type=int, default=0, help="which draw of codes, noise and subsets (0)")
    score.add_argument(
        "--weights", choices=("raw", "ema", "best"), default="", help="of a run (averaged, if there are)"
    )
    score.add_argument("--device", default="auto", help="auto, cpu, cuda ...")


def _audit_verb(verbs: Any) -> None:
    text = "who really learns from what in a training script: runs it, watches some steps, stops it"
    audit = _verb(verbs, "audit", text, "audit")
    audit.add_argument("--steps", type=int, default=20, metavar="N", help="steps of an optimiser that are watched (20)")
    audit.add_argument("--to", type=Path, metavar="FILE.html", help="write a page too")
    audit.add_argument("-m", dest="module", action="store_true", help="SCRIPT is a module's name, as of python -m")
    audit.add_argument("script", metavar="SCRIPT", help="a Python file that trains with PyTorch")
    audit.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENTS", help="the script's own")
