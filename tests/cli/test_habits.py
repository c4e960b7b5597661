"""What people try first: commands by other names, short options, images where they want them, completion."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TINY, Run
from PIL import Image

import zoo
from zoo.columns import table
from zoo.types import to_pixels

pytestmark = pytest.mark.usefixtures("here")


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("train", "did you mean 'build'"),
        ("fit", "did you mean 'build'"),
        ("biuld", "did you mean 'build'"),
        ("trian", "did you mean 'build'"),
        ("run", "did you mean 'build'"),
        ("generate", "did you mean 'sample'"),
        ("qqq", "choices: ablate, audit, bench, build, "),
    ],
)
def test_a_command_by_another_name(said: str, meant: str, run_zoo: Run) -> None:
    done = run_zoo(said, "avae")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"zoo: error: there is no command '{said}'; {meant}")
    assert len(done.errors) == 1


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (("build", "avae", "--setp", "x=1"), "zoo build does not take '--setp'; did you mean '--set'?"),
        (("list", "--jsn=1"), "zoo list does not take '--jsn'; did you mean '--json'?"),
        (("build", "avae", "vae"), "zoo build does not take 'vae'; see zoo build --help"),
        (("--qqq",), "zoo does not take '--qqq'; see zoo --help"),
    ],
)
def test_what_a_command_does_not_take(said: tuple[str, ...], meant: str, run_zoo: Run) -> None:
    done = run_zoo(*said)
    assert (done.code, done.out, done.err) == (2, "", f"zoo: error: {meant}\n")


def test_alone_it_shows_its_commands(run_zoo: Run) -> None:
    done = run_zoo()
    assert done.code == 0
    assert all(f"    {name}" in done.out for name in ("build", "sample", "compare", "list"))


def test_short_options_are_overrides(run_zoo: Run) -> None:
    short = ("--seed", 7, "--steps", 33, "--batch", 5, "--name", "mine")
    sets = ("--set", "seed=7", "--set", "train.steps=33", "--set", "train.batch=5", "--set", "name=mine")
    texts = []
    for number, options in enumerate((short, sets)):
        small = ("--set", "data={size: 16, train: 8, test: 8}", "--stop-after", "assemble", "--out", number)
        assert run_zoo("build", "vae", *options, *small).code == 0
        texts.append((Path(f"{number}") / "recipe.yaml").read_text())
    assert texts[0] == texts[1]
    assert "seed: 7\n" in texts[0]
    assert "steps: 33," in texts[0] or "steps: 33\n" in texts[0]
    assert "--set train.steps=-1: error: " in run_zoo("check", "vae", "--steps", "-1").err


# -- images where they are wanted ------------------------------------------------------------------------------


def test_samples_in_every_form(finished: Path, run_zoo: Run) -> None:
    expected = zoo.load(finished).sample(5, seed=3)
    for to in ("many", "one.png", "one.jpg", "all.npz", "all.pt"):
        assert run_zoo("sample", finished, "-n", 5, "--seed", 3, "--to", to).out == f"{to}\n"
    assert torch.equal(torch.load("all.pt"), expected)
    pixels = to_pixels(expected).movedim(1, -1).numpy()
    assert np.array_equal(np.load("all.npz")["images"], pixels)
    files = sorted(Path("many").iterdir())
    assert [file.name for file in files] == [f"{number:05d}.png" for number in range(5)]
    assert all(np.array_equal(np.asarray(Image.open(file)), own) for file, own in zip(files, pixels, strict=True))
    with Image.open("one.png") as png, Image.open("one.jpg") as jpeg:
        assert png.size == jpeg.size
        assert (png.format, jpeg.format) == ("PNG", "JPEG")


def test_many_samples_are_those_of_one_call(finished: Path, run_zoo: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.report.figures.MOST", 4)
    run_zoo("sample", finished, "-n", 10, "--to", "all.pt")
    torch.testing.assert_close(torch.load("all.pt"), zoo.load(finished).sample(10, seed=0))


def test_where_no_image_can_go(finished: Path, run_zoo: Run) -> None:
    done = run_zoo("sample", finished, "--to", "x.gif")
    assert (done.code, done.err.partition(";")[0]) == (2, "zoo: error: --to x.gif: nothing is written as '.gif'")
    Path("file").touch()
    done = run_zoo("sample", finished, "--to", "file/below")
    assert (done.code, done.err) == (2, "zoo: error: --to file/below: cannot be made: Not a directory\n")


def test_reconstructions_and_paths_of_ones_own_images(finished: Path, run_zoo: Run) -> None:
    pixels = torch.randint(0, 256, (2, 8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for number, image in enumerate(pixels.numpy()):
        Image.fromarray(image).save(f"{number}.png")
    model, x = zoo.load(finished), pixels.movedim(-1, 1) / 127.5 - 1
    assert run_zoo("reconstruct", finished, "0.png", "1.png", "--to", "again.pt").code == 0
    torch.testing.assert_close(torch.load("again.pt"), model.reconstruct(x, seed=0))
    assert run_zoo("interpolate", finished, "0.png", "1.png", "--steps", 3, "--to", "path.pt").code == 0
    first, last = model.encode(x).mean
    (noise,) = model.compute("noise", batch=1, seed=0)
    codes = torch.stack([first, (first + last) / 2, last])
    torch.testing.assert_close(torch.load("path.pt"), model.sample(z=codes, noise=noise.expand(3, -1)))
    done = run_zoo("interpolate", finished, "0.png")
    assert (done.code, done.err) == (2, "zoo: error: a path goes from one image to another, and here are 1; give two\n")
    run_zoo("interpolate", finished, "-n", 2, "--steps", 3, "--to", "paths")
    assert len([*Path("paths").iterdir()]) == 6


# -- where it runs -----------------------------------------------------------------------------------------------


def test_a_number_of_processes_that_a_cluster_left(run_zoo: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """``WORLD_SIZE`` alone starts nothing: whoever starts processes says where they meet, too."""
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    Path("tiny.yaml").write_text(TINY)
    for value, said in (("", False), ("8", True)):
        monkeypatch.setenv("WORLD_SIZE", value)
        done = run_zoo("build", "tiny.yaml", "--stop-after", "assemble", "--out", f"run{value}")
        assert done.code == 0
        told = "WORLD_SIZE=8, but no RANK or MASTER_ADDR or MASTER_PORT: this process trains alone"
        assert (told in done.err) == said


def test_a_system_that_says_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows has no ``sysconf``, no glibc and no ``resource``."""
    from zoo.bench.bench import _largest_resident_set
    from zoo.machine.device import memory
    from zoo.machine.process import keep_freed_memory

    assert _largest_resident_set() > 0
    with monkeypatch.context() as patch:
        patch.delattr("os.sysconf")
        patch.setattr("os.name", "nt")
        patch.setitem(sys.modules, "resource", None)
        assert memory() == sys.maxsize
        assert keep_freed_memory() is False
        assert _largest_resident_set() == 0


