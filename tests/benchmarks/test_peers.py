"""The engine beside pythae's own trainers: same networks and data. Skipped without pythae (docs/benchmarks.md)."""

from __future__ import annotations

import importlib.util

import pytest
from helpers.engine import in_batches

from zoo.engine.engine import Engine
from zoo.model.model import Model
from zoo.types import to_pixels

from .cases import built, engines_draw, photographs
from .measuring import CUDA
from .paired import paired
from .test_limits import FAST, TOY

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("pythae") is None, reason="pythae is not installed: pip install pythae==0.1.2"
    ),
    pytest.mark.skipif(CUDA, reason="CPU times are compared; it has no joint step to put on a GPU"),
]


def test_its_vae_computes_what_ours_does(tmp_path):
    from . import peers

    ours, theirs = (built("vae", "train.channels_last=false", width=4, size=16, batch=4) for _ in range(2))
    engine = Engine(ours)
    trainer = peers.vae(theirs, photographs(theirs), tmp_path)
    trainer.model.train()
    for index in range(3):
        x, draw = photographs(ours, seed=index), engines_draw(ours, index)
        losses = engine.step(lambda _, x=x: x)
        eps = draw("z_posterior", len(x), ours.recipe.sizes.latent)
        trainer.model._sample_gauss = lambda mean, sigma, eps=eps: (mean + sigma * eps, eps)
        output = trainer.model({"data": x})
        trainer._optimizers_step(output)
        expected = sum(float(value) for value in losses.values())
        assert float(output.loss.detach()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "options", "least", "aim"),
    [("vae", (), 1.9, 1.9), ("vaegan", (), 2.8, 3.2), ("vaegan", ("train.compile=true",), 3.2, 3.2)],
)
def test_a_step_against_its_trainer(name, options, least, aim, tmp_path, measured, verdicts):
    from . import peers

    size = {} if measured else TOY
    theirs = built(name, "train.channels_last=false", **size)
    trainer = getattr(peers, name)(theirs, photographs(theirs), tmp_path)
    step = own_step(built(name, *options, precision=FAST, **size))
    found = paired(step, lambda: trainer.train_step(1), **({} if measured else {"rounds": 2, "least": 0.0}))
    if measured:
        aim, limit = (1 / aim, 1 / least) if FAST == "bfloat16" else (1.0, 1.0)
        group = f"engine in {FAST} / pythae's trainer, 32 px, batch 64"
        verdicts.ratio(group, ", ".join((name, *options)), found, aim=aim, limit=limit, same=None)


def own_step(model: Model):
    """A step of ours with its data path, as theirs has its loader."""
    x = photographs(model)
    engine, batches = Engine(model), in_batches(to_pixels(x), len(x), 0)
    return lambda: engine.step(batches)
