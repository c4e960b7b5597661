"""Packages with one fault each, and healthy ones among them, as wheels (``test_installed_plugins.py``)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from zipfile import ZipFile

from zoo.api import VERSION

API = ".".join(map(str, VERSION))
HOOK = "from zoo import api\n\n\n@api.hookimpl\ndef zoo_components():\n    return [{}]\n"
NET = "class Net:\n    def __init__(self, channels: int, *, width: int = 4) -> None: ...\n"


def providing(*components: str) -> str:
    """The source of a plugin with these components, each written as arguments."""
    return HOOK.format(", ".join(f"api.Component({component})" for component in components))


def part(module: str, kind: str = "encoder", name: str = "", target: str = "nets:Net") -> str:
    return f'{kind!r}, "{name or module.replace("_", "-")}", "{module}.{target}", "a part"'


@dataclass(frozen=True)
class Package:
    """One package: its module has the package's name.

    Args:
        source: of ``__init__.py``; without one it provides a part of its own name.
        state: what ``zoo plugins`` should say.
        says: words of its reason, or of its note.
        files: others, by their path in the module.
        entries: what stands under ``[zoo]``; the module under its own name if nothing is said.
        requires: its ``Requires-Dist``.
    """

    source: str = ""
    state: str = "broken"
    says: str = ""
    files: dict[str, str] = field(default_factory=dict)
    entries: str = ""
    requires: tuple[str, ...] = ()


def hook(body: str, name: str = "zoo_components", arguments: str = "") -> str:
    return f"from zoo import api\n\n\n@api.hookimpl\ndef {name}({arguments}):\n    {body}\n"


GOOD_RECIPE = "extends: vae\ndata: {train: 64, test: 64}\nslots: {encoder: {use: dcgan, width: 4}}\n"
GOOD_TERM = "def good_term(reconstruction):\n    return reconstruction.sum()\n"
GOOD = dedent("""
    from zoo import api


    @api.hookimpl
    def zoo_components():
        return [api.Component("term", "good_term", "zoo_good.terms:good_term", "a term"),
                api.Component("encoder", "good-net", "zoo_good.nets:Net", "a net")]


    @api.hookimpl
    def zoo_recipes():
        return [api.Recipe("good-recipe", "zoo_good:good.yaml", "a recipe")]
""")
RECIPES = """
from zoo import api


@api.hookimpl
def zoo_recipes():
    return [api.Recipe(name, f"zoo_recipes_bad:{name}.yaml", "a recipe") for name in ("lost", "torn")]
"""
VARIANTS = """
from zoo import api


@api.hookimpl
def zoo_components():
    targets = {"small": "zoo_variants.nets:Net", "big": "zoo_variants.gone:Net"}
    return [api.Component("encoder", "varied", targets["small"], "a part", by="size", variants=targets)]
