"""A model card: the README.md of a model on the Hugging Face hub, written from what its run knows."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from zoo import api

OWN = "generative-zoo"
BETTER = {"lower": "lower is better", "higher": "higher is better", "one": "nearer to 1 is better"}
TASKS = ("unconditional-image-generation", "image-to-image")
"""What the hub has pages of."""
RANGED = ("image", "signal", "volume")
"""Kinds of fields whose numbers are in [-1, 1]."""
LEAST = 10_000
"""Images below which a card warns that a score is of few: those of distributions hang on how many there are."""


def card(run: api.ExportedRun, license: str, data_license: str, about: str) -> str:
    """The whole text: front matter for the hub's pages and filters, then what a reader asks for, in order."""
    told = about or f"A generative model, made by the recipe `{run.name}` of [{OWN}](https://pypi.org/project/{OWN}/)."
    sections = [
        f"# {run.name}",
        told,
        *(f"![{name.removesuffix('.png')}]({name})" for name in run.pictures),
        _use(run),
        _learns(run),
        _scores(run),
        _made_of(run),
        _licences(run, license, data_license),
        _limits(run),
    ]
    return f"---\n{_front(run, license)}---\n\n" + "\n\n".join(filter(None, sections)) + "\n"


def _front(run: api.ExportedRun, license: str) -> str:
    """YAML whose every value is JSON, which is YAML too."""
    task = _task(run)
    kinds = {run.fields[field]["kind"] for field in run.takes.get("sample", ())}
    front: dict[str, Any] = {"library_name": OWN, "tags": [OWN, run.name, *(["conditional"] if kinds else [])]}
    if license:
        front["license"] = license
    hub = [part["name"] for _, part in _sets(run) if _bare(part["use"]) == "huggingface" and part.get("name")]
    if hub:
        front["datasets"] = hub
    if task in TASKS and "sample" in run.takes:
        front["pipeline_tag"] = task
    found = [{"type": _bare(label), "name": label, "value": value} for label, value, _ in _measured(run)]
    if found:
        data = ", ".join(_bare(part["use"]) for _, part in _sets(run))
        result = {"task": {"type": task}, "dataset": {"name": data, "type": data}, "metrics": found}
        front["model-index"] = [{"name": run.name, "results": [result]}]
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in front.items())


def _use(run: api.ExportedRun) -> str:
    needs = sorted(
        {f"{p['distribution']}=={p['version']}" for p in run.parts if p["distribution"] not in (OWN, "local")}
    )
    install = " ".join(f"'{package}'" for package in (f"{OWN}[hub]", *needs))
    local = sorted({part["name"] for part in run.parts if part["distribution"] == "local"})
    file = (
        f"\n\n{', '.join(local)} come in a plugin file, which you need: `zoo.load(..., plugins=[FILE])`."
        if local
        else ""
    )
    load = 'model = zoo.load("hf://ORG/NAME")  # or this folder; nothing of it is executed'
    given, calls = _calls(run)
    imports = ["import torch"] * any("torch." in line for line in given) + ["import zoo", ""]
    code = "\n".join([*imports, load, *given, *calls])
    return f"## Use\n\n```sh\npip install {install}\n```\n\n```python\n{code}\n```{file}"


def _calls(run: api.ExportedRun) -> tuple[list[str], list[str]]:
    """Lines that make what is given to the model, and those that call it."""
    first, calls, given = next(iter(run.fields)), [], set[str]()
    if "sample" in run.takes:
        fields = list(run.takes["sample"])
        given |= {*fields}
        if all(_drawn(run, field) for field in fields):
            told = f", of {' and '.join(f'any {field}' for field in fields)}" if fields else ""
            calls.append(f"images = model.sample(16)  # {_shown(run, first, '16')}{told}")
        if fields:
            calls.append(f"images = model.sample(given={_dict(fields)})")
    if "reconstruction" in run.takes:
        fields = list(run.takes["reconstruction"])
        given |= {*fields}
        calls.append(f"again = model.reconstruct({first if fields == [first] else _dict(fields)})")
    return [_made(run, field) for field in run.fields if field in given], calls


def _drawn(run: api.ExportedRun, field: str) -> bool:
    """Whether the model draws it where it is not given: classes, as often as the training saw them."""
    return bool(run.fields[field]["kind"] == "label" and field != next(iter(run.fields)))


def _dict(fields: Sequence[str]) -> str:
    return "{" + ", ".join(f'"{field}": {field}' for field in fields) + "}"


def _shown(run: api.ExportedRun, field: str, count: str) -> str:
    shape = ", ".join(map(str, (count, *run.fields[field]["shape"])))
    return f"({shape})" + " in [-1, 1]" * (run.fields[field]["kind"] in RANGED)


