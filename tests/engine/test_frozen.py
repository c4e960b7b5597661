"""What asks for no gradient when a training starts stays as it is, whoever said so and whichever object it is."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from conftest import Run
from helpers.engine import differing, pixels, played, slots_of, small, snapshot
from torch import nn

import zoo
from zoo.model.model import Model


def moved(model: Model, steps: int = 3) -> set[str]:
    """The names of all that a training moves, in which every slot's statistics would move too."""
    before = snapshot(model)
    played(model, steps)
    return set(differing(before, snapshot(model)))


def test_a_frozen_player_stays_as_it_is_and_the_others_learn_as_if_it_were_none() -> None:
    model = small("vae")
    model.encoder.requires_grad_(False)
    assert slots_of([*moved(model)]) == {"decoder"}
    alone = small("vae", phases=[{"decoder": {"reconstruction": 1.0}}])
    moved(alone)
    assert not differing(snapshot(alone.decoder), snapshot(model.decoder))
    assert not any(p.requires_grad for p in model.encoder.parameters())
    assert slots_of([*moved(model)]) == {"decoder"}, "and in the next training too"


def test_a_row_whose_players_are_all_frozen_rests() -> None:
    model = small("gan")
    model.critic.requires_grad_(False)
    assert slots_of([*moved(model)]) == {"generator"}


def test_a_frozen_trunk_stays_through_a_copy_and_a_swap() -> None:
    model = small("vae")
    trunk = [f"encoder.{name}" for name, _ in model.encoder.named_parameters()][:2]
    for name in trunk:
        model.get_parameter(name).requires_grad_(False)
    again = copy.deepcopy(model)
    swapped = small("vae")
    swapped.encoder = copy.deepcopy(model.encoder)
    for one in (model, again, swapped):
        found = moved(one)
        assert not found.intersection(trunk)
        others = {name for name, _ in one.named_parameters()}.difference(trunk)
        assert others <= found


def test_what_is_thawed_learns() -> None:
    model = small("vae")
    model.encoder.requires_grad_(False)
    moved(model, steps=1)
    model.encoder.requires_grad_(True)
    assert slots_of([*moved(model)]) == {"encoder", "decoder"}


def test_a_swapped_slot_learns() -> None:
    """Its parameters are others than those that the model was made with."""
    model = small("vae")
    model.decoder = nn.Sequential(nn.Linear(5, 3 * 16 * 16).double(), nn.Unflatten(1, (3, 16, 16)))
    assert {"decoder.0.weight", "decoder.0.bias"} <= moved(model)


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_what_is_frozen_between_two_trainings_stays_as_it_was_shown(ema: float) -> None:
    """Averages of it too; the moments of what learns on are its own, whatever is frozen before it in its network."""
    model = small("vae", f"train.ema={ema}", dtype=torch.float32)
    zoo.train(model, pixels(), steps=3, progress=False)
    first, *_, last = (name for name, _ in model.encoder.named_parameters())
    model.encoder.get_parameter(first).requires_grad_(False)
    trained, before = dict(model.trained[0]), snapshot(model)
    zoo.train(model, pixels(), steps=2, progress=False)
    moved = differing(before, snapshot(model))
    assert f"encoder.{first}" not in moved
    assert f"encoder.{last}" in moved
    again = copy.deepcopy(model)
    moments = {
        name
        for name in trained
        if name.startswith("optimizer/encoder/") and not name.startswith("optimizer/encoder/0/")
    }
    assert moments <= model.trained[0].keys()
    assert not any(name.startswith("optimizer/encoder/0/") for name in model.trained[0])
    again.encoder.requires_grad_(False)
    before = snapshot(again)
    zoo.train(again, pixels(), steps=2, progress=False)
    assert slots_of(differing(before, snapshot(again))) == {"decoder"}


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_a_slot_that_is_swapped_between_two_trainings_begins_anew(ema: float) -> None:
    model = small("vae", f"train.ema={ema}", dtype=torch.float32)
    zoo.train(model, pixels(), steps=2, progress=False)
    model.decoder = nn.Sequential(nn.Linear(5, 3 * 16 * 16), nn.Unflatten(1, (3, 16, 16)))
    before = snapshot(model)
    zoo.train(model, pixels(), steps=2, progress=False)
    assert {"decoder.0.weight", "decoder.0.bias"} <= set(differing(before, snapshot(model)))
    assert model.trained[1]["step"] == 4


def test_what_is_frozen_stays_so_where_its_run_goes_on(tmp_path: Path, run_zoo: Run) -> None:
    """Loaded, saved, built on by the command line, exported and loaded, and trained on; until it is thawed."""
    model = small("vae", dtype=torch.float32)
    model.encoder.requires_grad_(False)
    first, *_ = (name for name, _ in model.decoder.named_parameters())
    model.decoder.get_parameter(first).requires_grad_(False)
    held = {name for name, p in model.named_parameters() if not p.requires_grad}
    zoo.train(model, pixels(), steps=2, run=tmp_path / "run", progress=False)
    before = snapshot(zoo.load(tmp_path / "run"))
    zoo.save(model, tmp_path / "saved")
    assert run_zoo("export", tmp_path / "run", "--to", "hub", tmp_path / "hub").code == 0
    more = ("--steps", "4", "--extend", "--no-tensorboard", "--stop-after", "train")
    assert run_zoo("build", tmp_path / "run", *more).code == 0
    for folder in ("run", "saved", "hub"):
        again = zoo.load(tmp_path / folder)
        assert {name for name, p in again.named_parameters() if not p.requires_grad} == held, folder
    moved = set(differing(before, snapshot(zoo.load(tmp_path / "run"))))
    assert slots_of(moved) == {"decoder"}
    assert f"decoder.{first}" not in moved

    thawed = zoo.load(tmp_path / "run")
    thawed.requires_grad_(True)
    zoo.train(thawed, pixels(), steps=2, run=tmp_path / "run", extend=True, progress=False)
    assert all(p.requires_grad for p in zoo.load(tmp_path / "run").parameters())