"""
LOUD = "import os, subprocess\nprint('LOUD python')\nos.write(1, b'LOUD descriptor\\n')\n"
LOUD += "subprocess.run(['echo', 'LOUD child'], check=True)\n"
MARKS = "import os, pathlib\npathlib.Path(os.environ.get('ZOO_TEST_MARKER', os.devnull)).write_text('imported')\n"

PACKAGES = {
    # healthy
    "zoo-good": Package(
        GOOD,
        "ok",
        files={
            "nets.py": NET,
            "terms.py": "def good_term(reconstruction):\n    return reconstruction.sum()\n",
            "good.yaml": GOOD_RECIPE,
        },
    ),
    "zoo-torchy": Package(
        "import torch\n" + providing(part("zoo_torchy")),
        "ok",
        "s and imported torch, which every zoo command now waits for; import torch in the module of the target instead",
    ),
    "zoo-slow": Package(
        "import time\ntime.sleep(0.6)\n" + providing(part("zoo_slow")),
        "ok",
        " s, which every zoo command now waits for; do that in the module of the target instead",
    ),
    "zoo-loud": Package(LOUD + providing(part("zoo_loud")), "ok"),
    "zoo-twin-a": Package(providing(part("zoo_twin_a", name="twin"), part("zoo_twin_a", "critic", "dcgan")), "ok"),
    "zoo-twin-b": Package(providing(part("zoo_twin_b", name="twin")), "ok"),
    "zoo-evil": Package(entries="evil = zoo_dcgan", state="ok", says="its module 'zoo_dcgan' is also plugin 'dcgan'"),
    # import
    "zoo-import-error": Package("import no_such_thing", says="No module named 'no_such_thing'"),
    "zoo-syntax": Package("def :", says="importing 'zoo_syntax' failed: SyntaxError: "),
    "zoo-exit": Package("import sys\nsys.exit(3)", says="importing 'zoo_exit' called sys.exit(3)"),
    "zoo-odd": Package("class Odd(BaseException): ...\nraise Odd", says="importing 'zoo_odd' failed: Odd"),
    "zoo-hang": Package(MARKS + "while True: pass", "disabled"),  # until a test takes it back
    "zoo-marker": Package(MARKS + "1 / 0\n", says="ZeroDivisionError"),
    "zoo-needy": Package(
        "import lpips_of_nowhere",
        says="it requires 'lpips-of-nowhere>=0.1', which is not installed: pip install 'lpips-of-nowhere>=0.1'",
        requires=("lpips-of-nowhere>=0.1", "also-nowhere; python_version < '3'", "nor-this; extra == 'all'"),
    ),
    "zoo-clash": Package(
        "from packaging import of_the_future",
        says="is installed: pip install 'packaging>=999'",
        requires=("packaging>=999",),
    ),
    # hooks
    "zoo-unknown-hook": Package(
        hook("return []", "zoo_componets"), says="there is no hook 'zoo_componets'; did you mean 'zoo_components'?"
    ),
    "zoo-arguments": Package(hook("return []", arguments="config"), says="Argument(s) {'config'} are declared"),
    "zoo-raising": Package(
        hook("raise RuntimeError('no luck')"), says="zoo_components() failed: RuntimeError: no luck"
    ),
    "zoo-return": Package(hook("return 3"), says="it must return a sequence of zoo.api.Component, not an int"),
    "zoo-descriptor": Package(
        providing(part("zoo_descriptor", "encodr", "x"), part("zoo_descriptor", name="fine")),
        says="zoo_components() item 0: 'encodr' of component 'x' is not a kind; did you mean 'encoder'?",
    ),
    "zoo-twice": Package(
        providing(part("zoo_twice")),
        says="of plugin 'zoo_twice_b' is refused: plugin 'zoo_twice' of zoo-twice provides it already",
        files={"other.py": providing(part("zoo_twice"))},
        entries="zoo_twice = zoo_twice\nzoo_twice_b = zoo_twice.other",
    ),
    "zoo-getattr": Package("def __getattr__(name):\n    raise RuntimeError(name)", says="RuntimeError"),
    # targets
    "zoo-targets": Package(
        providing(
            part("zoo_targets", name="absent", target="nets:Absent"),
            part("zoo_targets", name="unimportable", target="torn:Net"),
            part("zoo_targets", name="starred", target="starred:Net"),
            part("zoo_targets", name="healthy"),
        ),
        files={
            "torn.py": "import no_such_thing\n\n\nclass Net: ...\n",
            "starred.py": "class Net:\n    def __init__(self, channels, **options): ...\n",
        },
    ),
    "zoo-variants": Package(VARIANTS, says="encoder 'varied' with size 'big': importing 'zoo_variants.gone' failed"),
    "zoo-recipes-bad": Package(RECIPES, files={"torn.yaml": "slots: {encoder\n"}),
    # versions
    "zoo-too-new": Package("ZOO_API = (9, 1)", "too new", "it needs version 9.1 of zoo.api and this is 1."),
    "zoo-too-old": Package(
        "from zoo.api import gone\nZOO_API = (0, 3)",
        "incompatible",
        f"0.3 of zoo.api and this is {API}; pip install --upgrade zoo-too-old, or ask its author",
    ),
}

DAMAGED = {
    "zoo-malformed": (Package(providing(part("zoo_malformed"))), b"[zoo]\nnonsense\nzoo_malformed = zoo_malformed\n"),
    "unrelated": (Package(), b"[console_scripts\n===\n\xff\xfe"),
}
"""Packages with an ``entry_points.txt`` that importlib.metadata cannot read, and what stands in it."""


def wheel(name: str, package: Package, folder: Path) -> Path:
    """A wheel of one package, as any build backend would write it."""
    module = name.replace("-", "_")
    info = f"{module}-1.0.dist-info"
    metadata = [
        f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0",
        *(f"Requires-Dist: {r}" for r in package.requires),
    ]
    files = {f"{module}/nets.py": NET, **{f"{module}/{path}": text for path, text in package.files.items()}}
    files |= {
        f"{module}/__init__.py": package.source,
        f"{info}/METADATA": "\n".join(metadata) + "\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[zoo]\n{package.entries or f'{module} = {module}'}\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    path = folder / f"{module}-1.0-py3-none-any.whl"
    with ZipFile(path, "w") as archive:
        for inside, text in files.items():
            archive.writestr(inside, text)
    return path
