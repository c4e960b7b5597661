"""Tables of recipes: what their files say, what they lack, and the AVAE paper's."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import test_data_celeba
import test_data_lsun
import test_data_svhn
import torch
from helpers.data import cifar_folder
from helpers.judge import Judge
from zoo_metrics import inception
from zoo_metrics.perceptual import TRUNKS

from zoo.compare import Request, draw_up, needs
from zoo.compare.build import Site, build_cells
from zoo.compare.plan import Cell
from zoo.compare.scores import read_scores
from zoo.registry import load_registry

TINY = {"latent": 4, "train.steps": 1, "train.batch": 4, "train.ema": 0}
TINY |= {f"slots.{slot}.width": 4 for slot in ("encoder", "decoder", "generator", "critic")}
MINE = f"""\
models: [vae, gan]
data: {{little: {{use: digits, size: 16, test: 20}}, digits: digits}}
metrics: {{mse: mse, sharp: {{use: edges, with: {{reconstruction: sample}}}}}}
seeds: 2
set: {json.dumps(TINY)}
where: [{{model: vae, data: little, set: {{latent: 5}}}}]
"""


def sets(**more: object) -> list[str]:
    settings = {**TINY, **{name.replace("__", "."): value for name, value in more.items()}}
    return [word for path, value in settings.items() for word in ("--set", f"{path}={json.dumps(value)}")]


@pytest.fixture
def mine(here) -> Path:
    (here / "mine.yaml").write_text(MINE)
    return here / "mine.yaml"


def cells(*names: str, **asked):
    plan = draw_up(Request(list(names), **asked), load_registry(()))
    return {(cell.model, cell.data, cell.seed): cell.recipe for cell in plan.cells}


# --- what a file says


def test_a_table_has_a_cell_for_each_model_data_and_seed(mine):
    found = cells(str(mine))
    assert list(found) == [(m, d, seed) for seed in (0, 1) for d in ("little", "digits") for m in ("vae", "gan")]
    assert {key: recipe.sizes.latent for key, recipe in found.items() if recipe.sizes.latent != 4} == {
        ("vae", "little", seed): 5 for seed in (0, 1)
    }
    assert found["gan", "little", 0].data.options["size"] == 16
    assert found["gan", "digits", 0].data.options["size"] == 32
    assert [part.label for part in found["vae", "digits", 0].evaluate] == ["mse", "edges", "edges_sample", "sharp"]
    assert "mse" not in [part.label for part in found["gan", "digits", 0].evaluate]


def test_the_command_line_chooses_among_what_the_table_has_and_adds_models(mine):
    found = cells(str(mine), "avae", data=["little"], seeds=1, metrics=["sharp"], overrides=["train.steps=3"])
    assert list(found) == [(model, "little", 0) for model in ("vae", "gan", "avae")]
    assert {recipe.train.steps for recipe in found.values()} == {3}
    assert found["avae", "little", 0].sizes.latent == 4


def test_recipes_beside_a_table_are_meant_by_it(here):
    (here / "tables").mkdir()
    (here / "tables/small.yaml").write_text("extends: vae\nlatent: 3\n")
    (here / "tables/mine.yaml").write_text("models: [small.yaml]\n")
    ((model, *_),) = cells("tables/mine.yaml")
    assert model == "small"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("models: []", "2:1: error: 'models' must name a recipe"),
        ("models: {a: b}", "2:1: error: 'models' must be a list of names"),
        ("models: [vae]\ndota: [digits]", "3:1: error: a table has no 'dota'; did you mean 'data'?"),
        ("models: [vae]\ndata: {c: 4}", "3:8: error: 'c' must be a name, or options in braces"),
        ("models: [vae]\ndata: {a/b: {use: digits}}", "3:8: error: 'a/b' names files"),
        ("models: [vae]\nseeds: 0", "3:1: error: 'seeds' must be a whole number, 1 or more"),
        ("models: [vae]\nset: [a]", "3:1: error: 'set' must be a mapping"),
        ("models: [vae]\nwhere: [{model: gan, set: {a: 1}}]", "3:10: error: the table has no model 'gan'"),
        ("models: [vae]\nwhere: [{model: vae}]", "3:9: error: write it as {model: NAME, data: NAME"),
        ("models: [vae]\ndata: [digit]", "there is no data 'digit'; did you mean 'digits'?"),
        ("models: [vae]\ndata: [digits", "mine.yaml:4:1: error: "),
    ],
)
def test_a_wrong_table_is_refused_with_its_place(mine, line, says, run_zoo):
    mine.write_text(f"# mine\n{line}\n")
    done = run_zoo("compare", mine)
    assert done.code == 2
    assert says in done.err


def test_a_table_is_no_recipe_and_there_is_one_at_a_time(mine, run_zoo):
    assert "this is a table of recipes: zoo compare" in run_zoo("build", mine).err
    assert "'paper-table' is a table of recipes" in run_zoo("build", "paper-table").err
    assert "one table at a time" in run_zoo("compare", mine, "paper-table").err
    assert "table 'mine' has no 'littl'; did you mean 'little'?" in run_zoo("compare", mine, "--data", "littl").err


@pytest.mark.usefixtures("here")
def test_bundled_tables_are_listed_shown_and_copied(run_zoo):
    assert "paper-table" in run_zoo("list", "table").out
    assert "models: [vae-paper" in run_zoo("show", "paper-table").out
    assert "then run: zoo compare paper-table.yaml" in run_zoo("init", "paper-table").out
    assert cells("paper-table.yaml").keys() == cells("paper-table").keys()


def test_a_dry_run_tells_the_cells_their_steps_and_builds_nothing(mine, run_zoo, here):
    done = run_zoo("compare", mine, "--dry-run", "--data", "little")
    assert done.code == 0, done.err
    assert re.search(r"^gan on little, seed 1 +1 +4 +to build$", done.out, re.MULTILINE)
    assert "4 cells, 4 to build: 4 steps." in done.out
    assert run_zoo("check", mine).out == f"{mine}: ok\n"
    assert [path.name for path in here.iterdir()] == ["mine.yaml"]


# --- docs/compare.md and docs/results.yaml

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
PAGE = BLOCK.findall((DOCS / "compare.md").read_text())
COMMANDS = [line for kind, text in PAGE if kind == "console" for line in text.splitlines() if "runs/*" not in line]


def test_the_pages_table_is_one(here):
    ((_, text),) = (block for block in PAGE if block[0] == "yaml")
    (here / "mine.yaml").write_text(text)
    found = cells("mine.yaml")
    assert [(key, found[key].sizes.latent) for key in list(found)[:4]] == [
        (("vae", "digits", 0), 64),
        (("avae", "digits", 0), 64),
        (("vae", "little", 0), 16),
        (("avae", "little", 0), 64),
    ]


@pytest.mark.parametrize("line", COMMANDS)
@pytest.mark.usefixtures("here")
def test_the_pages_commands_are_taken(line, run_zoo, monkeypatch):
    monkeypatch.setattr(needs, "problems", lambda _: {})
    program, *words = shlex.split(line)
    assert program == "zoo"
    done = run_zoo(*words, *(() if "--dry-run" in words else ("--dry-run",)))
    assert re.search(r"^\d+ cells, \d+ to build", done.out, re.MULTILINE), done.err


def test_the_results_are_two_data_sets_three_seeds_and_six_systems():
    found = cells(str(DOCS / "results.yaml"))
    data = ("sprites", "fashion-mnist")
    models = ("vae", "gan", "vaegan", "bigan", "avae", "avae-plus")
    assert list(found) == [(model, name, seed) for seed in range(3) for name in data for model in models]


# --- the AVAE paper's


def test_the_papers_table_is_as_published():
    found = cells("paper-table")
    models = ("vae-paper", "gan-paper", "vaegan-paper", "bigan-paper", "avae-paper")
    data = ("celeba", "lsun-bedroom", "svhn", "cifar10", "cifar100")
    assert list(found) == [(model, name, 0) for name in data for model in models]
    for (model, name, _), recipe in found.items():
        assert recipe.sizes.size == (64 if name in ("celeba", "lsun-bedroom") else 32)
        assert (recipe.train.steps, recipe.train.batch, recipe.batch_stats, recipe.sizes.latent) == (
            50000,
            64,
            "batch",
            100,
        )
        asked = {part.label: part.options for part in recipe.evaluate}
        assert (asked["fid"]["split"], asked["fid"]["samples"]) == ("train", 50000)
        assert model == "gan-paper" or (asked["lpips"]["net"], "mse" in asked) == ("alex", True)
        if model == "vaegan-paper":
            kl, *features = (t for row in recipe.phases[0].rows[:2] for t in row.terms if t.label != "reverse_kl_both")
            assert kl.weight(0) == {"celeba": 5, "lsun-bedroom": 4, "svhn": 20}.get(name, 10)
            tap, half = ("stage3", 0.5) if recipe.sizes.size == 64 else ("stage4", 1)
            assert {t.part.options["tap"] for t in features} == {tap}
            assert [t.weight(0) for t in features] == [half, half / 100]
    options = {name: found["avae-paper", name, 0].data.options for name in data}
    assert {k: options["celeba"][k] for k in ("crop", "split", "resize")} == {
        "crop": "paper",
        "split": "paper",
        "resize": "published",
    }
    assert (options["lsun-bedroom"]["crop"], options["lsun-bedroom"]["resize"]) == ("none", "published")
    assert options["svhn"]["train_on"] == "extra"


def test_a_dry_run_says_which_files_go_where(run_zoo, here, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(here / "torch"))
    done = run_zoo("compare", "paper-table", "--dry-run", "--json", *sets())
    assert done.code == 1
    missing = {found["what"]: found["cells"] for found in json.loads(done.out)["missing"]}
    files = "img_align_celeba.zip bedroom_train_lmdb extra_32x32.mat cifar-10-python.tar.gz cifar-100-python.tar.gz"
    for file in files.split():
        (on,) = (on for what, on in missing.items() if file in what)
        assert len(on) == 5
    for file, judged in (("pt_inception-2015-12-05-6726825d.pth", 25), ("alexnet-owt-7be5be79.pth", 20)):
        (on,) = (on for what, on in missing.items() if f"{here}/torch/hub/checkpoints/{file}" in what)
        assert len(on) == judged
    fetching = ("--data", "cifar10,svhn", *sets(data__download=True))
    assert not re.search(
        r"^- (cifar10|svhn): ", run_zoo("compare", "paper-table", "--dry-run", *fetching).out, re.MULTILINE
    )


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """The five data sets in miniature, in their publishers' formats, and random weights of the judges."""
    root = tmp_path_factory.mktemp("published")
    test_data_celeba.miniature(root)
    test_data_lsun.miniature(root)
    test_data_svhn.miniature(root)
    cifar_folder(root, "cifar10", 4)
    cifar_folder(root, "cifar100", 4)
    torch.manual_seed(0)
    layers = TRUNKS["alex"][0](weights=None).features
    torch.save({f"features.{name}": tensor for name, tensor in layers.state_dict().items()}, root / "alex.pth")
    torch.save(Judge().state_dict(), root / "inception.pth")
    return root


