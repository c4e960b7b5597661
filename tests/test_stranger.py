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


def posterior_code(model: Model) -> Tensor:
    return model.encoder(images()).sample(drawn(model, "z_posterior"))


def kl(q: api.Gaussian) -> Tensor:
    sigma = q.log_sigma.exp()
    return ((q.mean**2 + sigma**2) / 2 - 0.5 - sigma.log()).sum() / BATCH


def squared(a: Tensor, b: Tensor) -> Tensor:
    return 0.5 * ((a - b) ** 2).sum() / BATCH


def told(logit: Tensor, real: bool) -> Tensor:
    probability = torch.sigmoid(logit)
    return -(probability if real else 1 - probability).log().mean()


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

SOONER = {"vqgan": ["phases.0.encoder+decoder.fool.weight.start=1", "phases.1.start=1"]}


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
    assert main(["check", "introvae", theirs("vqgan")]) == 0
    assert main(["explain", "wgan-gp"]) == 0
    assert "10 gradient_penalty" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["wgan-gp", "introvae", "vqgan"])
def test_a_restored_engine_goes_on_bit_for_bit(name: str) -> None:
    whole, other = (Engine(small(name, *SOONER.get(name, []))) for _ in range(2))
    whole.step(images)
    tensors, plain = whole.state()
    other.restore({key: tensor.clone() for key, tensor in tensors.items()}, plain)
    for engine in (whole, other):
        engine.step(images)
    assert all(torch.equal(a, b) for a, b in zip(whole.model.parameters(), other.model.parameters(), strict=True))


# -- slopes: WGAN-GP and R1 --------------------------------------------------------------------------------


def test_slope_penalties_of_a_linear_critic_are_the_norm_of_its_weights() -> None:
    w = normal(12).requires_grad_()
    x = normal(BATCH, 3, 2, 2, seed=1)

    def critic(x: Tensor) -> api.CriticOutput:
        return api.CriticOutput(x.flatten(1) @ w)

    penalty, r1 = page("slopes").gradient_penalty(critic, x), page("slopes").r1(critic, x)
    torch.testing.assert_close(penalty, (w.norm() - 1) ** 2)
    torch.testing.assert_close(r1, w.square().sum() / 2)
    torch.testing.assert_close(torch.autograd.grad(penalty, w)[0], (2 * (w.norm() - 1) * w / w.norm()).detach())
    torch.testing.assert_close(torch.autograd.grad(r1, w)[0], w.detach())
    assert not x.requires_grad


def test_r1_of_a_quadratic_critic() -> None:
    a = normal(5, 5)
    a = a + a.T
    x = normal(BATCH, 5, seed=1)
    r1 = page("slopes").r1(lambda x: api.CriticOutput(0.5 * ((x @ a) * x).sum(1)), x)
    torch.testing.assert_close(r1, 0.5 * (x @ a).square().sum(1).mean())


def test_wgan_gp_critic_gradient_is_the_one_by_hand() -> None:
    model = small("wgan-gp")
    found = gradients(model, draw=(0, 3))

    def loss() -> Tensor:
        z = drawn(model, "z", (0, 3)).normal(BATCH, LATENT)
        fake, x = model.generator(z, z[:, :0]).detach(), images()
        u = drawn(model, "interpolates", (0, 3)).uniform(BATCH, 1, 1, 1)
        between = (u * x + (1 - u) * fake).requires_grad_()
        (slope,) = torch.autograd.grad(model.critic(between).logit.sum(), between, create_graph=True)
        penalty = ((slope.square().sum((1, 2, 3)).sqrt() - 1) ** 2).mean()
        return model.critic(fake).logit.mean() - model.critic(x).logit.mean() + 10 * penalty

    assert_same(found, by_hand(model, "critic", loss=loss))


def test_wgan_gp_critic_sees_five_batches_of_its_own() -> None:
    seen = []
    Engine(small("wgan-gp")).step(lambda turn: seen.append(turn) or images(turn))
    assert seen == [0, 1, 2, 3, 4, 5]


def test_r1_is_lazy() -> None:
    engine = Engine(small("r1-gan"))
    assert [step for step in range(18) if "critic/r1" in engine.step(images)] == [0, 16]


def test_hinge_by_hand() -> None:
    real, fake = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-2.0, 0.5, 3.0])
    found = page("scores").hinge(api.CriticOutput(real), api.CriticOutput(fake))
    assert float(found) == pytest.approx((0 + 0.5 + 2) / 3 + (0 + 1.5 + 4) / 3)


