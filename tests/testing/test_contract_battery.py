"""zoo.testing: for each check of each kind a bad part fails it, and no other check of its own.

The bad plugin, ``tests/parts/bad_plugin``, is found as an installed package is.
"""

from __future__ import annotations

import ctypes
import gc
import os
import random
import runpy
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from zoo.api import KINDS
from zoo.registry import RecipeEntry, Registry, clear_cache
from zoo.testing import Check, ContractError, checks, collect, plugins, training, values
from zoo.testing.__main__ import main as without_pytest
from zoo.testing.core import Subject
from zoo.testing.traces import changed, put_back, taken, traces

BAD = Path(__file__).parents[1] / "parts" / "bad_plugin"
MAPS = Path(__file__).parents[1] / "parts" / "map_parts.py"
BAD_MODULE = runpy.run_path(str(BAD / "zoo_bad" / "__init__.py"))
FAULTS, part_of = BAD_MODULE["FAULTS"], BAD_MODULE["named"]
pytest_plugins = ["pytester"]

SUBJECTS = {**collect.KINDS, "term": values.LearningTerm, "recipe": training.Shipped}
"""Kind -> what its parts are checked as, with every check that one may have."""


def named(*subjects: type[Subject]) -> set[str]:
    """The checks that there may be of some."""
    return {name.replace("_", " ") for subject in subjects for name in subject.names()}


def install(folder: Path, name: str, **files: str) -> None:
    """Writes what pip leaves behind of a package with one plugin, its module named like it."""
    module = name.replace("-", "_")
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[zoo]\n{module} = {module}\n")
    for file, text in files.items():
        path = folder / module / f"{file}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Forgets what a test installed or wrote."""
    before = set(sys.modules)
    yield
    clear_cache()
    for name in set(sys.modules) - before:
        if name.split("_")[0] in ("my", "zoo") and not name.startswith("zoo_bad"):
            del sys.modules[name]


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Check, ...]]:
    """Every check of the bad plugin."""
    folder = tmp_path_factory.mktemp("bad")
    install(folder, "zoo-bad")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BAD))
        patch.syspath_prepend(str(folder))
        yield checks("zoo-bad")


def at_once(found: tuple[Check, ...]) -> tuple[Check, ...]:
    """The checks that need no process of their own with torch: those of a good file pass."""
    return tuple(check for check in found if check.name != "clean targets")


@pytest.fixture
def clean_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process is started to import a file of a test that is of something else: it would be found clean."""
    clean = {"module": "", "error": "", "printed": "", "changed": [], "torch": False, "seconds": 0.0}
    monkeypatch.setattr(plugins, "imported", lambda _, modules: [clean for _ in modules])


@pytest.fixture
def few_recipes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part is tried in the smallest recipe that takes it: of these, instead of all that are installed."""
    everything = Registry.recipes

    def few(*asked: object) -> tuple[RecipeEntry, ...]:
        return tuple(one for one in everything(*asked) if one.name in ("avae", "gan", "vae"))

    monkeypatch.setattr(Registry, "recipes", few)


def failing(found: tuple[Check, ...]) -> dict[str, str]:
    """Checks that fail -> what they say."""
    told = {}
    for check in found:
        try:
            check.run()
        except ContractError as error:
            told[check.name] = str(error)
    return told


@pytest.mark.parametrize(("kind", "fault"), [(kind, fault) for kind, faults in FAULTS.items() for fault in faults])
def test_a_bad_part_fails_its_check_and_no_other(contract: tuple[Check, ...], kind: str, fault: str) -> None:
    name = f"bad-{part_of(kind, fault)}" if kind == "recipe" else part_of(kind, fault)
    told = failing(tuple(check for check in contract if (check.kind, check.component) == (kind, name)))
    assert list(told) == [fault], told
    assert f"{kind} '{name}'" in told[fault]
    assert len(told[fault]) > 60, "a sentence that teaches"


