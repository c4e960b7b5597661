"""``make gpu`` in small, on a CPU: that it works before it matters."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from zoo.compare import Request, draw_up
from zoo.compare.needs import problems
from zoo.recipe import load_recipe
from zoo.registry import load_registry

from . import page
from .run import Bench, measure
from .shelf import SCORED, bundled
from .told import VARIABLE, results, tell

RUN = Path(__file__).with_name("run.py")


def test_in_small_every_part_leaves_its_results_its_tables_and_its_pictures(tmp_path: Path) -> None:
    command = [sys.executable, str(RUN), "--toy", "--minutes", "60", "--to", str(tmp_path)]
    assert subprocess.run(command, check=False).returncode == 0, (tmp_path / "results.jsonl").read_text()
    found: dict[str, list[dict]] = {}
    for line in results(tmp_path / "results.jsonl"):
        found.setdefault(line["part"], []).append(line)
    assert not found.keys() & {"failed", "skipped"}, found
    assert [line["outcome"] for line in found["tests"]] == ["passed"]
    assert [line["side"] for line in found["steps"]] == list(page.SIDES[:6])
    assert found["use"][0]["mflop_an_image"] > 0
    assert found["tokenizer"][0]["gflop_an_image"] > 0
    assert found["paper"][0]["steps"] == 2
    assert found["paper"][0]["scores"]["edges"] > 0
    written = (tmp_path / "benchmarks.md").read_text()
    assert "| vae-paper | 1 | 2 |" in written
    assert "1 passed, 0 failed, 0 skipped" in written
    assert (tmp_path / "paper" / "comparison-sprites.png").stat().st_size > 1000


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "results.jsonl"))
    return Bench(tmp_path, True, time.time() + 3600)


class Dying(Bench):
    """Whose processes measure a case each, and die of the second."""

    def start(self, *command: str, log: str) -> subprocess.Popen[bytes]:
        first = int(command[command.index("--first") + 1])
        code = "from gpu.told import tell\n"
        for number in range(first, 3):
            code += f"tell(part='begun', of='steps', number={number}, what='case {number}')\n"
            code += "raise SystemExit('CUDA error: an illegal access')\n" if number == 1 else ""
            code += f"tell(part='steps', case={number})\n"
        return super().start("-c", code, log=log)


def test_a_case_that_kills_its_process_costs_no_other(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(RUN.parents[1]))
    measure("steps", Dying(bench.folder, True, bench.end), bench.end)
    assert [line["case"] for line in results(bench.file, "steps")] == [0, 2]
    (failed,) = results(bench.file, "failed")
    assert failed == {"part": "failed", "of": "steps", "what": "case 1", "why": "CUDA error: an illegal access"}


def test_what_is_over_its_time_is_stopped_and_said(bench: Bench) -> None:
    begun = time.time()
    process = bench.start("-c", "import time; time.sleep(600)", log="sleeper")
    assert bench.wait(process, begun + 0.1) is None
    assert process.returncode == -15
    measure("steps", bench, begun)
    assert [line["of"] for line in results(bench.file, "skipped")] == ["steps"]


def test_a_line_that_was_cut_off_is_no_result(bench: Bench) -> None:
    tell(part="paper", recipe="avae-paper", seed=0, steps=7, scores={"mse": 0.25})
    tell(part="paper", recipe="avae-paper", seed=1, steps=7, scores={"mse": 0.75, "edges": 1.0})
    with bench.file.open("a") as file:
        file.write(json.dumps({"part": "paper", "recipe": "vae-paper"})[:-5])
    place = "<!-- table: gpu paper -->\nnone\n<!-- end -->\n"
    written = page.written(place + place.replace("paper", "shelf"), bench.file)
    assert "| avae-paper | 2 | 7 | 0.5 ± 0.35 | 1 |" in written
    assert "vae-paper |" not in written.replace("avae-paper |", "")
    assert written.endswith(place.replace("paper", "shelf"))


def test_every_bundled_recipe_can_be_built_and_scored_on_sprites(tmp_path: Path) -> None:
    """Each is planned with that data and those metrics; where it has images of another size than its own, its shapes
    are tried too: with its own, the contract tries them.
    """
    metrics = SCORED[1].split(",")
    request = Request(bundled(), data=["sprites"], seeds=1, metrics=metrics, out=tmp_path)
    cells = {cell.model: cell for cell in draw_up(request, load_registry()).cells}
    assert {"avae-plus", "vqgan-mini"} < cells.keys()
    assert all({part.label for part in cell.recipe.evaluate} & {*metrics} for cell in cells.values())
    others = [cell for name, cell in cells.items() if cell.recipe.x.shape != load_recipe(name).x.shape]
    assert len(others) > 10
    assert problems([*others, cells["avae-plus"]]) == {}