def _made(run: api.ExportedRun, field: str) -> str:
    """A line that stands for a person's own data."""
    kind, classes = run.fields[field]["kind"], run.fields[field]["classes"]
    shape = ", ".join(map(str, (4, *run.fields[field]["shape"])))
    if kind == "label":
        return f"{field} = {[number % classes for number in range(4)]}  # classes from 0 to {classes - 1}"
    if kind == "mask":
        return f"{field} = torch.zeros({shape}, dtype=torch.long)  # a mask of yours, classes from 0 to {classes - 1}"
    return f"{field} = torch.zeros({shape})  # {kind}s of yours" + ", in [-1, 1]" * (kind in RANGED)


def _task(run: api.ExportedRun) -> str:
    """The hub's name of what it does; one of ours where the hub has none."""
    first = run.fields[next(iter(run.fields))]["kind"]
    kinds = {run.fields[field]["kind"] for field in run.takes.get("sample", ())}
    if first != "image":
        return f"{first}-generation"
    if kinds & {"image", "mask"}:
        return "image-to-image"
    return "class-conditional-image-generation" if kinds else "unconditional-image-generation"


def _learns(run: api.ExportedRun) -> str:
    return f"## Who learns from what\n\n{_table(run.routes)}\n\n{run.legend}"


def _scores(run: api.ExportedRun) -> str:
    rows = [["score", "", "value", "images", "measured on"]]
    for label, value, protocol in _measured(run):
        on = [f"{protocol['split']} split"] if "split" in protocol else []
        on += [f"{protocol['weights']} weights"] if "weights" in protocol else []
        rows.append(
            [
                label,
                BETTER.get(protocol.get("better", ""), ""),
                f"{value:.4g}",
                str(protocol.get("n", "")),
                ", ".join(on),
            ]
        )
    if len(rows) == 1:
        return "## Scores\n\nIt has not been scored."
    return f"## Scores\n\n{_table(rows)}\n\n`scores.json` has the whole protocol of each."


def _made_of(run: api.ExportedRun) -> str:
    packages: dict[str, list[str]] = {}
    for part in run.parts:
        packages.setdefault(f"{part['distribution']} {part['version']}", []).append(f"{part['kind']} {part['name']}")
    rows = [["package", "parts"], *([package, ", ".join(sorted(parts))] for package, parts in packages.items())]
    return f"## Made of\n\nTrained for {run.step:,} steps. `recipe.yaml` has every setting.\n\n{_table(rows)}"


def _licences(run: api.ExportedRun, license: str, data_license: str) -> str:
    data = "; ".join(f"{key}: {_options(part)}" if key else _options(part) for key, part in _sets(run))
    return "\n".join(
        [
            "## Data and licence",
            "",
            f"- Training data: {data}",
            f"- Licence of the data: {data_license or 'not stated'}",
            f"- Licence of the weights: {license or 'not stated, so that nobody is allowed to use them'}",
        ]
    )


def _limits(run: api.ExportedRun) -> str:
    return "\n".join(["## Limits", "", *(f"- {sentence}" for sentence in _limiting(run))])


def _limiting(run: api.ExportedRun) -> Iterator[str]:
    sizes = {str(part["size"]) for _, part in _sets(run) if part.get("size")}
    if sizes:
        yield f"It has seen images of {', '.join(sorted(sizes))} px and of no other size."
    yield "What is rare in its training data it does badly, what is absent not at all; what is skewed there is so here."
    if not any("nearest" in str(score.get("protocol", {}).get("metric")) for score in run.scores.values()):
        yield "Whether it repeats images of its training data has not been measured."
    few = [label for label, _, protocol in _measured(run) if protocol.get("n", LEAST) < LEAST]
    if few:
        yield f"Scores of fewer than {LEAST:,} images ({', '.join(few)}) compare with those of as many images alone."
    if run.recipe.get("batch_stats") == "batch":
        yield "Its networks use the statistics of the batch: an image depends on those that it is made together with."
    if not run.scores:
        yield "Nothing about it has been measured."


def _measured(run: api.ExportedRun) -> Iterator[tuple[str, float, Mapping[str, Any]]]:
    """Label, value and protocol of each score that has a number."""
    for label, score in run.scores.items():
        value = score.get("value")
        if isinstance(value, int | float) and math.isfinite(value):
            yield label, float(value), score.get("protocol") or {}


def _sets(run: api.ExportedRun) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The key and the part of each set of data."""
    data = run.recipe["data"]
    if isinstance(data, str):
        data = {"use": data}
    several = {"": data} if "use" in data else data
    for key, part in several.items():
        yield key, {"use": part} if isinstance(part, str) else part


def _options(part: Mapping[str, Any]) -> str:
    said = ", ".join(f"{key} {json.dumps(value)}" for key, value in part.items() if key != "use")
    return f"`{part['use']}`{f' ({said})' if said else ''}"


def _bare(name: str) -> str:
    return name.rpartition("/")[2]


def _table(lines: Sequence[Sequence[str]]) -> str:
    head, *rows = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *rows))