# -- terminals ---------------------------------------------------------------------------------------------------


def test_tables_heed_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [["name", "what"], ["a", "word " * 30], ["b", "short"]]
    monkeypatch.setenv("COLUMNS", "60")
    assert max(map(len, table(rows).splitlines())) > 100  # into a pipe: a row a line
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    lines = table(rows).splitlines()
    assert max(map(len, lines)) <= 60
    assert lines[1] == "----  " + "-" * len(lines[1][6:])
    assert [line[:4].strip() for line in lines[2:]] == ["a", "", "", "b"]
    assert " ".join(line[6:] for line in lines[2:5]).split() == ["word"] * 30


def test_bash_completes(run_zoo: Run) -> None:
    script = run_zoo("completion").out
    words = [("bu", 1), ("--stop", 2), ("avae-p", 2)]
    tries = [
        f"COMP_WORDS=(zoo {'build ' * (at > 1)}{word}); COMP_CWORD={at}; _zoo; echo ${{COMPREPLY[@]}}"
        for word, at in words
    ]
    done = subprocess.run(["bash", "-c", "\n".join([script, *tries])], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["build", "--stop-after", "avae-paper avae-plus"]


def test_show_takes_a_kind_and_a_name(run_zoo: Run) -> None:
    assert run_zoo("show", "critic/dcgan").out == run_zoo("show", "critic:dcgan").out
    assert run_zoo("show", "critic/dcgan").out.startswith("critic generative-zoo/dcgan")
    assert "did you mean 'dcgan'" in run_zoo("show", "critic/dcgna").err