# -- codes: MMD, AAE, two critics --------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", ["multiquadric", "gaussian"])
def test_mmd_of_a_set_with_itself_is_nothing_and_pulls_nowhere(kernel: str) -> None:
    z = normal(6, 3).requires_grad_()
    mmd = page("latents").mmd(z, z.detach().clone(), kernel=kernel, biased=True)
    torch.testing.assert_close(mmd, torch.zeros_like(mmd))
    (pull,) = torch.autograd.grad(mmd, z)
    torch.testing.assert_close(pull, torch.zeros_like(pull))


@pytest.mark.parametrize("kernel", ["multiquadric", "gaussian"])
@pytest.mark.parametrize("biased", [False, True])
def test_mmd_pair_by_pair(kernel: str, biased: bool) -> None:
    a, b = normal(4, 3), normal(5, 3, seed=1) + 1

    def k(p: Tensor, q: Tensor) -> float:
        square = float(((p - q) ** 2).sum())
        return 2 * 3 / (2 * 3 + square) if kernel == "multiquadric" else float(torch.tensor(-square / 3).exp())

    def within(s: Tensor) -> float:
        pairs = [k(p, q) for i, p in enumerate(s) for j, q in enumerate(s) if biased or i != j]
        return sum(pairs) / len(pairs)

    expected = within(a) + within(b) - 2 * sum(k(p, q) for p in a for q in b) / 20
    assert float(page("latents").mmd(a, b, kernel=kernel, biased=biased)) == pytest.approx(expected, rel=1e-5)


def test_aae_phases_move_one_side_each_by_the_loss_by_hand() -> None:
    model = small("aae")
    x = images()

    def code_logit() -> Tensor:
        return model.latent_critic(model.encoder(x).mean).logit

    def tell() -> Tensor:
        return told(model.latent_critic(prior(model)).logit, real=True) + told(code_logit(), real=False)

    rec = by_hand(model, "encoder", "decoder", loss=lambda: squared(x, model.decoder(model.encoder(x).mean)))
    assert_same(gradients(model, 0), rec)
    assert_same(gradients(model, 1), by_hand(model, "latent_critic", loss=tell))
    assert_same(gradients(model, 2), by_hand(model, "encoder", loss=lambda: told(code_logit(), real=True)))


def test_a_critic_of_codes_refuses_images() -> None:
    told = r"slot 'latent_critic' \(critic 'mlp'\) expects B x 8 .* handed B x 1 x 16 x 16"
    with pytest.raises(RecipeError, match=told):
        small("aae", values={"critic_z": {"use": "critic_x", "with": {"critic": "latent_critic", "x": "x"}}})


def test_a_second_critic_leaves_the_generator_alone_and_pulls_the_encoder() -> None:
    rest = {"generator": {"reverse_kl": 1.0, "latent_nll": 0.1}, "critic": {"discriminate": 1.0}}
    phase = {"encoder + decoder": {"reconstruction": 1.0, "kl": 1.0}, **rest}
    one, two = small("avae", "noise=3", phases=[phase]), small("avae-two-critics", "noise=3")
    alone, both = gradients(one), gradients(two)
    untouched = {key: value for key, value in alone.items() if not key.startswith("encoder")}
    assert_same({key: both[key] for key in untouched}, untouched)

    def fooled() -> Tensor:
        return told(two.latent_critic(posterior_code(two)).logit, real=True)

    pull = by_hand(two, "encoder", loss=fooled)
    assert_same({key: both[key] - alone[key] for key in pull}, pull)
    assert {key.split(".")[0] for key in both.keys() - alone.keys()} == {"latent_critic"}


# -- weights that change, cycles ---------------------------------------------------------------------------


@pytest.mark.parametrize(("step", "beta"), [(0, 0.0), (125, 1.0), (500, 4.0), (501, 4.0)])
def test_beta_warms_up(step: int, beta: float) -> None:
    model = small("beta-vae")
    z_noise = model.draw("train", step, (), "z_posterior").normal(BATCH, LATENT)

    def loss() -> Tensor:
        q = model.encoder(images())
        return squared(images(), model.decoder(q.mean + q.sigma * z_noise)) + beta * kl(q)

    assert_same(gradients(model, step=step), by_hand(model, "encoder", "decoder", loss=loss))


