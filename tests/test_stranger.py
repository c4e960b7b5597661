"""Strangers' models fit: a separate package (``tests/parts/stranger``), really installed, changes no line of zoo.

Each model trains; each has an oracle for what is unusual in it. Nets of width 4, images (8, 1, 16, 16), K = 8.
"""

from __future__ import annotations

import ast
import importlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import zoo
from zoo import api
from zoo.cli import main
from zoo.engine.engine import Engine
from zoo.errors import RecipeError
from zoo.model.model import Model
from zoo.recipe import load_recipe, write_recipe
from zoo.registry import clear_cache

HERE = Path(__file__).parent / "parts" / "stranger"
NAMES = sorted(path.stem for path in HERE.rglob("recipes/*.yaml"))
BATCH, LATENT = 8, 8
Gradients = Mapping[str, Tensor]


@pytest.fixture(scope="module", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The package built and installed as a user would, then gone again."""
    folder = tmp_path_factory.mktemp("stranger")
    shutil.copytree(HERE, folder / "source", ignore=shutil.ignore_patterns("__pycache__"))
    quiet = ["--quiet", "--disable-pip-version-check"]
    alone = ["--no-deps", "--no-build-isolation", "--no-index", "--no-compile"]
    pip = [sys.executable, "-m", "pip", "install", *quiet, *alone, "--target", str(folder / "site")]
    subprocess.run([*pip, str(folder / "source")], check=True, timeout=120)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder / "site"))
        clear_cache()
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # nets this small wait for each other's threads
        yield
        torch.set_num_threads(threads)
    clear_cache()
    for name in [name for name in sys.modules if name.split(".")[0] == "zoo_stranger"]:
        del sys.modules[name]


# -- builders ----------------------------------------------------------------------------------------------


def theirs(name: str) -> str:
    """The name of a recipe, whoever else has one of that name."""
    return f"zoo-stranger/{name}" if name in NAMES else name


def small(name: str, *overrides: str, **content: Any) -> Model:
    """A recipe with tiny networks, in float64; ``content`` is laid over it."""
    source = {"extends": theirs(name), **content}
    slots = [slot for slot, part in load_recipe(source).slots.items() if part.entry.kind != "prior"]
    sizes = ["data={use: digits, size: 16, channels: 1}", f"latent={LATENT}", f"train.batch={BATCH}"]
    plain = ["train.ema=0", "train.precision=float32"]
    widths = [f"slots.{slot}.width=4" for slot in slots]
    return zoo.build(source, overrides=[*sizes, *plain, *widths, *overrides]).to(torch.float64)


def images(turn: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(turn)
    return torch.rand(BATCH, 1, 16, 16, generator=generator, dtype=torch.float64) * 2 - 1


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def page(name: str) -> Any:
    """One of the package's modules."""
    return importlib.import_module(f"zoo_stranger.{name}")


def gradients(model: Model, phase: int = 0, step: int = 0, draw: tuple[int, ...] = ()) -> Gradients:
    """The engine's gradients of the rows of a phase at the present weights."""
    engine = Engine(model, optimizers=False)
    engine.step_index = step
    model.train()
    found = engine.gradients(engine.plan_now(phase), images(), draw)[1]
    return {key.replace("/", ".", 1): gradient for key, gradient in found.items()}


def by_hand(model: Model, *slots: str, loss: Callable[[], Tensor]) -> Gradients:
    """The gradient of a loss at some slots, of nothing but torch."""
    model.train().requires_grad_(True)
    names = {f"{slot}.{key}": p for slot in slots for key, p in getattr(model, slot).named_parameters()}
    found = torch.autograd.grad(loss(), list(names.values()), allow_unused=True)
    return {name: g for name, g in zip(names, found, strict=True) if g is not None}


def assert_same(found: Gradients, expected: Gradients) -> None:
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-9, atol=1e-12, msg=key)


def drawn(model: Model, name: str, draw: tuple[int, ...] = ()) -> api.Draw:
    """The stream of numbers that a value is handed at step 0."""
    return model.draw("train", 0, draw, name)


def prior(model: Model) -> Tensor:
    return drawn(model, "z").normal(BATCH, LATENT)


def squared(a: Tensor, b: Tensor) -> Tensor:
    return 0.5 * ((a - b) ** 2).sum() / BATCH


# -- it is a stranger's ------------------------------------------------------------------------------------


