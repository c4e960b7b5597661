"""Losses of critics, penalties on their slopes, augmentations they see, distances and weights: against closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
import yaml
import zoo_losses.adversarial as adversarial
import zoo_losses.augmented as augmented
import zoo_losses.codes as codes
import zoo_losses.distances as distances
import zoo_losses.slopes as slopes
from torch import Tensor, nn
from torch.distributions import Normal
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from zoo_critics.patch import MultiScale, Patch

import zoo
from zoo.api import CriticOutput, Draw
from zoo.engine.engine import Engine
from zoo.recipe import load_recipe
from zoo.recipe.schema import Term

B = 5
PARTS = Path(__file__).parents[1] / "parts"


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def draw(*key: object) -> Draw:
    return Draw(*key, device=torch.device("cpu"), dtype=torch.float64)


# -- losses ------------------------------------------------------------------------------------------------


def by_hand(real: list[float], fake: list[float]) -> dict[str, float]:
    """Every loss as a loop over logits."""
    n = len(real)
    return {
        "hinge": sum(max(0, 1 - r) + max(0, 1 + f) for r, f in zip(real, fake, strict=True)) / n,
        "least_squares": sum((r - 1) ** 2 / 2 + f**2 / 2 for r, f in zip(real, fake, strict=True)) / n,
        "wasserstein": (sum(fake) - sum(real)) / n,
        "relativistic": sum(math.log1p(math.exp(f - r)) for r, f in zip(real, fake, strict=True)) / n,
        "relativistic_generator": sum(math.log1p(math.exp(r - f)) for r, f in zip(real, fake, strict=True)) / n,
        "consistency": sum((r - f) ** 2 for r, f in zip(real, fake, strict=True)) / n,
    }


@pytest.mark.parametrize("shape", [(B,), (B, 1, 3, 2)], ids=["numbers", "maps"])
def test_losses_of_logits_and_of_maps_of_them(shape: tuple[int, ...]) -> None:
    real, fake = 2 * randn(*shape), 2 * randn(*shape, seed=1)
    expected = by_hand(real.flatten().tolist(), fake.flatten().tolist())
    for name, value in expected.items():
        found = getattr(adversarial, name)(CriticOutput(real), CriticOutput(fake))
        assert float(found) == pytest.approx(value, rel=1e-12), name
    generator = adversarial.least_squares_generator(CriticOutput(fake))
    torch.testing.assert_close(generator, ((fake - 1) ** 2).mean() / 2)
    ones = torch.ones_like(real)
    torch.testing.assert_close(adversarial.relativistic(CriticOutput(real), CriticOutput(fake)), bce(real - fake, ones))


def test_lecam_pulls_towards_averages_of_the_batches_before() -> None:
    term, decay = adversarial.LeCam(decay=0.9).double(), 0.9
    real, fake = randn(3, B, 1, 2, 2) + 1, randn(3, B, 1, 2, 2, seed=1)
    places = [buffer.data_ptr() for buffer in term.buffers()]
    assert term(CriticOutput(real[0]), CriticOutput(fake[0])) == 0
    for n in (1, 2):
        weights = torch.tensor([decay ** (n - 1 - i) for i in range(n)], dtype=torch.float64)
        of_x, of_fakes = (
            sum(w * b.mean() for w, b in zip(weights, s, strict=False)) / weights.sum() for s in (real, fake)
        )
        expected = (real[n] - of_fakes).clamp(0).square().mean() + (of_x - fake[n]).clamp(0).square().mean()
        torch.testing.assert_close(term(CriticOutput(real[n]), CriticOutput(fake[n])), expected, rtol=1e-12, atol=0)
    assert [buffer.data_ptr() for buffer in term.buffers()] == places, "a recorded step finds them there"
    again = adversarial.LeCam(decay=0.9).double().eval()
    again.load_state_dict(term.eval().state_dict())
    found = [each(CriticOutput(real[0]), CriticOutput(fake[0])) for each in (term, again, again)]
    assert found[0] == found[1] == found[2] > 0, "at evaluation nothing moves"
    with pytest.raises(ValueError, match=r"decay is what is kept .* not 1"):
        adversarial.LeCam(decay=1.0)


# -- slopes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("places", [1, 6])
def test_slope_penalties_of_a_linear_critic_are_the_norm_of_its_weights(places: int) -> None:
    """One with a map of logits has the slope of their mean."""
    w, x = randn(12, places).requires_grad_(), randn(B, 3, 2, 2, seed=1)

    def critic(x: Tensor) -> CriticOutput:
        maps = x.flatten(1) @ w
        return CriticOutput(maps.squeeze(1) if places == 1 else maps.view(len(x), 1, 2, 3))

    slope = w.mean(1)
    penalty, r1, r2 = slopes.gradient_penalty(critic, x), slopes.r1(critic, x), slopes.r2(critic, x)
    torch.testing.assert_close(penalty, (slope.norm() - 1) ** 2)
    torch.testing.assert_close(r1, slope.square().sum() / 2)
    torch.testing.assert_close(r2, r1)
    found, expected = torch.autograd.grad(penalty, w)[0], torch.autograd.grad((slope.norm() - 1) ** 2, w)[0]
    torch.testing.assert_close(found, expected)
    assert not x.requires_grad


def test_r1_of_a_quadratic_critic() -> None:
    a, x = randn(5, 5), randn(B, 5, seed=1)
    a = a + a.T
    r1 = slopes.r1(lambda x: CriticOutput(0.5 * ((x @ a) * x).sum(1)), x)
    torch.testing.assert_close(r1, 0.5 * (x @ a).square().sum(1).mean())


def test_interpolates_lie_between() -> None:
    x, fake = randn(B, 1, 2, 2), randn(B, 1, 2, 2, seed=1)
    u = draw(0).uniform(B, 1, 1, 1)
    torch.testing.assert_close(slopes.interpolates(x, fake, draw(0)), u * x + (1 - u) * fake)


# -- DiffAugment -------------------------------------------------------------------------------------------


def test_augmentations_by_hand() -> None:
    x = randn(B, 3, 8, 6)
    u = draw(1).uniform(B, 3)
    found = augmented.augmented_x(x, draw(1), policy=("colour",))
    for i in range(B):
        one = x[i] + (u[i, 0] - 0.5)
        grey = one.mean(0, keepdim=True)
        one = (one - grey) * 2 * u[i, 1] + grey
        torch.testing.assert_close(found[i], (one - one.mean()) * (u[i, 2] + 0.5) + one.mean())

    u = draw(2).uniform(B, 2)
    found = augmented.augmented_x(x, draw(2), policy=("translation",))
    for i in range(B):
        down, right = (int(float(v) * 3) - 1 for v in u[i])  # an eighth of 8 and of 6 is 1
        for r in range(8):
            for c in range(6):
                inside = 0 <= r + down < 8 and 0 <= c + right < 6
                assert torch.equal(
                    found[i, :, r, c], x[i, :, r + down, c + right] if inside else torch.zeros(3).double()
                )

    u = draw(3).uniform(B, 2)
    found = augmented.augmented_x(x, draw(3), policy=("cutout",))
    for i in range(B):
        row, column = int(float(u[i, 0]) * 9) - 2, int(float(u[i, 1]) * 6) - 1  # squares of 4 x 3
        gone = [(r, c) for r in range(8) for c in range(6) if row <= r < row + 4 and column <= c < column + 3]
        assert {tuple(p) for p in (found[i, 0] == 0).nonzero().tolist()} == set(gone)


def test_gradients_pass_through_augmentations() -> None:
    x = randn(2, 3, 8, 8).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: augmented.augmented_generated(x, draw(0)), x)


# -- distances ---------------------------------------------------------------------------------------------


class Judge(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return (a - b).square().flatten(1).mean(1)


def test_distances_are_the_published_losses_summed() -> None:
    x, rec = randn(B, 3, 4, 2), randn(B, 3, 4, 2, seed=1)
    pixels = distances.pixel_distance(x, rec)
    torch.testing.assert_close(pixels, (x - rec).abs().sum((1, 2, 3)))
    torch.testing.assert_close(distances.pixel_distance(x, rec, distance="squared"), ((x - rec) ** 2).sum((1, 2, 3)))
    judged = distances.perceptual_distance(Judge(), x, rec, pixels, weight=0.5)
    beside = (x - rec).abs() + 0.5 * Judge()(x, rec)[:, None, None, None]  # the published loss: one number beside each
    torch.testing.assert_close(judged, beside.sum((1, 2, 3)))
    torch.testing.assert_close(distances.perceptual_loss(Judge(), x, rec), Judge()(x, rec).mean())
    variance = distances.LearnedVariance(3, 4, 2).double()
    assert torch.equal(distances.scaled_distance(variance, judged), judged)
    with torch.no_grad():
        variance.log_variance.fill_(0.3)
    published = (beside / torch.tensor(0.3).double().exp() + 0.3).sum() / B
    scaled = distances.distance(distances.scaled_distance(variance, judged), x)
    torch.testing.assert_close(scaled, published)
    (slope,) = torch.autograd.grad(scaled, variance.log_variance)
    torch.testing.assert_close(slope, 24 - (beside / torch.tensor(0.3).double().exp()).sum() / B)


def test_optimal_variance_is_the_likelihood_at_its_maximum() -> None:
    x, rec = randn(B, 3, 4, 2), randn(B, 3, 4, 2, seed=1).requires_grad_()
    sigma = (x - rec).square().mean().sqrt().detach()
    nll = -Normal(rec, sigma).log_prob(x).sum() / B
    found = distances.optimal_variance(x, rec)
    torch.testing.assert_close(found, nll - 12 * (1 + math.log(2 * math.pi)))
    torch.testing.assert_close(*(torch.autograd.grad(loss, rec)[0] for loss in (found, nll)))


def test_the_adaptive_weight_is_a_ratio_of_gradients_held() -> None:
    decoder = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 6)).double()
    x, z, v = randn(B, 6), randn(B, 4, seed=1), randn(6, seed=2)
    rec = decoder(z)
    distance, fooling = distances.pixel_distance(x, rec), distances.fooling(CriticOutput(rec @ v))
    last = decoder[2].weight
    above = (torch.sign(rec - x).T @ decoder[:2](z)).div(B).norm()
    below = torch.outer(-v, decoder[:2](z).mean(0)).norm()
    with torch.no_grad():  # as a held value is computed
        weight = distances.adaptive_weight(distance, fooling, decoder)
    torch.testing.assert_close(weight, (above / (below + 1e-4)).detach())
    assert not weight.requires_grad
    assert float(distances.adaptive_weight(distance, fooling, decoder, most=0.5)) == 0.5
    found = torch.autograd.grad(distances.adaptive_fooling(fooling, weight), last, retain_graph=True)[0]
    torch.testing.assert_close(found, weight * torch.outer(-v, decoder[:2](z).mean(0)))
    first = distances.adaptive_weight(distance, fooling, decoder, layer="0")
    assert first != weight
    with pytest.raises(ValueError, match=r"no weight '1\.weight'; choices: 0\.weight, 2\.weight"):
        distances.adaptive_weight(distance, fooling, decoder, layer="1")


# -- codes -------------------------------------------------------------------------------------------------


def test_alignment_by_loops() -> None:
    z, f = randn(2, 5, 2, 3), randn(2, 5, 2, 3, seed=1)
    places = [(i, j) for i in range(2) for j in range(3)]

    def cos(a: Tensor, b: Tensor) -> float:
        return float(a @ b / a.norm() / b.norm())

    near, alike = 0.0, 0.0
    for b in range(2):
        for p in places:
            near += max(0.0, 1 - 0.3 - cos(z[b, :, *p], f[b, :, *p])) / 12
            for q in places:
                gap = abs(cos(z[b, :, *p], z[b, :, *q]) - cos(f[b, :, *p], f[b, :, *q]))
                alike += max(0.0, gap - 0.1) / 72
    found = codes.feature_alignment(z, f, cosine_margin=0.3, distance_margin=0.1)
    assert float(found) == pytest.approx(near + alike)
    with pytest.raises(ValueError, match="codes are 5 x 2 x 3 and the teacher's features 4 x 2 x 3: set features"):
        codes.feature_alignment(z, f[:, :4])


def test_alignment_weighs_what_makes_both_gradients_as_long() -> None:
    """VA-VAE's adaptive weight, as the page on autoencoders has it, at the encoder's last layer."""
    recipe = yaml.safe_load((PARTS / "aligned.yaml").read_text())
    recipe["values"] |= {
        "gap": "alignment_gap",
        "gap_weight": {"use": "adaptive_weight", "with": {"fooling": "gap", "decoder": "encoder"}},
    }
    of = {"fooling": "gap", "adaptive_weight_held": "gap_weight_held"}
    alone = {"distance": 1.0, "aligned": {"use": "adaptive_fooling", "weight": 0.1, "with": of}}
    model = zoo.build(recipe | {"phases": [{"encoder + decoder + alignment": alone}]}).to(torch.float64)
    engine, found = Engine(model, optimizers=False), dict[str, float]()
    last = [p for p in model.encoder.parameters() if p.ndim > 1][-1]

    def look(_: object, term: Term, taken: Callable[[], Mapping[str, Tensor]]) -> None:
        gradients = taken()
        (name,) = [name for name, p in model.named_parameters() if p is last]
        found[term.label] = gradients[name].norm().item()

    engine.by_term(engine.plan(model.recipe.phases[0]), {"x": randn(4, 3, 32, 32).clamp(-1, 1)}, look)
    assert found["aligned"] == pytest.approx(found["distance"], rel=1e-3)


def test_codes_turn_as_images_do() -> None:
    turns = codes.turns(400, draw(0))
    assert turns.unique().tolist() == [0, 1, 2, 3]
    assert (turns == 0).double().mean().item() == pytest.approx(0.5, abs=0.1)
    x, z = randn(4, 3, 8, 8), randn(4, 2, 4, 4, seed=1)
    for found, given in ((codes.x_turned(x, torch.arange(4)), x), (codes.codes_turned(z, torch.arange(4)), z)):
        assert all(torch.equal(found[k], torch.rot90(given[k], k, (1, 2))) for k in range(4))
    with pytest.raises(ValueError, match="quarter turns are of square maps, and this is 3 x 8 x 6"):
        codes.x_turned(x[..., :6], turns)


def test_codes_shrink_as_images_do() -> None:
    z, x = randn(1, 1, 16, 16), randn(2, 1, 64, 64, seed=1)

    def sides(steps: int, **options: float) -> list[int]:
        return [codes.codes_shrunk(z, step, **options).shape[-1] for step in range(steps)]

    found = sides(2000)
    assert found[0] == 16
    shares = [found.count(side) / 2000 for side in range(4, 17)]
    assert shares == pytest.approx([0.5 / 12] * 12 + [0.5], abs=0.003)
    assert all({*found[start : start + 40]} >= {4, 15, 16} for start in range(0, 2000, 40))
    assert {*sides(99, share=0)} == {16}
    assert min(sides(99, least=0.6, share=1)) == 10
    step = found.index(8)
    shrunk = codes.codes_shrunk(z, step)
    torch.testing.assert_close(shrunk, torch.nn.functional.interpolate(z, (8, 8), mode="bilinear", antialias=True))
    torch.testing.assert_close(
        codes.x_shrunk(x, z, shrunk), torch.nn.functional.interpolate(x, (32, 32), mode="bilinear", antialias=True)
    )
    assert codes.codes_shrunk(z, 0) is z
    for wrong in ({"least": 0.0}, {"share": 1.5}):
        with pytest.raises(ValueError, match=r"'least' is in \(0, 1\] and 'share' in \[0, 1\]"):
            codes.codes_shrunk(z, 0, **wrong)


@pytest.mark.parametrize("name", ["aligned", "scaled"])
def test_the_distance_is_of_what_was_turned(name: str) -> None:
    """What the pages say of EQ-VAE: the codes that the row decodes are the turned ones, in every distance it has."""
    graph = load_recipe(PARTS / f"{name}.yaml").graph
    turned = {"codes_turned", "x_turned", "reconstruction_turned"}
    assert turned | {"scaled": {"codes_shrunk", "x_shrunk"}}.get(name, set()) <= {*graph.order(["distance"])}
    assert "reconstruction" not in graph.order(["distance"])


# -- critics -----------------------------------------------------------------------------------------------


def test_a_logit_of_the_patch_critic_sees_a_patch_of_70_pixels() -> None:
    critic = Patch(3, 128, width=2, norm="none").double().eval()
    x = randn(1, 3, 128, 128).requires_grad_()
    logit = critic(x).logit
    assert logit.shape == (1, 1, 14, 14)
    (seen,) = torch.autograd.grad(logit[0, 0, 7, 7], x)
    rows = seen.abs().sum((0, 1, 3)).nonzero()
    assert int(rows[-1] - rows[0]) + 1 == 70
    widths = [layer[0].weight.shape[0] for layer in Patch(3, 128).layers]
    assert widths == [64, 128, 256, 512], "as published"


def test_scales_weigh_the_same() -> None:
    critic = MultiScale(3, 32, scales=3, width=2, layers=2, norm="group").double()
    x = randn(2, 3, 32, 32)
    means = [
        one(nn.functional.avg_pool2d(x, 2**i) if i else x).flatten(1).mean(1) for i, one in enumerate(critic.critics)
    ]
    logit = critic(x).logit
    assert logit.shape == (2, 3, 8, 8)
    torch.testing.assert_close(logit.mean((2, 3)), torch.stack(means, 1))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Patch(3, 16), "images of 16 px leave no patch after 3 layers"),
        (lambda: Patch(3, 64, layers=0), "layers 0 is none"),
        (lambda: MultiScale(3, 24, scales=2), r"halve a side 4 times, and 24 px cannot be"),
        (lambda: MultiScale(3, 32, scales=0), "scales 0 is none"),
    ],
)
def test_critics_refuse_what_cannot_be(make: object, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        make()


# -- path length ---------------------------------------------------------------------------------------------


def test_path_length_is_the_variance_about_an_average_of_all_that_was_seen() -> None:
    term, means = slopes.PathLength(decay=0.75).double().train(), []
    for turn in range(3):
        given = randn(7, 2, 5, seed=turn)
        lengths = torch.stack([(one.square().sum() / 2).sqrt() for one in given])  # of two layers, their squares' mean
        means.append(lengths.mean())
        weights = torch.tensor([0.75 ** (turn - i) for i in range(turn + 1)], dtype=torch.float64)
        average = (weights * torch.stack(means)).sum() / weights.sum()
        torch.testing.assert_close(term(given), (lengths - average).square().mean())
    before = term.average.clone()
    torch.testing.assert_close(term.eval()(given[:, 0]), (given[:, 0].norm(dim=1) - average).square().mean())
    assert torch.equal(term.average, before)


def test_path_length_refuses_a_decay_that_is_none() -> None:
    with pytest.raises(ValueError, match="from 0 to less than 1, and not 1"):
        slopes.PathLength(decay=1.0)