@pytest.mark.parametrize("kind", [*KINDS, "recipe"])
def test_a_good_part_fails_none(contract: tuple[Check, ...], kind: str) -> None:
    name = "bad-good" if kind == "recipe" else "good"
    mine = tuple(check for check in contract if (check.kind, check.component) == (kind, name))
    assert len(mine) > 5
    assert failing(mine) == {}


def test_no_check_is_without_its_bad_part() -> None:
    expected = {kind: named(cls) | ({"example"} if kind in KINDS else set()) for kind, cls in SUBJECTS.items()}
    assert {kind: set(faults) for kind, faults in FAULTS.items()} == expected
    assert set(SUBJECTS) == {*KINDS, "recipe"}


def test_a_strangers_plugin_keeps_the_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "zoo-stranger")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "parts" / "stranger"))
    found = checks("zoo-stranger", options={"prior/codebook": [{"entries": 16}]})
    assert len({check.component for check in found if check.kind == "recipe"}) == 3
    assert failing(found) == {}


def test_networks_of_maps_and_tokens_and_modules_keep_theirs() -> None:
    networks = [check for check in checks(MAPS) if check.kind in ("encoder", "decoder", "module")]
    assert {"map", "tokens", "gate", "judge"} <= {check.component for check in networks}
    assert failing(tuple(networks)) == {}


COUNTED = """
from torch import nn
from zoo import api


class Shaded(nn.Module):
    def __init__(self, latent: int):
        super().__init__()
        self.shades, self.of = nn.Embedding(2, latent), nn.Linear(latent, latent)

    def forward(self, z, label):
        return self.of(z + self.shades(label))


class Laid(nn.Module):
    def __init__(self, channels: int, classes: int):
        super().__init__()
        self.shades, self.of = nn.Embedding(classes, channels), nn.Conv2d(channels, channels, 1)

    def forward(self, x, where):
        return self.of(x + self.shades(where).movedim(-1, 1))


@api.hookimpl
def zoo_components():
    laid, shaded = f"{__name__}:Laid", f"{__name__}:Shaded"
    return [
        api.Component("module", "laid", laid, "of a mask, whatever it is called", "B C H W, B H W -> B C H W"),
        api.Component("module", "shaded", shaded, "of what is called as a label is", "B latent, B -> B latent"),
    ]
"""


def test_networks_of_labels_and_masks_are_handed_classes(tmp_path: Path) -> None:
    (tmp_path / "counted_parts.py").write_text(COUNTED)
    networks = [check for check in checks(tmp_path / "counted_parts.py") if check.kind == "module"]
    assert {check.component for check in networks} == {"laid", "shaded"}
    assert failing(tuple(networks)) == {}


# -- plugins as a whole --------------------------------------------------------------------------------------

GOOD = """
from zoo import api

@api.hookimpl
def zoo_components():
    return [api.Component("term", "light", f"{__name__}.parts:light", "light")]
"""
PARTS = """
def light(reconstruction):
    "Light."
    return reconstruction.mean()
"""
WHOLE = {
    "provides": {"__init__": GOOD.partition("return")[0] + "return []", "parts": PARTS},
    "clean targets": {"__init__": GOOD, "parts": f"import torch; torch.set_num_threads(7)\n{PARTS}"},
    "state": {"__init__": GOOD.replace("return [", "return [3, "), "parts": PARTS},
    "no torch": {"__init__": f"import torch\n{GOOD}", "parts": PARTS},
    "import time": {"__init__": f"import time; time.sleep(0.5)\n{GOOD}", "parts": PARTS},
    "quiet import": {"__init__": f"print('hello')\n{GOOD}", "parts": PARTS},
    "clean import": {"__init__": f"import sys; sys.path.append('/here')\n{GOOD}", "parts": PARTS},
}