def from_files(published: Path, out: Path, *metrics: str, **asked: object) -> tuple[list[Cell], Site]:
    """The paper's cells as tiny as can be, and who builds them."""
    given = {"data.root": str(published), "data.check": False, **TINY, **asked}
    overrides = [f"{path}={json.dumps(value)}" for path, value in given.items()]
    registry = load_registry(())
    planned = draw_up(Request(["paper-table"], metrics=metrics, overrides=overrides, out=out), registry)
    return list(planned.cells), Site(registry, "cpu", tuple, lambda: False, lambda _: None)


def test_the_papers_table_is_built_from_the_publishers_files(published, tmp_path):
    judge = {"evaluate.lpips.pretrained": str(published / "alex.pth")}
    cells, site = from_files(published, tmp_path, "mse", "lpips", **judge)
    cells = [cell for cell in cells if cell.model != "gan-paper"]  # which reconstructs nothing
    some = [cells[4 * data + data % 4] for data in range(5)]  # each data set, each model
    assert len({cell.data for cell in some}) == 5
    assert len({cell.model for cell in some}) == 4
    members = build_cells(some, site, lambda _: None)
    assert [(member.state, member.error) for member in members] == [("done", "")] * 5
    scores = {s.column: s for member in members for s in read_scores(member.folder, member.model)}
    assert all(0 < scores[member.data, label].value < 100 for member in members for label in ("mse", "lpips"))
    found = {data: scores[data, "mse"].protocol for data, _ in scores}
    assert {name: protocol["n"] for name, protocol in found.items()} == {
        "celeba": 3,
        "lsun-bedroom": 4,  # of 5, and of 6: in whole batches of 4
        "svhn": 4,
        "cifar10": 4,
        "cifar100": 4,
    }
    assert {protocol["batch_stats"] for protocol in found.values()} == {"batch"}


def test_the_papers_fid_is_of_samples_against_training_images(published, tmp_path, monkeypatch):
    monkeypatch.setattr(inception, "network", Judge)
    fid = {"evaluate.fid.pretrained": str(published / "inception.pth"), "evaluate.fid.samples": 3}
    cells, site = from_files(published, tmp_path, "fid", **fid, **{"data.train": 5})
    (member,) = build_cells([c for c in cells if (c.model, c.data) == ("avae-paper", "svhn")], site, lambda _: None)
    assert member.error == ""
    (protocol,) = (s.protocol for s in read_scores(member.folder, member.model) if s.label == "fid")
    assert (protocol["split"], protocol["n_real"], protocol["n_samples"]) == ("train", 4, 3)
    assert protocol["feature_weights"].endswith("not the published ones")
