"""``zoo ablate``: one recipe with and without something, and the differences seed by seed."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from zoo.compare.scores import Entry
from zoo.compare.tables import split, toggled
from zoo.errors import RequestError

TINY = ("data.size=16", "data.test=40", "latent=4", "train.steps=2", "train.batch=8", "train.ema=0")
SETS = [w for s in (*TINY, "slots.encoder.width=4", "slots.decoder.width=4") for w in ("--set", s)]
KL = "phases.0.encoder+decoder.kl"


@pytest.fixture(scope="module")
def ablated(tmp_path_factory):
    """A VAE with and without its KL, three seeds."""
    from zoo.cli import main

    folder = tmp_path_factory.mktemp("ablate")
    words = ["vae", "--toggle", f"{KL}=1,off", "--data", "digits", "--seeds", "3", "--metrics", "mse,edges", *SETS]
    command = ["ablate", *words, "--out", str(folder / "out")]
    assert main([*command, "--to", str(folder / "table.md")]) == 0
    return folder, command


def stored(folder: Path, row: str, label: str) -> np.ndarray:
    files = [folder / "out/digits" / row / f"seed-{seed}/scores.json" for seed in range(3)]
    return np.array([json.loads(file.read_text())[label]["value"] for file in files])


def test_a_difference_is_that_of_equal_seeds(ablated, run_zoo):
    folder, command = ablated
    done = run_zoo(*command, "--to", folder / "table.csv")
    assert done.code == 0, done.err
    assert done.err.count("up to date") == 6
    with (folder / "table.csv").open() as file:
        rows = {(row["model"], row["metric"]): row for row in csv.DictReader(file)}
    for label in ("mse", "edges"):
        less = stored(folder, "kl=off", label) - stored(folder, "kl=1", label)
        row = rows["kl=off", label]
        assert float(row["difference"]) == pytest.approx(less.mean(), rel=1e-9)
        assert float(row["difference_sd"]) == pytest.approx(less.std(ddof=1), rel=1e-9)
        assert row["difference_n"] == "3"
        assert rows["kl=1", label]["difference"] == ""


def test_rows_are_named_by_the_toggles_value_and_differences_stand_below(ablated, run_zoo):
    folder, command = ablated
    done = run_zoo(*command)
    above, below = done.out.split("Difference from 'kl=1', seed by seed; mean ± standard deviation of the differences.")
    assert [line.split("  ")[0] for line in above.splitlines()[2:4]] == ["kl=1", "kl=off"]
    assert re.search(r"^kl=off +[+-]\d\S* ± \d\S* +[+-]\d\S* ± \d\S*$", below, re.MULTILINE)
    page = (folder / "table.md").read_text()
    assert "\n\nDifference from 'kl=1', seed by seed" in page
    assert len(re.findall(r"^\| kl=off \|", page, re.MULTILINE)) == 2
    for kind, mark in ((".tex", "\\multicolumn{3}{l}{Difference from 'kl=1'"), (".html", ">Differences</h2>")):
        assert run_zoo(*command, "--to", folder / f"table{kind}").code == 0
        assert mark in (folder / f"table{kind}").read_text()


def test_seeds_of_one_alone_make_no_difference():
    entry = Entry({0: 3.0, 1: 5.0, 7: 1.0}).less(Entry({0: 1.0, 1: 2.0, 2: 9.0}))
    assert entry == Entry({0: 2.0, 1: 3.0})
    assert Entry({0: 1.0}).less(Entry({1: 1.0})) is None
    assert Entry({0: 1.0}).less(None) is None


def test_of_several_toggles_every_combination_is_a_row_and_the_first_values_come_first():
    rows = toggled("avae", ["phases.0.generator.entropy=off,on", "train.ema=0,0.9,0.99"])
    assert [row.label for row in rows][:3] == ["entropy=off, ema=0", "entropy=off, ema=0.9", "entropy=off, ema=0.99"]
    assert len(rows) == 6
    assert rows[5].overrides == ["phases.0.generator.entropy=on", "train.ema=0.99"]


def test_names_are_as_long_as_it_takes_to_tell_them_apart():
    rows = toggled("avae", ["slots.encoder.width=4,8", "slots.decoder.width=4,8"])
    assert rows[0].label == "encoder.width=4, decoder.width=4"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("off,on", ["off", "on"]),
        ("{use: dcgan, norm: batch},{use: dcgan}", ["{use: dcgan, norm: batch}", "{use: dcgan}"]),
        ("[1, 2],[3]", ["[1, 2]", "[3]"]),
        ("'a,b',\"c,d\"", ["'a,b'", '"c,d"']),
        ("", [""]),
    ],
)
def test_commas_within_brackets_and_quotes_part_nothing(text, parts):
    assert split(text) == parts
    assert ",".join(split(text)) == text


@pytest.mark.parametrize(
    ("toggle", "says"),
    [
        ("phases.0.generator.entropy=off", "write it as PATH=A,B"),
        ("phases.0.generator.entropy", "write it as PATH=A,B"),
        ("=a,b", "write it as PATH=A,B"),
        ("latent=4,4", "--toggle latent=4,4: a value is there twice"),
    ],
)
def test_a_toggle_without_two_values_is_refused(toggle, says):
    with pytest.raises(RequestError, match=re.escape(says)):
        toggled("avae", [toggle])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--toggle", "phases.0.generator.entropie=off,on"), "--toggle phases.0.generator.entropie=off,on: error: "),
        (("--toggle", "phases.0.generator.entropy=off,0"), "'entropy=off' and 'entropy=0' are the same recipe"),
        (("--toggle", "latent=4,8", "--toggle", "latent=4,9"), "'latent' is there twice; write latent=A,B,C"),
        (("--toggle", "batch_stats=running,batch"), "batch_stats is running in batch_stats=running, batch in"),
    ],
)
def test_a_wrong_toggle_builds_nothing(words, says, run_zoo, here):
    done = run_zoo("ablate", "avae", "--data", "digits", *words)
    assert done.code == 2
    assert says in done.err
    assert not list(here.iterdir())


@pytest.mark.usefixtures("here")
def test_a_toggle_of_the_training_data_is_no_other_measuring(run_zoo):
    words = ("--metrics", "mse", *SETS, "--set", "data.train=50", "--json")
    done = run_zoo("ablate", "vae", "--toggle", "data.flip=true,false", "--data", "photos", *words)
    assert done.code == 0, done.err
    table = json.loads(done.out)
    assert [row["model"] for row in table["scores"]] == ["flip=true", "flip=false"]
    assert table["baseline"] == "flip=true"
