"""VQGAN: a step against one written by hand from the paper; its routes; and its codebook in several processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from helpers.forks import Forks
from helpers.ranks_quantise import JUDGED, NAMES, trained
from torch import Tensor, nn
from torch.nn.functional import relu

import zoo
from zoo.engine.engine import Engine
from zoo.machine.processes import ALONE
from zoo.model.model import Model
from zoo.recipe import load_recipe
from zoo.recipe.routes import route_lines

B, SIZE, ENTRIES, LR, START = 4, 16, 12, 1e-3, 2
EPS = 1e-3
"""Of Adam: a bias before a norm has a gradient of rounding alone, which a small one would make a step of."""
NARROW = {"width": 4, "multipliers": [1, 1, 1], "blocks": 1}


@pytest.fixture(autouse=True)
def _on_one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def tiny() -> Model:
    """The recipe ``vqgan`` with networks of width 4, in float64; the critic starts at step 2."""
    recipe = {
        "extends": "vqgan",
        "data": {"use": "sprites", "size": SIZE},
        "slots": {
            "encoder": {**NARROW, "factor": 4, "depth": 3},
            "decoder": NARROW,
            "quantiser": {"entries": ENTRIES},
            "critic": {"width": 4, "layers": 1},
            "perceptual": {"kind": "module", "use": "pd-lite0"},
        },
        "train": {"batch": B, "optimizer": {"lr": LR, "eps": EPS}},
    }
    late = [f"phases.0.encoder + decoder.adaptive_fooling.weight.start={START}", f"phases.1.start={START}"]
    return zoo.build(recipe, overrides=late).to(torch.float64)


def images(turn: int) -> Tensor:
    stream = torch.Generator().manual_seed(turn)
    return torch.rand(B, 3, SIZE, SIZE, generator=stream, dtype=torch.float64) * 2 - 1


class ByHand:
    """VQGAN's training as its paper has it, with the networks of a model, and of torch alone beside them."""

    def __init__(self, model: Model) -> None:
        self.m = model.train().requires_grad_(True)
        self.m.perceptual.requires_grad_(False)
        both = [*model.encoder.parameters(), *model.decoder.parameters()]
        self.autoencoder = torch.optim.Adam(both, lr=LR, betas=(0.5, 0.9), eps=EPS)
        self.discriminator = torch.optim.Adam(model.critic.parameters(), lr=LR, betas=(0.5, 0.9), eps=EPS)
        book = model.quantiser.books[0]
        self.first, self.usage = book.anchor.clone(), torch.zeros(ENTRIES, dtype=torch.float64)
        self.sums, self.spare = torch.zeros(ENTRIES, 3, dtype=torch.float64), None

    def table(self) -> Tensor:
        faint = 1e-6 / ENTRIES
        return (self.sums + faint * self.first) / (self.usage + faint)[:, None]

    def quantise(self, z: Tensor) -> tuple[Tensor, Tensor]:
        codes = z.permute(0, 2, 3, 1).reshape(-1, 3)
        index = torch.cdist(codes.detach(), self.table()).argmin(1)
        entries = self.table()[index].reshape(B, 4, 4, 3).permute(0, 3, 1, 2)
        return entries, index

    def reconstruct(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        z = self.m.encoder(x).mean
        entries, index = self.quantise(z)
        return self.m.decoder(z + (entries - z).detach()), z, entries, index

    def step(self, step: int) -> None:
        x, playing = images(step), step >= START
        if self.spare is not None:  # entries that few codes were given are put where codes of the last batch were
            for k in (self.usage < 0.03 / ENTRIES).nonzero().flatten().tolist():
                self.usage[k] = 0.06 / ENTRIES
                self.first[k], self.sums[k] = self.spare[k], self.spare[k] * self.usage[k]
        rec, z, entries, index = self.reconstruct(x)
        judged = self.m.perceptual(x, rec)[:, None, None, None]
        nll = ((x - rec).abs() + 1.0 * judged).mean() * x[0].numel()
        loss = nll + 0.75 * (entries.detach() - z).square().sum() / B
        if playing:
            fooled = -self.m.critic(rec).logit.mean()
            last = self.m.decoder.image[-1].weight
            above, below = (torch.autograd.grad(of, last, retain_graph=True)[0].norm() for of in (nll, fooled))
            loss = loss + 0.8 * (above / (below + 1e-4)).clamp(0, 1e4).detach() * fooled
        self.move(self.autoencoder, loss)
        codes = z.detach().permute(0, 2, 3, 1).reshape(-1, 3)
        given = nn.functional.one_hot(index, ENTRIES).double()
        self.usage = 0.99 * self.usage + 0.01 * given.mean(0)
        self.sums = 0.99 * self.sums + 0.01 * given.T @ codes / len(codes)
        self.spare = codes[(torch.arange(ENTRIES) * 7919 + step * 104729) % len(codes)]
        if playing:
            with torch.no_grad():
                again = self.reconstruct(x)[0]
            real, fake = self.m.critic(x).logit, self.m.critic(again).logit
            self.move(self.discriminator, relu(1 - real).mean() + relu(1 + fake).mean())

    def move(self, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        self.m.zero_grad()
        loss.backward()
        optimizer.step()


def test_steps_are_those_by_hand() -> None:
    """Before and after the critic starts: adaptive weight, what takes no gradient, means and revival of entries."""
    model, hand = tiny(), ByHand(tiny())
    engine = Engine(model)
    judge = {key: value.clone() for key, value in model.perceptual.state_dict().items()}
    untouched = {key: value.clone() for key, value in model.critic.state_dict().items()}
    for step in range(START + 2):
        losses = engine.step(images)
        hand.step(step)
        if step < START:
            assert not {"critic/hinge", "encoder + decoder/adaptive_fooling"} & losses.keys()
            assert all(torch.equal(untouched[key], value) for key, value in model.critic.state_dict().items())
        for slot in ("encoder", "decoder", "critic"):
            pairs = zip(getattr(model, slot).named_parameters(), getattr(hand.m, slot).parameters(), strict=True)
            for (name, found), expected in pairs:
                torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9, msg=f"step {step}: {slot}.{name}")
        torch.testing.assert_close(model.quantiser.books[0].table(), hand.table(), rtol=1e-9, atol=1e-9)
    assert {"critic/hinge", "encoder + decoder/adaptive_fooling"} <= losses.keys()
    assert all(torch.equal(judge[key], value) for key, value in model.perceptual.state_dict().items())


@pytest.mark.usefixtures("few_photos")
def test_routes() -> None:
    names = ["encoder", "decoder", "quantiser", "critic", "perceptual"]
    head, *rows = route_lines(load_recipe("vqgan"))
    assert head[3:] == names
    assert [row[3:] for row in rows] == [
        ["learns", "learns", "passes", "passes", "passes"],
        ["stops", "stops", "stops", "learns", "."],
    ]


def test_the_codebook_of_four_processes_is_that_of_one(forks: Forks, tmp_path: Path) -> None:
    """Weights, entries and all that is kept of them, after entries were revived; every process has the same bits."""
    lives = forks.ranks(4, tmp_path / "found.pt", module="helpers.ranks_quantise", cwd=tmp_path)
    assert not any(life.code for life in lives), "".join(life.log for life in lives)
    first, *others = torch.load(tmp_path / "found.pt")
    for name in NAMES:
        alone = trained(name, ALONE)
        if name != "fsq":
            assert alone["quantiser.books.0.anchor" if "gradient" not in name else "quantiser.books.0.shift"].any()
        assert any(key.startswith("critic.") for key in alone) == (name in JUDGED)
        for key, expected in alone.items():
            torch.testing.assert_close(first[name][key], expected, rtol=1e-12, atol=1e-12, msg=f"{name}: {key}")
            assert all(torch.equal(first[name][key], other[name][key]) for other in others)