def test_alice_adds_the_cycle_to_bigan_and_spares_the_critic() -> None:
    plain, cycled = small("bigan"), small("alice")
    without, found = gradients(plain), gradients(cycled)
    x = images()

    def cycle() -> Tensor:
        code = cycled.encoder(x).mean
        return 0.01 * squared(x, cycled.generator(code, code[:, :0]))

    pull = by_hand(cycled, "encoder", "generator", loss=cycle)
    assert_same(found, {key: value + pull.get(key, 0.0) for key, value in without.items()})
    assert not any(key.startswith("critic") for key in pull)


# -- the encoder as its own critic -------------------------------------------------------------------------


def test_one_term_has_opposite_signs_in_two_rows() -> None:
    only = {"use": "kl", "with": {"posterior": "posterior_generated"}}
    rows = {"encoder": {"k": {**only, "weight": -1.0}}, "decoder": {"k": {**only, "weight": 1.0}}}
    model = small("age", phases=[rows])
    found = gradients(model)
    whole = by_hand(model, "encoder", "decoder", loss=lambda: kl(model.encoder(model.decoder(prior(model)))))
    assert_same(found, {key: -value if key.startswith("encoder") else value for key, value in whole.items()})


def intro(model: Model, held: bool) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
    """IntroVAE's two losses (Huang et al. 2018, algorithm 1); ``held`` stops the gradient at E's own fakes."""

    @cache
    def fakes() -> tuple[Tensor, Tensor]:
        return model.decoder(posterior_code(model)), model.decoder(prior(model))

    def encoder() -> Tensor:
        margins = [torch.relu(100 - kl(model.encoder(f.detach() if held else f))) for f in fakes()]
        return 0.05 * squared(images(), fakes()[0]) + kl(model.encoder(images())) + 0.25 * sum(margins)

    def decoder() -> Tensor:
        return 0.05 * squared(images(), fakes()[0]) + 0.25 * sum(kl(model.encoder(f)) for f in fakes())

    return encoder, decoder


def test_introvae_rows_are_the_losses_of_its_paper() -> None:
    model = small("introvae")
    held = by_hand(model, "encoder", loss=intro(model, held=True)[0])
    assert_same(gradients(model, 0), held)
    assert_same(gradients(model, 1), by_hand(model, "decoder", loss=intro(model, held=True)[1]))
    leaking = by_hand(model, "encoder", loss=intro(model, held=False)[0])
    assert any((leaking[key] - held[key]).abs().max() > 1e-6 for key in held)


def test_held_fakes_carry_no_gradient_and_margins_turn_the_sign() -> None:
    margin = {"use": "kl_margin", "with": {"posterior": "judged_gen"}, "margin": 1000.0}
    reading = {"use": "kl", "with": {"posterior": "judged_gen"}}
    pushed, pulled = (gradients(small("introvae", phases=[{"encoder": {"k": k}}])) for k in (margin, reading))
    assert_same(pushed, {key: -value for key, value in pulled.items()})
    with pytest.raises(RecipeError, match="'decoder' learns nothing"):
        small("introvae", phases=[{"encoder + decoder": {"k": reading}}])


def test_introvae_decoder_answers_the_moved_encoder() -> None:
    sgd = "train.optimizer={use: sgd, lr: 1e-3}"
    model, other = small("introvae", sgd), small("introvae", sgd)
    Engine(model).step(images)
    for phase in (0, 1):
        moves = gradients(other, phase)
        with torch.no_grad():
            for key, gradient in moves.items():
                other.get_parameter(key).sub_(1e-3 * gradient)
    assert_same(dict(model.named_parameters()), dict(other.named_parameters()))


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
    model = small("vqvae", "slots.prior={use: codebook, entries: 4, parts: 2}")
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
    model = small("vqgan", "slots.critic.norm=none")
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
    model = small("vqgan", "phases.0.encoder+decoder.fool.weight.start=2", "phases.1.start=2")
    engine, still = Engine(model), [p.detach().clone() for p in model.critic.parameters()]
    heard = [engine.step(images).keys() for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(model.critic.parameters(), still, strict=True))
    heard.append(engine.step(images).keys())
    assert ["critic/hinge" in losses for losses in heard] == [False, False, True]
    assert ["encoder + decoder/fool" in losses for losses in heard] == [False, False, True]
    assert not all(torch.equal(a, b) for a, b in zip(model.critic.parameters(), still, strict=True))


def test_a_layer_that_is_not_there_is_named() -> None:
    with pytest.raises(RecipeError, match=r"the decoder has no weight 'paint.9.weight'; choices: paint.0.0.weight"):
        small("vqgan", values={"balance": {"use": "balance", "layer": "paint.9"}})