def imports(path: Path) -> set[str]:
    """``a`` for ``import a``, ``a.b`` for ``from a import b``."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names}
    return found


def test_it_imports_the_api_torch_and_einops_alone() -> None:
    found = set().union(*(imports(path) for path in HERE.rglob("*.py")))
    assert {name for name in found if name.split(".")[0] == "zoo"} == {"zoo.api"}
    rest = {name.split(".")[0] for name in found} - sys.stdlib_module_names - {"zoo", "zoo_stranger"}
    assert rest <= {"torch", "einops"}


def test_zoo_and_its_plugins_know_nothing_of_it() -> None:
    root = Path(zoo.__file__).parent
    files = [path for folder in (root, root.parent / "plugins") for path in folder.rglob("*") if path.is_file()]
    texts = {path: path.read_bytes() for path in files if "__pycache__" not in path.parts}
    assert texts
    assert not [path for path, text in texts.items() if b"zoo_stranger" in text or b"zoo-stranger" in text]


def test_a_model_is_a_short_recipe_and_a_page() -> None:
    assert all(len(path.read_text().splitlines()) <= 40 for path in HERE.rglob("*.yaml"))
    pages = HERE.joinpath("zoo_stranger").glob("[!_]*.py")
    assert all(len(path.read_text().splitlines()) <= 90 for path in pages)


# -- each trains -------------------------------------------------------------------------------------------

SOONER = {"parted-vqgan": ["phases.0.encoder+decoder.fool.weight.start=1", "phases.1.start=1"]}


@pytest.mark.parametrize("name", NAMES)
def test_it_trains(name: str) -> None:
    model = small(name, *SOONER.get(name, []))
    before = {key: p.detach().clone() for key, p in model.named_parameters()}
    pixels = torch.randint(256, (24, 1, 16, 16), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    engine = zoo.train(model, pixels, steps=3)
    moved = {key for key, p in model.named_parameters() if not torch.equal(p, before[key])}
    assert all(p.isfinite().all() for p in model.parameters())
    assert {key.split(".")[0] for key in moved} == set(engine.players)
    assert model.sample(3).shape == (3, 1, 16, 16)


@pytest.mark.parametrize("name", NAMES)
def test_its_recipe_survives_writing(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(theirs(name))
    file = tmp_path / "recipe.yaml"
    file.write_text(write_recipe(recipe))
    assert load_recipe(file).plain() == recipe.plain()


@pytest.mark.usefixtures("few_photos")
def test_the_command_line_takes_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "code-wgan", theirs("parted-vqgan")]) == 0
    assert main(["explain", "code-wgan"]) == 0
    assert "10 gradient_penalty" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["code-wgan", "parted-vqgan"])
def test_a_restored_engine_goes_on_bit_for_bit(name: str) -> None:
    whole, other = (Engine(small(name, *SOONER.get(name, []))) for _ in range(2))
    whole.step(images)
    tensors, plain = whole.state()
    other.restore({key: tensor.clone() for key, tensor in tensors.items()}, plain)
    for engine in (whole, other):
        engine.step(images)
    assert all(torch.equal(a, b) for a, b in zip(whole.model.parameters(), other.model.parameters(), strict=True))


# -- a critic of codes, and its slope ----------------------------------------------------------------------


def test_the_slope_of_a_linear_critic_is_the_norm_of_its_weights() -> None:
    w = normal(12).requires_grad_()
    x = normal(BATCH, 3, 2, 2, seed=1)

    def critic(x: Tensor) -> api.CriticOutput:
        return api.CriticOutput(x.flatten(1) @ w)

    penalty = page("slopes").gradient_penalty(critic, x)
    torch.testing.assert_close(penalty, (w.norm() - 1) ** 2)
    torch.testing.assert_close(torch.autograd.grad(penalty, w)[0], (2 * (w.norm() - 1) * w / w.norm()).detach())
    assert not x.requires_grad


def test_code_wgan_by_hand() -> None:
    model = small("code-wgan")

    def tell() -> Tensor:
        z, code = drawn(model, "z", (0, 3)).normal(BATCH, LATENT), model.encoder(images()).mean.detach()
        u = drawn(model, "between", (0, 3)).uniform(BATCH, 1)
        between = (u * z + (1 - u) * code).requires_grad_()
        (slope,) = torch.autograd.grad(model.code_critic(between).logit.sum(), between, create_graph=True)
        penalty = ((slope.square().sum(1).sqrt() - 1) ** 2).mean()
        return model.code_critic(code).logit.mean() - model.code_critic(z).logit.mean() + 10 * penalty

    def both() -> Tensor:
        code = model.encoder(images()).mean
        return squared(images(), model.decoder(code)) - model.code_critic(code).logit.mean()

    assert_same(gradients(model, draw=(0, 3)), by_hand(model, "code_critic", loss=tell))
    assert_same(gradients(model, 1), by_hand(model, "encoder", "decoder", loss=both))


def test_its_critic_sees_five_batches_of_its_own() -> None:
    seen = []
    Engine(small("code-wgan")).step(lambda turn: seen.append(turn) or images(turn))
    assert seen == [0, 1, 2, 3, 4, 5]


def test_hinge_by_hand() -> None:
    real, fake = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-2.0, 0.5, 3.0])
    found = page("scores").hinge(api.CriticOutput(real), api.CriticOutput(fake))
    assert float(found) == pytest.approx((0 + 0.5 + 2) / 3 + (0 + 1.5 + 4) / 3)


def test_a_critic_of_codes_refuses_images() -> None:
    told = r"slot 'code_critic' \(critic 'mlp'\) expects B x 8 .* handed B x 1 x 16 x 16"
    with pytest.raises(RecipeError, match=told):
        small("code-wgan", values={"critic_z": {"use": "critic_x", "with": {"critic": "code_critic", "x": "x"}}})


# -- discrete codes, adaptive weight -----------------------------------------------------------------------


def test_codes_are_nearest_entries_and_samples_are_entries() -> None:
    book = page("quantised").Codebook(6, entries=5, parts=3).double().requires_grad_(False)
    z = normal(BATCH, 6)
    for code, found in zip(z.view(-1, 2), book(z).view(-1, 2), strict=True):
        assert torch.equal(found, min(book.entries, key=lambda entry: float((entry - code).square().sum())))
    draw = api.Draw("test", device=torch.device("cpu"), dtype=torch.float64)
    samples = book.sample(BATCH, draw).view(-1, 2)
    assert all(any(torch.equal(sample, entry) for entry in book.entries) for sample in samples)


def test_vqvae_gradients_pass_straight_through() -> None:
    model = small("parted-vqvae", "slots.prior={use: codebook, entries: 4, parts: 2}")
    found = gradients(model)
    x, book = images(), model.prior
    model.train().requires_grad_(True)
    code = model.encoder(x).mean
    entry = book(code).detach().requires_grad_()
    loss = squared(x, model.decoder(entry))
    (at_entry,) = torch.autograd.grad(loss, entry)
    at_code = at_entry + 0.25 * 2 * (code - entry).detach() / BATCH
    names = {f"encoder.{key}": p for key, p in model.encoder.named_parameters()}
    pulled = torch.autograd.grad(code, list(names.values()), at_code, allow_unused=True)
    expected = {name: g for name, g in zip(names, pulled, strict=True) if g is not None}
    assert_same({key: g for key, g in found.items() if key.startswith("encoder")}, expected)
    drawn_to = by_hand(model, "prior", loss=lambda: (book(code.detach()) - code.detach()).square().sum() / BATCH)
    assert_same({"prior.entries": found["prior.entries"]}, drawn_to)


def test_adaptive_weight_is_the_ratio_of_two_gradient_norms() -> None:
    model = small("parted-vqgan", "slots.critic.norm=none")
    x, last = images(), model.get_submodule("decoder.paint")[-2].weight
    model.train().requires_grad_(True)

    @cache
    def losses() -> tuple[Tensor, Tensor]:
        code = model.encoder(x).mean
        fake = model.decoder(code + (model.prior(code) - code).detach())
        return (x - fake).abs().sum() / BATCH, -model.critic(fake).logit.mean()

    rec, adv = (torch.autograd.grad(loss, last, retain_graph=True)[0].norm() for loss in losses())
    ratio = float(rec / (adv + 1e-4))
    assert float(value_of(model, "balance", step=500)) == pytest.approx(ratio)
    assert float(page("balance").balance(*losses(), model.decoder, most=0.5)) == 0.5

    found = {key: g for key, g in gradients(model, step=500).items() if key.startswith("decoder")}
    assert_same(found, by_hand(model, "decoder", loss=lambda: losses()[0] + 0.8 * ratio * losses()[1]))


def value_of(model: Model, name: str, step: int) -> Any:
    """A value as the first phase of a step would have it."""
    engine = Engine(model, optimizers=False)
    engine.step_index = step
    return engine.plan_now(0).forward({"x": images()}, step, lambda caller: model.draw("value", step, caller))[name]


def test_the_critic_starts_late() -> None:
    model = small("parted-vqgan", "phases.0.encoder+decoder.fool.weight.start=2", "phases.1.start=2")
    engine, still = Engine(model), [p.detach().clone() for p in model.critic.parameters()]
    heard = [engine.step(images).keys() for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(model.critic.parameters(), still, strict=True))
    heard.append(engine.step(images).keys())
    assert ["critic/hinge" in losses for losses in heard] == [False, False, True]
    assert ["encoder + decoder/fool" in losses for losses in heard] == [False, False, True]
    assert not all(torch.equal(a, b) for a, b in zip(model.critic.parameters(), still, strict=True))


def test_a_layer_that_is_not_there_is_named() -> None:
    with pytest.raises(RecipeError, match=r"the decoder has no weight 'paint.9.weight'; choices: paint.0.0.weight"):
        small("parted-vqgan", values={"balance": {"use": "balance", "layer": "paint.9"}})
