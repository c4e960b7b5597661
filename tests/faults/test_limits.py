"""Builds that are short of disk, of files, of memory: a sentence, nothing torn, and afterwards the same result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.forks import Forks, Life

from faults.kills import Undisturbed, undisturbed
from faults.runs import VAE, differing, litter, result

KB = 1024


@pytest.fixture(scope="module")
def whole(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """A build that lacks nothing."""
    return undisturbed(forks, tmp_path_factory.mktemp("whole"), "tiny", VAE)


@pytest.fixture
def disk(forks: Forks, tmp_path: Path) -> Path:
    """A place for small disks."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if refused := forks.mount(folder, "size=64m"):
        pytest.skip(f"no tmpfs can be mounted here: {refused}")
    return folder


def check_sentence(life: Life, *words: str) -> None:
    """It failed, and says so as a person would."""
    assert life.code in (1, 2), life.log
    said = [line for line in life.log.splitlines() if line.startswith("zoo: error: ")]
    assert len(said) == 1, life.log
    assert "Traceback" not in life.log
    assert [word for word in words if word not in said[0]] == [], said[0]


def goes_on(forks: Forks, whole: Undisturbed, run: Path, seen: Path) -> None:
    """The same command, short of nothing, finishes."""
    life = forks.zoo("build", whole.file, "--out", run, cwd=whole.file.parent)
    assert life.code == 0, life.log
    assert differing(whole.result, result(seen)) == litter(seen) == []


@pytest.mark.promise("A full disk (a real one): a sentence names the file and the cure; with space, the build goes on.")
def test_a_full_disk(
    forks: Forks, whole: Undisturbed, disk: Path, record_property: Callable[[str, object], None]
) -> None:
    sizes, failed = [8 * KB * 3**power for power in range(5)], 0
    for size in sizes:
        run = disk / str(size)
        forks.seen(run).mkdir()
        assert not forks.mount(run, f"size={size}")
        life = forks.zoo("build", whole.file, "--out", run, cwd=whole.file.parent)
        if life.code != 0:
            check_sentence(life, str(run), "No space left on device", "free some space")
            failed += 1
        assert not forks.mount(run, "size=64m", again=True)
        goes_on(forks, whole, run, forks.seen(run))
    record_property("cases", failed)
    assert failed >= 3


@pytest.mark.promise("A file system that is read-only: a sentence before any work is done.")
def test_a_read_only_disk(forks: Forks, whole: Undisturbed, disk: Path) -> None:
    assert not forks.mount(disk, "size=64m", again=True, read_only=True)
    life = forks.zoo("build", whole.file, "--out", disk / "run", cwd=whole.file.parent)
    check_sentence(life, "Read-only file system", "choose another --out")
    assert "assembling" not in life.log


@pytest.mark.promise("Limits of file size and of open files: a sentence, and without them the build goes on.")
@pytest.mark.parametrize(
    ("limit", "values"),
    [
        ("RLIMIT_FSIZE", [2 * KB, 8 * KB, 40 * KB]),
        ("RLIMIT_NOFILE", [4, 6, 8, 12]),
    ],
)
def test_limits(
    forks: Forks,
    whole: Undisturbed,
    tmp_path: Path,
    limit: str,
    values: list[int],
    record_property: Callable[[str, object], None],
) -> None:
    failed = 0
    for value in values:
        run = tmp_path / str(value)
        life = forks.zoo("build", whole.file, "--out", run, cwd=whole.file.parent, limits={limit: value})
        if life.code != 0:
            check_sentence(life)
            failed += 1
        goes_on(forks, whole, run, run)
    record_property("cases", failed)
    assert failed >= 3
