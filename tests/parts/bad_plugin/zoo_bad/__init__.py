"""A deliberately bad plugin: part KIND ``NAME`` breaks the check NAME of its kind, and keeps every other.

``good`` parts keep them all.
"""

from __future__ import annotations

from zoo import api

NETWORKS = (
    "signature",
    "options documented",
    "options round trip",
    "output type",
    "shapes",
    "dtype",
    "device move",
    "determinism",
    "evaluation repeats",
    "evaluation keeps state",
    "batch independence",
    "inputs untouched",
    "memory layout",
    "gradients",
    "input gradients",
    "state dict round trip",
    "pickle free save",
    "no global side effect",
    "double backward",
    "example",
)
SHARED = ("signature", "options documented", "options round trip", "example", "determinism", "no global side effect")
FAULTS = {
    **dict.fromkeys(("encoder", "decoder", "generator", "critic", "module"), NETWORKS),
    "value": (*SHARED, "shapes", "inputs untouched", "dtype", "device move"),
    "term": (
        *SHARED,
        "scalar",
        "gradients",
        "inputs untouched",
        "dtype",
        "device move",
        "learn",
        "state dict round trip",
        "pickle free save",
    ),
    "prior": (
        *SHARED,
        "shapes",
        "log prob",
        "dtype",
        "device move",
        "gradients",
        "state dict round trip",
        "pickle free save",
    ),
    "data": (*SHARED, "sizes", "shapes", "dtype", "fields", "splits"),
    "metric": (
        *SHARED,
        "score",
        "streaming",
        "protocol",
        "better",
        "inputs untouched",
        "device move",
        "merging",
        "travelling",
    ),
    "optimizer": (
        *(name for name in SHARED if name != "determinism"),
        "optimizer",
        "descent",
        "state round trip",
        "pickle free save",
    ),
    "watcher": (
        *(name for name in SHARED if name != "determinism"),
        "protocol",
        "watching",
        "resuming",
        "records untouched",
        "own folder",
        "quiet",
    ),
    "augmentation": (
        *SHARED,
        "shapes",
        "range kept",
        "dtype",
        "batch independence",
        "inputs untouched",
        "device move",
    ),
    "exporter": (*(name for name in SHARED if name != "determinism"), "files", "model untouched"),
    "recipe": ("resolves", "shapes", "round trip", "training", "determinism", "state round trip", "outputs"),
}
"""Kind -> the checks that a bad part of it breaks."""

MODULES = {"value": "values", "term": "terms", "prior": "networks", "data": "data", "metric": "metrics"}
AUTHORS = ("infinite", "moody", "forgetful")
"""Terms that make bad recipes bad; checked as terms they do."""


def named(kind: str, fault: str) -> str:
    """The part that breaks a check: ``inputs-untouched``, or ``inputs_untouched`` where Python asks for its name."""
    return fault.replace(" ", "_" if kind in ("value", "term") else "-")


def _component(kind: str, fault: str) -> api.Component:
    module = "networks" if FAULTS.get(kind) is NETWORKS else MODULES.get(kind, f"{kind}s")
    target = f"zoo_bad.{module}:{kind}_{fault.replace(' ', '_')}"
    contract = "B C H W, B N -> B C H W" if kind == "module" else ""
    twice = fault == "double backward"
    fields = {"x": api.IMAGE, **({"label": api.Field("label", classes=2)} if fault == "fields" else {})}
    return api.Component(kind, named(kind, fault), target, f"bad: {fault}", contract, twice, fields=fields)


@api.hookimpl
def zoo_components() -> tuple[api.Component, ...]:
    """A part for each check of each kind, and a good one of each kind."""
    kinds = [kind for kind in FAULTS if kind != "recipe"]
    bad = [_component(kind, fault) for kind in kinds for fault in ("good", *FAULTS[kind])]
    return (*bad, *(_component("term", name) for name in AUTHORS))


@api.hookimpl
def zoo_recipes() -> tuple[api.Recipe, ...]:
    """A recipe for each check of recipes, and a good one."""
    names = [named("recipe", fault) for fault in ("good", *FAULTS["recipe"])]
    return tuple(api.Recipe(f"bad-{name}", f"zoo_bad:recipes/{name}.yaml", f"bad: {name}") for name in names)