@pytest.mark.usefixtures("few_recipes")
@pytest.mark.parametrize("fault", WHOLE)
def test_a_bad_plugin_fails_its_check_and_no_other(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    name = f"zoo-{fault.replace(' ', '-')}"
    install(tmp_path, name, **WHOLE[fault])
    monkeypatch.syspath_prepend(str(tmp_path))
    with put_back():
        found = tuple(check for check in checks(name) if check.kind == "plugin")
        told = failing(found if fault == "clean targets" else at_once(found))
    assert list(told) == [fault], told
    capfd.readouterr()


def test_no_check_of_plugins_is_without_its_bad_one() -> None:
    assert set(WHOLE) == named(plugins.Package, plugins.Entrance)


def test_a_package_that_is_not_installed_fails_and_says_so() -> None:
    [why] = failing(checks("zoo-nowhere")).values()
    assert why.startswith("'zoo-nowhere' is not installed here, so nothing of it was checked: pip install -e .")


def test_a_package_without_an_entry_point_fails_and_says_so() -> None:
    [why] = failing(checks("pyyaml")).values()
    assert "brings no plugin: it has nothing under [project.entry-points.zoo]" in why


@pytest.mark.usefixtures("few_recipes")
def test_a_plugin_that_is_broken_fails_and_says_why(tmp_path: Path) -> None:
    file = tmp_path / "my_broken.py"
    file.write_text("import nothing_of_that_name\n")
    told = failing(at_once(checks(file)))
    assert set(told) == {"provides", "state"}
    assert all("No module named 'nothing_of_that_name'" in why for why in told.values())


@pytest.mark.usefixtures("few_recipes")
def test_a_file_is_checked_by_its_path(tmp_path: Path) -> None:
    file = tmp_path / "my_light.py"
    file.write_text(GOOD.replace("{__name__}.parts", "{__name__}") + PARTS)
    found = checks(file)
    assert {check.kind for check in found} == {"plugin", "term"}
    assert failing(found) == {}


# -- settings of the process ---------------------------------------------------------------------------------

SETTINGS = {
    "torch.backends.cudnn.benchmark": "import torch; torch.backends.cudnn.benchmark = True",
    "torch's number of threads": "import torch; torch.set_num_threads(torch.get_num_threads() + 1)",
    "torch's default dtype": "import torch; torch.set_default_dtype(torch.float64)",
    "the garbage collector": "import gc; gc.freeze()",
    "malloc's options": "import ctypes; ctypes.CDLL(None).mallopt(-1, 1 << 30)",
}
ONCE = """
class Once:
    "Light, and a setting of the process the first time it is made."
    made = False

    def __init__(self):
        if not Once.made:
            Once.made = True
            {setting}

    def forward(self, {needs}):
        return {needs}
"""


@pytest.mark.usefixtures("few_recipes")
@pytest.mark.parametrize(
    ("name", "kind", "needs"),
    [*((name, "augmentation", "images") for name in SETTINGS), (next(iter(SETTINGS)), "value", "reconstruction")],
)
def test_a_setting_that_is_made_but_once_is_seen(tmp_path: Path, name: str, kind: str, needs: str) -> None:
    file = tmp_path / "my_once.py"
    part = f'[api.Component("{kind}", "once", f"{{__name__}}:Once", "light")]'
    file.write_text(GOOD.partition("[api")[0] + part + "\n" + ONCE.format(setting=SETTINGS[name], needs=needs))
    told = failing(at_once(checks(file)))
    assert list(told) == ["no global side effect"]
    assert f"{kind} 'once' changes {name} of the whole process when it is first made and used" in told.popitem()[1]


# -- what is asked of it -------------------------------------------------------------------------------------


def asked(tmp_path: Path, **how: object) -> dict[str, str]:
    """Checks of a good file under arguments; those that fail."""
    file = tmp_path / "my_asked.py"
    file.write_text(GOOD.replace("{__name__}.parts", "{__name__}") + PARTS)
    return failing(at_once(checks(file, **how)))  # type: ignore[arg-type]


@pytest.mark.usefixtures("few_recipes")
@pytest.mark.parametrize(
    ("argument", "value"), [("options", [{}]), ("recipes", "vae"), ("sizes", [32])], ids=lambda value: str(value)
)
def test_a_key_that_names_no_part_fails(tmp_path: Path, argument: str, value: object) -> None:
    told = asked(tmp_path, **{argument: {"term/lihgt": value}})
    assert told == {
        argument: f"{argument} has 'term/lihgt', which 'my_asked' does not bring; did you mean 'term/light'?"
    }


@pytest.mark.usefixtures("few_recipes")
def test_an_example_that_is_wrong_fails(tmp_path: Path) -> None:
    told = asked(tmp_path, options={"term/light": [{"power": 2}]})
    assert told["example"].startswith("term 'light' has no option 'power'")


@pytest.mark.usefixtures("few_recipes")
def test_a_recipe_that_is_given_is_the_one_that_is_used(tmp_path: Path) -> None:
    told = asked(tmp_path, recipes={"term/light": "gan"})
    assert "term 'light' fits into no recipe that is installed" in told["scalar"]
    assert "neither a slot of this recipe nor a value" in told["scalar"]


@pytest.mark.usefixtures("few_recipes")
def test_each_variant_and_each_example_is_a_case_of_its_own() -> None:
    mine = checks("generative-zoo")
    assert {c.example for c in mine if (c.kind, c.component) == ("term", "entropy")} == {
        f"estimator={name}" for name in ("knn", "knn_batch", "score", "mutual_information")
    }
    some = checks("generative-zoo", options={"encoder/dcgan": [{"width": 4}, {"width": 4, "norm": "none"}]})
    ids = {check.id for check in some if check.component == "dcgan" and check.kind == "encoder"}
    assert {"encoder/dcgan[width=4]::shapes", "encoder/dcgan[width=4, norm=none]::shapes"} <= ids


# -- as pytest's tests ---------------------------------------------------------------------------------------

TESTS = """
from pathlib import Path
from zoo.testing import contract_tests

test_contract = contract_tests({plugin}, {how})
"""
DIM = PARTS.replace("reconstruction.mean()", "reconstruction.float().mean()")


@pytest.fixture
def run(pytester: pytest.Pytester, clean_imports: None, few_recipes: None) -> Callable[..., pytest.RunResult]:  # noqa: ARG001
    """pytest on a file with the one line."""

    def run(how: str = "", parts: str = PARTS) -> pytest.RunResult:
        pytester.makepyfile(my_tested=GOOD.replace("{__name__}.parts", "{__name__}") + parts)
        pytester.makepyfile(test_mine=TESTS.format(plugin="Path('my_tested.py')", how=how))
        return pytester.runpytest_inprocess("-p", "no:cacheprovider")

    return run


Pytest = Callable[..., pytest.RunResult]


def test_the_one_line_passes_and_counts(run: Pytest) -> None:
    result = run()
    result.assert_outcomes(passed=15)
    result.stdout.fnmatch_lines(["zoo.testing: 15 checks of my_tested (plugin 5, term 10)"])


def test_a_failure_is_a_sentence(run: Pytest) -> None:
    result = run(parts=DIM)
    result.assert_outcomes(passed=14, failed=1)
    result.stdout.fnmatch_lines(
        ["*term/light::dtype*", "term 'light' gives torch.float32 in a model of float64; make new tensors like *"]
    )


def raising() -> None:
    {}["gone"]


@pytest.fixture
def same_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three checks that one line of a part makes fail, and one that fails by itself."""
    made = [Check("term", "light", name, raising) for name in ("first", "second", "third")]
    made.append(Check("term", "light", "alone", lambda: [][0]))
    for module in ("collect", "__main__"):
        monkeypatch.setattr(f"zoo.testing.{module}.checks", lambda *_, **__: tuple(made))


@pytest.mark.usefixtures("same_cause")
def test_what_several_checks_fail_by_is_told_once(pytester: pytest.Pytester) -> None:
    def outcomes(expected: str) -> dict[str, int]:
        pytester.makepyfile(test_mine=TESTS.format(plugin="'x'", how=f"expected_failures={expected}"))
        return pytester.runpytest_inprocess("-p", "no:cacheprovider").parseoutcomes()

    assert outcomes("{}") == {"failed": 2, "skipped": 2}
    assert outcomes("{'term/light::first': 'it is gone'}") == {"failed": 2, "skipped": 1, "xfailed": 1}


@pytest.mark.usefixtures("same_cause")
def test_without_pytest_it_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert without_pytest("x") == 1
    out = capsys.readouterr().out
    assert (out.count("raised KeyError"), out.count("raised IndexError")) == (1, 1)
    assert "term/light::first: for the same cause 2 more checks fail: second, third\n" in out


def test_an_expected_failure_is_strict_and_has_a_check_and_a_reason(run: Pytest) -> None:
    expected = {"dtype": "float32 will do", "scalar": "why not", "dtyp": "a slip", "device move": " "}
    result = run(f"expected_failures={{f'term/light::{{k}}': v for k, v in {expected}.items()}}", DIM)
    result.assert_outcomes(passed=13, xfailed=1, failed=3)
    result.stdout.fnmatch_lines(
        [
            "*[[]XPASS(strict)] why not*",
            "*there is no such check; did you mean 'term/light::dtype'?*",
            "*expected_failures gives no reason for 'term/light::device move'; say why it cannot be kept",
        ]
    )


def test_nothing_to_check_fails(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_mine=TESTS.format(plugin="'zoo-nowhere'", how=""))
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*'zoo-nowhere' is not installed here*", "zoo.testing: 2 checks of zoo-nowhere*"])


@pytest.mark.usefixtures("clean_imports", "few_recipes")
@pytest.mark.parametrize(("parts", "code"), [(PARTS, 0), (DIM, 1)])
def test_without_pytest_it_prints_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], parts: str, code: int
) -> None:
    file = tmp_path / "my_table.py"
    file.write_text(GOOD.replace("{__name__}.parts", "{__name__}") + parts)
    assert without_pytest(str(file)) == code
    assert capsys.readouterr().out.split()[-3:] == ["term", str(10 - code), str(code)]


# -- traces --------------------------------------------------------------------------------------------------

CHANGES: dict[str, Callable[[], object]] = {
    "os.environ": lambda: os.environ.update(ZOO_TRACE="1"),
    "the working directory": lambda: os.chdir("/"),
    "sys.path": lambda: sys.path.append("/nowhere"),
    "sys.stdout": lambda: setattr(sys, "stdout", sys.__stderr__),
    "sys.stderr": lambda: setattr(sys, "stderr", sys.__stdout__),
    "the warnings' filters": lambda: warnings.simplefilter("ignore", append=True),
    "the random numbers of 'random'": random.random,
    "the random numbers of numpy": lambda: np.random.random(),
    "torch's random numbers": lambda: torch.rand(1),
    "torch's default dtype": lambda: torch.set_default_dtype(torch.float64),
    "torch's number of threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "torch's grad mode": lambda: torch.set_grad_enabled(False),
    "torch's deterministic mode": lambda: torch.use_deterministic_algorithms(True),
    "torch's matmul precision": lambda: torch.set_float32_matmul_precision("medium"),
    "torch.backends.cudnn.enabled": lambda: setattr(torch.backends.cudnn, "enabled", False),
    "torch.backends.cudnn.benchmark": lambda: setattr(torch.backends.cudnn, "benchmark", True),
    "torch.backends.cudnn.deterministic": lambda: setattr(torch.backends.cudnn, "deterministic", True),
    "torch's default device": lambda: torch.set_default_device("meta"),
    "torch's anomaly mode": lambda: torch.autograd.set_detect_anomaly(True),
    "the garbage collector": gc.freeze,
    "malloc's options": lambda: ctypes.CDLL(None).mallopt,
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_belongs_to_the_process_is_seen_and_put_back(name: str) -> None:
    before = taken()
    with put_back():
        CHANGES[name]()
        assert name in changed(before)
    assert changed(before) == []


def test_every_trace_is_tried() -> None:
    assert set(CHANGES) == set(traces())
