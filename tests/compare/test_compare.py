"""``zoo compare``: what it builds, what it does not build again, its numbers, its refusals, its forms."""

from __future__ import annotations

import csv
import errno
import io
import json
import math
import os
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import zoo.compare
from zoo.cli import main
from zoo.compare import Comparison, Request
from zoo.compare.pictures import labelled, rows_of
from zoo.compare.runs import row_names
from zoo.compare.scores import Entry, Score, columns, read_scores
from zoo.compare.tables import tree
from zoo.compare.words import shown
from zoo.compare.write import as_csv, as_html, as_latex, as_markdown, as_text
from zoo.errors import Interrupted, RequestError
from zoo.registry import load_registry


def sets(*slots: str) -> list[str]:
    """Settings that make everything tiny."""
    tiny = ("data.size=16", "data.test=40", "latent=4", "noise=3", "train.steps=2", "train.batch=8", "train.ema=0")
    widths = (f"slots.{slot}.width=4" for slot in slots)
    return [word for setting in (*tiny, *widths) for word in ("--set", setting)]


PAIR = ("vae", "avae", "--data", "digits", "--seeds", "2", *sets("encoder", "decoder", "generator", "critic"))
ALONE = ("vae", "--data", "digits", *sets("encoder", "decoder"))


@dataclass(frozen=True)
class Done:
    """A command that ran."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def compare(*words: str) -> Done:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(["compare", *words])
    return Done(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> tuple[Path, Done]:
    """Two recipes on digits with two seeds, and what the command said of it."""
    out = tmp_path_factory.mktemp("compare") / "out"
    return out, compare(*PAIR, "--out", str(out))


@pytest.fixture
def out(built) -> Path:
    return built[0]


def stored(out: Path, model: str, label: str) -> list[float]:
    files = [out / "digits" / model / f"seed-{seed}" / "scores.json" for seed in (0, 1)]
    return [json.loads(file.read_text())[label]["value"] for file in files]


def score(model: str, value: float, *, label: str = "mse", data: str = "digits", seed: int = 0, **protocol) -> Score:
    measured = {"n": 10, "better": "lower", "data": {"use": data, "size": 16}, "seed": seed}
    return Score(model, data, label, seed, value, measured | protocol)


# --- building


def test_every_cell_is_a_run_and_differs_by_its_seed(out, built):
    done = built[1]
    assert done.code == 0, done.err
    runs = sorted(path.parent.relative_to(out).as_posix() for path in out.rglob("recipe.yaml"))
    assert runs == [f"digits/{model}/seed-{seed}" for model in ("avae", "vae") for seed in (0, 1)]
    assert stored(out, "vae", "mse")[0] != stored(out, "vae", "mse")[1]
    assert re.search(r"^\[1/4\] vae on digits, seed 0: done in [^,]+, about .+ left$", done.err, re.MULTILINE)
    assert re.search(r"^\[4/4\] avae on digits, seed 1: done in [^,]+$", done.err, re.MULTILINE)


def test_an_override_reaches_the_recipes_that_have_what_it_names(out):
    recipes = {model: (out / "digits" / model / "seed-0/recipe.yaml").read_text() for model in ("vae", "avae")}
    assert "generator" not in recipes["vae"]
    assert re.search(r"generator:[^:]*use: generative-zoo/dcgan\b[^}]*?\bwidth: 4\b", recipes["avae"])


def test_the_numbers_are_numpys(out):
    table = compare(*PAIR, "--out", str(out), "--json").json
    found = {(row["model"], row["metric"]): row for row in table["scores"]}
    for model, label in (("vae", "mse"), ("avae", "mse"), ("vae", "edges"), ("avae", "mse_decoded")):
        values, row = stored(out, model, label), found[model, label]
        assert row["mean"] == pytest.approx(np.mean(values), rel=1e-12)
        assert row["sd"] == pytest.approx(np.std(values, ddof=1), rel=1e-9)
        assert row["n"] == 2
    best = min(("vae", "avae"), key=lambda model: np.mean(stored(out, model, "mse")))
    assert [row["best"] for row in (found[best, "mse"], found["avae", "mse_decoded"])] == [True, False]


def test_a_second_call_builds_nothing_and_imports_no_torch(out):
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    code = "import sys; from zoo.cli import main; code = main(sys.argv[1:]); print('torch' in sys.modules, code)"
    command = [sys.executable, "-c", code, "compare", *PAIR, "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False 0"
    assert done.stderr.count("up to date") == 4
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_a_removed_cell_alone_is_built_again(built, tmp_path):
    out = Path(shutil.copytree(built[0], tmp_path / "out"))
    shutil.rmtree(out / "digits/vae/seed-1")
    done = compare(*PAIR, "--out", str(out))
    assert re.findall(r"\] (\w+) on digits, seed (\d): (done|up to date)", done.err) == [
        ("vae", "0", "up to date"),
        ("avae", "0", "up to date"),
        ("vae", "1", "done"),
        ("avae", "1", "up to date"),
    ]
    assert stored(out, "vae", "mse") == stored(built[0], "vae", "mse")


def test_an_interrupted_cell_is_gone_on_with(out, tmp_path):
    request = Request(["vae"], ["digits"], overrides=[word for word in ALONE if "=" in word], out=tmp_path / "out")
    registry = load_registry(())
    with pytest.raises(Interrupted, match=r"^\[1/1\] vae on digits, seed 0: step 1 of 2$"):
        zoo.compare.compare(request, registry, stop=lambda: True)
    said: list[str] = []
    comparison = zoo.compare.compare(request, registry, say=said.append)
    assert "[1/1] vae on digits, seed 0: continuing at step 1 of 2" in said
    assert comparison.columns[0].entries["vae"].values == {0: stored(out, "vae", "mse")[0]}


def test_a_failing_cell_stops_no_other_and_is_said_at_the_end(built, tmp_path):
    out = Path(shutil.copytree(built[0], tmp_path / "out"))
    words = ("--data", "fashion-mnist", "--set", f"data.path={tmp_path}", "--to", str(tmp_path / "table.md"))
    done = compare(*ALONE, *words, "--out", str(out))
    assert done.code == 1
    last = done.err.splitlines()[-1]
    assert last.startswith("failed: vae on fashion-mnist, seed 0: ")
    assert "apt install dataset-fashion-mnist" in last
    assert f"{stored(out, 'vae', 'mse')[0]:.4g}" in done.out
    assert "- failed: vae on fashion-mnist, seed 0: " in (tmp_path / "table.md").read_text()


def test_a_cell_that_cannot_be_read_stops_no_other(built, tmp_path, monkeypatch):
    out, real = Path(shutil.copytree(built[0], tmp_path / "out")), os.open

    def refusing(path, *args, **named):
        if str(path).endswith("digits/vae/seed-1/state/done.json"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path, *args, **named)

    monkeypatch.setattr(os, "open", refusing)
    done = compare(*PAIR, "--out", str(out), "--json")
    assert done.code == 1
    assert [c["state"] for c in done.json["cells"]] == ["up to date", "up to date", "failed", "up to date"]
    said = f"failed: vae on digits, seed 1: {out}/digits/vae/seed-1/state/done.json: cannot be read: Input/output error"
    assert said in done.err


def test_whatever_a_plugin_raises_is_a_sentence(built, tmp_path, monkeypatch):
    out = Path(shutil.copytree(built[0], tmp_path / "out"))
    for seed in (0, 1):
        (out / f"digits/vae/seed-{seed}/report.html").unlink()

    def breaking(*_, **__):
        raise ZeroDivisionError("nought")

    monkeypatch.setattr(zoo.compare.build, "build_run", breaking)
    done = compare(*PAIR, "--out", str(out), "--json")
    assert "failed: vae on digits, seed 0 and 1 other: ZeroDivisionError: nought\n" in done.err
    assert done.code == 1
    assert [(c["state"], c["error"]) for c in done.json["cells"] if c["model"] == "vae"] == [
        ("failed", "ZeroDivisionError: nought")
    ] * 2
    assert {row["model"] for row in done.json["scores"]} == {"avae"}


def test_a_metric_wanted_is_added_where_outputs_serve_it_and_a_dash_elsewhere(tmp_path):
    words = ("gan", *ALONE, "--set", "slots.generator.width=4", "--set", "slots.critic.width=4")
    done = compare(*words, "--metrics", "edges,mse", "--out", str(tmp_path / "out"))
    assert done.code == 0, done.err
    lines = [re.split(r"  +", line) for line in done.out.splitlines()[:4]]
    assert lines[0] == ["model", "digits edges →1", "digits mse ↓"]
    assert lines[2] == ["gan", "-", "-"]
    assert lines[3][0] == "vae"
    why = "reconstruction asks for 'decoder', which is neither a slot of this recipe nor a value"
    assert f"gan: no edges, mse, for {why}\n" in done.err


# --- pictures


def test_pictures_show_the_same_test_images_through_each_model(out, built):
    assert f"{out}/comparison-digits.png\n{out}/samples-digits.png" in built[1].out
    sizes = {}
    for name in ("comparison", "samples"):
        with Image.open(out / f"{name}-digits.png") as picture:
            sizes[name] = picture.size
    row = (16 + 2) * 4
    assert sizes["comparison"][1] == 4 * row - 8  # real, vae, avae's decoder, avae
    assert sizes["samples"][1] == 3 * row - 8
    assert sizes["samples"][0] > 8 * row


def test_the_rows_of_a_picture_lie_beside_it(out):
    rows = rows_of(out / "comparison-digits.png")
    assert [name for name, _ in rows] == ["real", "vae", "avae decoded", "avae"]
    with Image.open(out / "comparison-digits.png") as picture:
        for number, (_, png) in enumerate(rows):
            with Image.open(io.BytesIO(png)) as row:
                left, top = picture.width - row.width, number * (16 + 2) * 4
                shown = picture.crop((left, top, picture.width, top + row.height))
                assert np.array_equal(np.array(shown), np.array(row.convert("RGB")))


def test_pictures_without_their_rows_are_drawn_anew(built, tmp_path):
    out = Path(shutil.copytree(built[0], tmp_path / "out"))
    rows, picture = out / "pictures-digits.json", out / "samples-digits.png"
    compare(*PAIR, "--out", str(out))
    before = [file.read_bytes() for file in (rows, picture)]
    for damaged in ("", "{"):
        rows.write_text(damaged)
        assert "drawing digits: " in compare(*PAIR, "--out", str(out)).err
        assert [file.read_bytes() for file in (rows, picture)] == before


def test_names_beside_rows_are_those_that_a_font_has():
    x = torch.zeros(2, 3, 16, 16)
    with Image.open(io.BytesIO(labelled({"vae": x, "mine <ä>": x}))) as picture:
        assert picture.height == (2 * 16 + 2) * 4
        assert picture.getpixel((0, 0)) == (255, 255, 255)


def test_pictures_of_other_runs_are_drawn_anew(built, tmp_path):
    out = Path(shutil.copytree(built[0], tmp_path / "out"))
    before = (out / "comparison-digits.png").read_bytes()
    done = compare(*ALONE, "--out", str(out))
    assert "drawing digits: vae" in done.err
    assert (out / "comparison-digits.png").read_bytes() != before


def test_a_run_that_cannot_be_loaded_costs_its_row_only(built, tmp_path):
    out = Path(shutil.copytree(built[0], tmp_path / "out"))
    (out / "digits/vae/seed-0/model.safetensors").write_bytes(b"rubbish")
    done = compare(str(out / "digits"), "--out", str(tmp_path / "pictures"))
    assert done.code == 0
    assert "no pictures of vae on digits: " in done.err
    assert (tmp_path / "pictures/comparison-digits.png").is_file()


# --- runs as arguments


def test_runs_are_compared_as_they_are_seeds_in_one_row(out, built, tmp_path):
    runs = sorted(str(path.parent) for path in out.rglob("recipe.yaml"))
    done = compare(*runs, "--out", str(tmp_path))
    assert done.code == 0, done.err
    assert sorted(done.out.split("\n\n")[0].splitlines()) == sorted(built[1].out.split("\n\n")[0].splitlines())
    assert compare(str(out), "--out", str(tmp_path)).out == done.out


def test_what_a_run_went_through_is_told(out, tmp_path):
    run = shutil.copytree(sorted(out.rglob("recipe.yaml"))[0].parent, tmp_path / "longer")
    entry = {"step": 1, "recipe": "before", "changes": ["train.clip: 1.0 (it was 0.0)"]}
    (run / "history.json").write_text(json.dumps([entry]))
    said = compare(str(run), "--out", str(tmp_path / "out")).err
    assert f"{run}: from step 1 on, train.clip: 1.0 (it was 0.0)" in said


def test_a_recipe_and_runs_of_its_name_are_two_rows(built, tmp_path):
    out = Path(shutil.copytree(built[0], tmp_path / "out"))
    done = compare(str(out / "digits/vae"), *ALONE, "--out", str(out), "--json")
    assert done.json["models"] == ["vae (runs)", "vae"]


def test_runs_that_differ_in_more_than_the_seed_are_called_by_their_directory(tmp_path):
    folders = [tmp_path / name for name in ("a", "b", "c")]
    for folder, (width, seed) in zip(folders, ((4, 0), (4, 1), (8, 0)), strict=True):
        folder.mkdir()
        text = f"name: vae\nseed: {seed}\ndata: {{use: digits}}\nslots: {{encoder: {{width: {width}}}}}\n"
        (folder / "recipe.yaml").write_text(text)
    recipes = {folder: tree(folder / "recipe.yaml").plain() for folder in folders}
    assert row_names({folder: recipes[folder] for folder in folders[:2]}) == {folders[0]: "vae", folders[1]: "vae"}
    assert row_names(recipes) == {folder: str(folder) for folder in folders}


def test_an_unfinished_run_says_how_to_finish_it(out, tmp_path):
    shutil.copy(out / "digits/vae/seed-0/recipe.yaml", tmp_path)
    done = compare(str(tmp_path))
    assert done.code == 2
    assert re.search(r"has no scores\.json; finish it with: zoo build \S+\n", done.err)


def test_runs_scored_differently_are_refused_with_what_differs(built, tmp_path):
    out = Path(shutil.copytree(built[0], tmp_path / "out"))
    file = out / "digits/avae/seed-0/scores.json"
    scores = json.loads(file.read_text())
    scores["mse"]["protocol"] |= {"n": 39, "batch_stats": "batch", "weights": "ema", "seed": 7}
    file.write_text(json.dumps(scores))
    done = compare(str(out))
    assert done.code == 2
    runs = [f"{out}/digits/{name}" for name in ("avae/seed-0", "avae/seed-1", "vae/seed-0", "vae/seed-1")]
    assert f"digits mse: n is 39 in {runs[0]}, 40 in {' and '.join(runs[1:])}" in done.err
    assert f"digits mse: batch_stats is batch in {runs[0]}, running in" in done.err
    assert "zoo evaluate RUN" in done.err
    assert "weights" not in done.err


# --- what is refused before anything is built


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("vae", "vae-paper"), "batch_stats is running in vae, batch in vae-paper"),
        (("vae", "--data", "digit"), "there is no data 'digit'; did you mean 'digits'?"),
        (("vae", "--metrics", "msee"), "--metrics: there is no 'msee'; did you mean 'mse'?"),
        (("vae", "--set", "slots.encodr.width=4"), "no recipe here has 'slots.encodr'; did you mean 'encoder'?"),
        (("vae", "--seeds", "0"), "--seeds must be at least 1, not 0"),
        (("vae", "--to", "table.pdf"), "no table is written as '.pdf'; choices: .md, .csv, .tex, .html"),
        (("vaee",), "did you mean 'vae'?"),
    ],
)
def test_a_wrong_request_builds_nothing(words, says, tmp_path):
    done = compare(*words, "--out", str(tmp_path / "out"))
    assert done.code == 2
    assert says in done.err
    assert not (tmp_path / "out").exists()


def test_two_recipes_of_one_name_are_refused(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.yaml").write_text("extends: vae\n")
    done = compare(str(tmp_path / "a/mine.yaml"), str(tmp_path / "b/mine.yaml"))
    assert done.code == 2
    assert "two recipes are called 'mine'" in done.err


def test_a_directory_without_runs_and_options_without_recipes_are_refused(out, tmp_path):
    assert "holds no finished run" in compare(str(tmp_path)).err
    assert "--seeds is for recipes; runs are compared as they are" in compare(str(out), "--seeds", "3").err


# --- columns


def test_the_best_is_the_lowest_the_highest_or_the_nearest_to_one():
    for better, winner in (("lower", "a"), ("higher", "c"), ("one", "b"), ("", None), ("sideways", None)):
        scores = [score(m, v, better=better) for m, v in (("a", 0.2), ("b", 1.3), ("c", 2.0), ("d", math.nan))]
        (column,) = columns(scores)
        assert [model for model, entry in column.entries.items() if entry.best] == ([winner] if winner else [])


def test_nobody_is_best_alone_and_equals_are_best_together():
    assert not columns([score("a", 1.0)])[0].entries["a"].best
    assert not any(entry.best for entry in columns([score("a", 1.0), score("b", 1.0)])[0].entries.values())
    entries = columns([score("a", 1.0), score("b", 1.0), score("c", 2.0)])[0].entries
    assert [model for model, entry in entries.items() if entry.best] == ["a", "b"]


def test_columns_go_by_data_then_as_metrics_are_asked_for():
    scores = [score("a", 1.0, label=label, data=data) for data in ("x", "y") for label in ("mse", "fid", "edges")]
    found = [(column.data, column.label) for column in columns(scores, ["fid", "mse"])]
    assert found == [("x", "fid"), ("x", "mse"), ("y", "fid"), ("y", "mse")]


def test_what_belongs_to_a_model_may_differ_and_is_said():
    (column,) = columns([score("a", 1.0, weights="raw"), score("b", 2.0, weights="ema", seed=3)])
    assert column.apart == ("weights: raw (a); ema (b)",)
    assert column.protocol == {"n": 10, "data.use": "digits", "data.size": 16}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"n": 9}, "n is 10 in a, 9 in b"),
        ({"crop": {"side": [1, 2]}}, "crop.side is not set in a, [1, 2] in b"),
        ({"features": "vgg"}, "features is not set in a, vgg in b"),
    ],
)
def test_other_protocols_never_share_a_column(change, says):
    with pytest.raises(RequestError, match=rf"digits mse: {re.escape(says)}\. Make them equal"):
        columns([score("a", 1.0), score("b", 2.0, **change)])
    columns([score("a", 1.0), score("b", 2.0, **change, label="fid")])


def test_damaged_scores_are_a_sentence(tmp_path):
    for text in ("{", '{"mse": 3}', '{"mse": {"value": 1, "protocol": {}}}'):
        (tmp_path / "scores.json").write_text(text)
        with pytest.raises(zoo.errors.RunError, match=r"scores\.json: cannot be read as scores .*zoo evaluate"):
            read_scores(tmp_path, "vae")


# --- numbers as text


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0.04512], "0.04512"),
        ([0.0451, 0.0462], "0.04565 ± 0.00078"),
        ([12.0, 15.0], "13.5 ± 2.1"),
        ([1234.0, 1500.0], "1367 ± 1.9e+02"),
        ([3.0, 3.0], "3 ± 0"),
        ([1.0, 1.0 + 1e-12], "1.00000 ± 0.00000"),
        ([math.nan, 1.0], "nan"),
    ],
)
def test_a_number_has_the_digits_its_spread_warrants(values, text):
    assert shown(Entry(dict(enumerate(values))), len(values)) == text


def test_a_missing_seed_is_said_and_a_missing_score_is_a_dash():
    assert shown(Entry({0: 1.0, 1: 2.0}), 3) == "1.50 ± 0.71 (n=2)"
    assert shown(None, 3) == "-"


# --- forms


def test_markdown_links_its_pictures_and_bolds_the_best(built, tmp_path):
    out = Path(shutil.copytree(built[0], tmp_path / "runs/out"))
    file = tmp_path / "docs/results.md"
    assert compare(*PAIR, "--out", str(out), "--to", str(file)).code == 0
    text = file.read_text()
    links = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert links == ["../runs/out/comparison-digits.png", "../runs/out/samples-digits.png"]
    assert all((file.parent / link).is_file() for link in links)
    cells = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    assert cells[0][:3] == ["model", "digits mse ↓", "digits edges →1"]
    for column in (1, 2):
        assert sorted(row[column].startswith("**") for row in cells[2:]) == [False, True]
    assert "Mean ± standard deviation over 2 seeds. Bold: the lowest mse" in text
    assert re.search(r"^- digits: n 40, split test, images sha256:[0-9a-f]{12}, size 16, ", text, re.MULTILINE)


def test_csv_keeps_every_digit(out, tmp_path):
    file = tmp_path / "table.csv"
    compare(*PAIR, "--out", str(out), "--to", str(file), "--metrics", "mse")
    rows = list(csv.DictReader(io.StringIO(file.read_text())))
    assert [row["model"] for row in rows] == ["vae", "avae"]
    for row in rows:
        assert float(row["mean"]) == pytest.approx(np.mean(stored(out, row["model"], "mse")), rel=1e-15)
        assert (row["data"], row["metric"], row["better"], row["n"]) == ("digits", "mse", "lower", "2")


def test_latex_is_balanced_and_escaped():
    scores = [score("a_b & 5%", 0.5, label="mse_x", data=data, seed=s) for data in ("d#1", "e") for s in (0, 1)]
    scores += [score("c", 0.7, label="mse_x", data="e")]
    text = as_latex(made(scores), Path())
    table = text[text.index("\\begin") :]
    assert "a\\_b \\& 5\\% & 0.5 $\\pm$ 0 & \\textbf{0.5 $\\pm$ 0} \\\\" in table
    assert "c & - & 0.7 (n=1) \\\\" in table
    assert "\\multicolumn{1}{c}{d\\#1} & \\multicolumn{1}{c}{e}" in table
    assert table.count("{") == table.count("}")
    rows = [line for line in table.splitlines() if line.endswith("\\\\")]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in rows} == {2}


def test_html_stands_alone(out, tmp_path):
    file = tmp_path / "table.html"
    compare(*PAIR, "--out", str(out), "--to", str(file))
    text = file.read_text()
    assert text.count('src="data:image/png;base64,') == 4 + 3  # a row each
    assert not re.search(r"(?:src|href)=\"(?!data:)", text)
    assert "<strong>" in text
    assert text.count("<tr>") == text.count("</tr>") == 4


HOSTILE = {
    "markup": '<script>|&"{}\\',
    "terminal": "\x1b]0;title\x07\x1b[2J\x1b[31m\u202ea",
    "lines": "a\n\\input{/etc/passwd}\r\n| x |",
    "formula": '=HYPERLINK("http://x","y")',
    "link": "![a](http://x/y.png) *b* _c_ `d` <img src=x>",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_do_no_harm(name):
    """Those of others' runs, in whichever form they are shown."""
    hostile = HOSTILE[name]
    comparison = made([score(hostile, 1.0, label=hostile, data=hostile), score("b", 2.0, label=hostile, data=hostile)])
    assert "<script>" not in as_html(comparison, Path())
    markdown, latex, text = (form(comparison, Path()) for form in (as_markdown, as_latex, as_csv))
    shown = as_text(comparison)
    for form in (markdown, latex, text, shown):
        assert all(c.isprintable() or c == "\n" for c in form.replace("\x1b[1m", ""))
    assert len(shown.splitlines()) == len(as_text(made([score("a", 1.0), score("b", 2.0)])).splitlines())
    head, _, row = markdown.splitlines()[:3]
    assert len(re.findall(r"(?<!\\)\|", row)) == len(re.findall(r"(?<!\\)\|", head)) == 3
    assert not re.search(r"(?<!\\)[<`\[]|(?<!\\)\*(?!\*)c", markdown)
    for line in latex.splitlines():
        assert line.startswith(("%", "\\", "b &")) or line.endswith("\\\\")
    assert "\\input" not in latex[latex.index("\\begin") :]
    (_, first, _) = csv.reader(io.StringIO(text))
    assert not first[0].startswith(("=", "+", "-", "@"))
    if name in ("markup", "link"):
        assert first[:3] == [hostile] * 3


def test_json_is_one_document_and_has_everything(out, tmp_path):
    done = compare(*PAIR, "--out", str(out), "--json", "--to", str(tmp_path / "table.csv"))
    document = done.json
    assert done.code == 0
    assert document["models"] == ["vae", "avae"]
    assert [(c["model"], c["seed"], c["state"]) for c in document["cells"]] == [
        (model, seed, "up to date") for seed in (0, 1) for model in ("vae", "avae")
    ]
    assert document["columns"][0]["protocol"]["n"] == 40
    assert document["pictures"] == [str(out / f"{name}-digits.png") for name in ("comparison", "samples")]
    assert document["file"] == str(tmp_path / "table.csv")


def made(scores: list[Score]) -> Comparison:
    """A comparison of scores alone."""
    return Comparison(tuple(dict.fromkeys(s.model for s in scores)), columns(scores), (), ())
