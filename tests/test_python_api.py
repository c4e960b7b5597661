"""Zoo in Python: build, load, train; a model is an ordinary ``nn.Module``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY
from torch import Tensor, nn

import zoo
from zoo.errors import RecipeError, RequestError
from zoo.recipe.yaml.read import read

pytestmark = pytest.mark.usefixtures("here")


def tiny(*overrides: str) -> Any:
    return zoo.build(read(TINY, "tiny.yaml").plain(), overrides=overrides)


@pytest.fixture(scope="module")
def shared() -> Any:
    return tiny()


def images(count: int = 4) -> Tensor:
    return torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# -- build ---------------------------------------------------------------------------------------------------


def test_build_from_a_file_a_name_and_a_mapping() -> None:
    Path("tiny.yaml").write_text(TINY)
    one, other = zoo.build("tiny.yaml"), tiny()
    assert same(one.state_dict(), other.state_dict())
    assert list(zoo.build("vae", overrides=["slots.encoder.width=4"])._modules)[:3] == ["encoder", "decoder", "prior"]


def test_slots_are_attributes() -> None:
    model = tiny()
    assert isinstance(model.encoder, nn.Module)
    assert model.encoder is model.get_submodule("encoder")
    posterior = model.encoder(images())
    assert posterior.mean.shape == (4, 4)
    assert model.decoder(posterior.mean).shape == (4, 3, 8, 8)


def test_a_slot_is_initialised_from_the_seed_and_its_name_alone() -> None:
    torch.manual_seed(1)
    one = tiny()
    torch.manual_seed(2)
    other = tiny("slots.critic.width=8")
    assert same(one.encoder.state_dict(), other.encoder.state_dict())
    assert not same(one.encoder.state_dict(), tiny("seed=1").encoder.state_dict())


def test_building_leaves_the_global_stream_alone() -> None:
    before = torch.get_rng_state()
    tiny()
    assert torch.equal(torch.get_rng_state(), before)


def test_what_is_wrong_is_raised_with_every_problem() -> None:
    with pytest.raises(RecipeError) as caught:
        tiny("latent=0", "seed=-1")
    assert len(caught.value.problems) == 2


# -- using a model ---------------------------------------------------------------------------------------------


def test_shapes_and_ranges() -> None:
    model = tiny()
    samples = model.sample(5)
    assert samples.shape == (5, 3, 8, 8)
    assert model.encode(images()).mean.shape == (4, 4)
    assert model.reconstruct(images()).shape == (4, 3, 8, 8)
    for pictures in (samples, model.reconstruct(images())):
        assert -1 <= pictures.min() <= pictures.max() <= 1
        assert not pictures.requires_grad


def test_the_same_seed_gives_the_same_images() -> None:
    model = tiny()
    assert torch.equal(model.sample(3, seed=1), model.sample(3, seed=1))
    assert not torch.equal(model.sample(3, seed=1), model.sample(3, seed=2))
    assert torch.equal(model.reconstruct(images(), seed=1), model.reconstruct(images(), seed=1))


@pytest.mark.parametrize("batch_stats", ["running", "batch"])
@pytest.mark.parametrize("training", [True, False])
def test_sampling_changes_nothing(batch_stats: str, training: bool) -> None:
    model = tiny(f"batch_stats={batch_stats}").train(training)
    model.critic.eval()
    modes = [module.training for module in model.modules()]
    before, stream = snapshot(model), torch.get_rng_state()
    model.sample(4, seed=0)
    model.reconstruct(images(), seed=0)
    model.encode(images())
    assert same(model.state_dict(), before)
    assert torch.equal(torch.get_rng_state(), stream)
    assert [module.training for module in model.modules()] == modes


def test_statistics_of_the_batch_or_running_ones() -> None:
    norm = ("data.size=16", "slots.encoder.norm=batch")
    running, batch = tiny(*norm), tiny(*norm, "batch_stats=batch")
    whole = nn.functional.interpolate(images(8), scale_factor=2)
    first = whole[:4]
    alone, among = (running.encode(x).mean[:4] for x in (first, whole))
    torch.testing.assert_close(alone, among)
    alone, among = (batch.encode(x).mean[:4] for x in (first, whole))
    assert not torch.allclose(alone, among)


def test_samples_are_others_at_each_call() -> None:
    model = tiny()
    assert not torch.equal(model.sample(3), model.sample(3))
    assert not torch.equal(model.reconstruct(images()), model.reconstruct(images()))
    (one,), (other,) = model.compute("z", batch=2), model.compute("z", batch=2)
    assert not torch.equal(one, other)
    torch.manual_seed(3)
    first = model.sample(3), model.sample(3)
    torch.manual_seed(3)
    assert all(torch.equal(one, other) for one, other in zip(first, (model.sample(3), model.sample(3)), strict=True))
    generators = [torch.Generator().manual_seed(5) for _ in range(2)]
    stream = torch.get_rng_state()
    one, other = (model.sample(2, generator=generator) for generator in generators)
    assert torch.equal(one, other)
    assert not torch.equal(one, model.sample(2, generator=generators[0]))
    assert torch.equal(torch.get_rng_state(), stream)


def test_samples_of_codes_and_noise() -> None:
    model = tiny().eval()
    z, noise = torch.randn(3, 4), torch.randn(3, 4)
    with torch.no_grad():
        expected = model.generator(z, noise)
    assert torch.equal(model.sample(z=z, noise=noise), expected)
    assert torch.equal(model.decode(z.double(), noise=noise), expected)
    assert torch.equal(model.sample(z=z, seed=1), model.decode(z, seed=1))
    assert not torch.equal(model.decode(z), model.decode(z))  # other noise
    assert model.sample().shape[0] == 16
    assert torch.equal(model.sample(z=z.numpy(), noise=noise.tolist()), expected)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"n": 0}, "0 samples cannot be had; ask for 1 or more"),
        (
            {"seed": 0, "generator": torch.Generator()},
            "seed=0 and a generator both say what is drawn; give one of them",
        ),
        ({"z": torch.zeros(2, 5)}, r"z has the shape \(2, 5\); these samples take \(2, 4\)"),
        ({"n": 3, "noise": torch.zeros(2, 4)}, r"noise has the shape \(2, 4\); these samples take \(3, 4\)"),
    ],
)
def test_samples_that_cannot_be_had(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        tiny().sample(**asked)


def test_arguments_that_are_not_what_they_should_be_are_sentences() -> None:
    with pytest.raises(RequestError, match=r"lost\.py is broken: there is no file \S*lost\.py|no file '?\S*lost\.py"):
        zoo.build("vae", plugins="lost.py")
    with pytest.raises(RequestError, match=r"a model is one of zoo\.build or zoo\.load, not Linear"):
        zoo.train(torch.nn.Linear(1, 1), torch.zeros(1))  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="steps='5': a training takes 1 step or more"):
        zoo.train(tiny(), steps="5")  # type: ignore[arg-type]
    with pytest.raises(RequestError, match=r"without images x; give them, --given x=\.\.\. or given=\{'x': \.\.\.\}$"):
        tiny().compute("reconstruction")


def test_a_model_whose_samples_are_made_of_no_noise() -> None:
    model = zoo.build("vae", overrides=["slots.encoder.width=4", "slots.decoder.width=4", "data.size=8"])
    with pytest.raises(RequestError, match="recipe 'vae': its samples are made of no noise"):
        model.sample(noise=torch.zeros(1, 1))


def test_called_it_reconstructs_as_it_stands() -> None:
    model, x = tiny().eval(), images().requires_grad_()
    again = model(x)
    again.sum().backward()
    assert again.shape == (4, 3, 8, 8)
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    assert all(p.grad is not None for p in (*model.encoder.parameters(), *model.generator.parameters()))
    assert not torch.equal(model(x), model(x))
    torch.manual_seed(0)
    one = model(x)
    torch.manual_seed(0)
    assert torch.equal(one, model.reconstruct(x))


@pytest.mark.parametrize("verb", ["__call__", "encode", "reconstruct", "losses"])
@pytest.mark.parametrize(
    ("x", "what"),
    [
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), r"torch.uint8 \(2, 3, 8, 8\)"),
        (torch.zeros(2, 8, 8, 3), r"torch.float32 \(2, 8, 8, 3\)"),
        (torch.full((2, 3, 8, 8), -200.0), r"torch.float32 \(2, 3, 8, 8\), as far from 0 as 200"),
        ([1.0], "list"),
    ],
)
def test_what_is_no_image_is_a_sentence(shared: Any, verb: str, x: Any, what: str) -> None:
    said = rf"x is {what}; recipe '.*' takes floats \(B, 3, 8, 8\) in \[-1, 1\], which zoo.api.to_model makes of uint8"
    with pytest.raises(RequestError, match=said):
        getattr(shared, verb)(x)
    getattr(shared, verb)(torch.full((2, 3, 8, 8), 1.5))  # as a network without a tanh paints


def test_values_by_name() -> None:
    model = tiny()
    z, generated = model.compute("z", "sample", batch=2)
    assert (z.shape, generated.shape) == ((2, 4), (2, 3, 8, 8))
    (again,) = model.compute("generated", given={"z": z, "noise": torch.zeros(2, 4)})
    assert again.shape == generated.shape
    with pytest.raises(RequestError, match="'generatd' is asked for"):
        model.compute("generatd", batch=1)
    with pytest.raises(RequestError, match="cannot be had without images x"):
        model.compute("reconstruction", batch=1)


def test_an_output_that_a_recipe_does_not_have() -> None:
    model = zoo.build("gan", overrides=["slots.generator.width=4", "slots.critic.width=4"])
    with pytest.raises(RequestError, match=r"recipe 'gan' has no output 'reconstruction'"):
        model.reconstruct(images(), seed=0)


def test_it_is_an_ordinary_module() -> None:
    model, other = tiny(), tiny("seed=5")
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.encode(images()).mean, model.encode(images()).mean)
    double = model.to(torch.float64)
    assert double.dtype == torch.float64
    assert double.sample(2).dtype == torch.float64
    assert tiny().to("meta").sample(2).device.type == "meta"
    assert {name.split(".")[0] for name, _ in model.named_parameters()} == {
        "encoder",
        "decoder",
        "generator",
        "critic",
    }


# -- train and load ------------------------------------------------------------------------------------------


def test_train_with_images_of_ones_own() -> None:
    model = tiny()
    before = snapshot(model)
    pixels = torch.randint(0, 256, (16, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    stream = torch.get_rng_state()
    engine = zoo.train(model, pixels, steps=2)
    assert engine.step_index == 2
    assert torch.equal(torch.get_rng_state(), stream)
    for slot in ("encoder", "decoder", "generator", "critic"):
        assert any(not torch.equal(before[k], v) for k, v in model.state_dict().items() if k.startswith(slot))


def test_training_twice_from_the_same_seed_is_the_same() -> None:
    one, other = tiny(), tiny()
    zoo.train(one)
    torch.manual_seed(7)
    zoo.train(other)
    assert same(one.state_dict(), other.state_dict())


def test_load_gives_the_trained_model(finished: Path) -> None:
    model = zoo.load(finished)
    mine = tiny("name=tiny")
    zoo.train(mine)
    assert same(model.state_dict(), mine.state_dict())
    assert torch.equal(model.sample(2, seed=0), zoo.load(str(finished)).sample(2, seed=0))


def test_load_what_is_no_run() -> None:
    with pytest.raises(RequestError, match="is not a run"):
        zoo.load("nowhere")


def test_a_device_by_name() -> None:
    assert zoo.build(read(TINY, "tiny.yaml").plain(), device="cpu").device.type == "cpu"
    with pytest.raises(RequestError, match="device='abacus': cannot be used here"):
        zoo.build(read(TINY, "tiny.yaml").plain(), device="abacus")
