"""Quantisers against arithmetic by hand and the library vector-quantize-pytorch; metrics, alarms, networks."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize
from zoo_quantise import codebooks, fixed, metrics, networks, values
from zoo_quantise.quantised import Quantised, Quantiser, perplexity

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import vector_quantize_pytorch as library

B, D, SHAPE = 3, 4, (4, 2, 5)


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def last(z: Tensor) -> Tensor:
    """(B, D, ...) -> (B, P, D), as the library has it."""
    return z.flatten(2).transpose(1, 2)


# -- the nearest entries -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4,), (4, 5), SHAPE], ids=["vectors", "tokens", "maps"])
def test_codes_are_their_nearest_entries_with_the_gradient_of_the_codes(shape: tuple[int, ...]) -> None:
    vq = codebooks.VQ(shape, entries=6, learn="gradient").double().eval()
    z = randn(B, *shape).requires_grad_()
    found, table = vq(z), vq.books[0].table()
    assert found.index.shape == (B, 1, *shape[1:])
    codes, entries, index = z.reshape(B, 4, -1), found.entries.reshape(B, 4, -1), found.index.reshape(B, -1)
    for i in range(B):
        for place in range(codes.shape[2]):
            best = (table - codes[i, :, place]).square().sum(1).argmin()
            assert index[i, place] == best
            assert torch.equal(entries[i, :, place], table[best])
    torch.testing.assert_close(found.code, found.entries[:, 0])
    torch.testing.assert_close(vq.lookup(found.index), found.code)
    weights = randn(B, *shape, seed=1)
    assert torch.equal(torch.autograd.grad((found.code * weights).sum(), z)[0], weights)
    (pull,) = torch.autograd.grad(values.codebook(found, held(found), z.detach()), vq.books[0].weight)
    expected = sum(
        2 * (table[k] - codes[i, :, p]).detach()[None] * (torch.arange(6) == k)[:, None] / B
        for i in range(B)
        for p, k in enumerate(index[i].tolist())
    )
    torch.testing.assert_close(pull, expected)
    (drawn,) = torch.autograd.grad(values.commitment(z, held(found)), z)
    torch.testing.assert_close(drawn, (2 * (z - found.entries[:, 0]) / B).detach())
    pull, paid = values.commitment(z, held(found)), values.commitment(z, held(found), per="number")
    torch.testing.assert_close(paid * z[0].numel(), pull)


def held(found: object) -> object:
    return type(found)(*(tensor.detach() for tensor in (found.code, found.entries, found.index)))


def test_normalised_codes_and_entries_have_length_1() -> None:
    vq, z = codebooks.VQ(SHAPE, entries=6, normalised=True).double().eval(), randn(B, *SHAPE)
    assert torch.equal(vq.prepared(z), normalize(z, dim=1))
    found = vq(values.codes(vq, z))
    torch.testing.assert_close(found.entries.norm(dim=2), torch.ones(B, 1, 2, 5, dtype=torch.float64))
    alike = last(normalize(z, dim=1)) @ vq.books[0].table().T
    assert torch.equal(found.index[:, 0].flatten(1), alike.argmax(2))


def test_means_of_codes_are_those_of_the_library() -> None:
    ours = codebooks.VQ((D, 8), entries=5, decay=0.9, revive=0.0).double().train()
    theirs = library.VectorQuantize(
        dim=D, codebook_size=5, decay=0.9, commitment_weight=0.0, rotation_trick=False, eps=0.0
    ).double()
    book = theirs._codebook
    with torch.no_grad():
        book.embed.copy_(ours.books[0].table()[None])
        book.embed_avg.zero_()  # ours begin at nothing, and so do means that forget nothing of where they began
        book.cluster_size.zero_()
        for step in range(6):
            z = randn(B, D, 8, seed=step)
            with torch.enable_grad():
                _, index, _ = theirs.train()(last(z))
                found = ours(z)
            assert torch.equal(found.index[:, 0], index), step
            used = book.cluster_size[0] > 0
            torch.testing.assert_close(ours.books[0].table()[used], book.embed[0][used], rtol=1e-4, atol=1e-4)


def test_residual_quantisation_is_that_of_the_library() -> None:
    ours = codebooks.ResidualVQ((D, 8), books=3, entries=5).double().eval()
    theirs = library.ResidualVQ(dim=D, codebook_size=5, num_quantizers=3, rotation_trick=False).double().eval()
    for mine, other in zip(ours.books, theirs.layers, strict=True):
        other._codebook.embed.data.copy_(mine.table()[None])
    z = randn(B, D, 8)
    code, index, _ = theirs(last(z))
    found = ours(z)
    assert torch.equal(found.index, index.movedim(2, 1))
    torch.testing.assert_close(last(found.code), code)
    torch.testing.assert_close(ours.lookup(found.index), found.code)
    left, total = z, 0.0
    for entry in found.entries.unbind(1):
        total = total + (left - entry).square().sum() / B
        left = left - entry
    torch.testing.assert_close(values.commitment(z, found), total)
    few = ours(z, kept=torch.tensor([1, 2, 3]))
    assert torch.equal(few.entries[0, 1:], torch.zeros_like(few.entries[0, 1:]))
    torch.testing.assert_close(few.code[1], found.entries[1, :2].sum(0))
    torch.testing.assert_close(few.code[2], found.code[2])


def test_simvq_is_that_of_the_library() -> None:
    ours, z = codebooks.SimVQ((D, 8), entries=6).double().eval(), randn(B, D, 8)
    theirs = library.SimVQ(dim=D, codebook_size=6, rotation_trick=False).double().eval()
    with torch.no_grad():
        theirs.frozen_codebook.copy_(ours.books[0].frozen)
        theirs.code_transform.weight.copy_(ours.books[0].map.weight)
    code, index, _ = theirs(last(z))
    assert torch.equal(ours(z).index[:, 0], index)
    torch.testing.assert_close(last(ours(z).code), code)


# -- grids -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [(8, 5, 5, 5), (3, 4, 7)])
def test_fsq_is_that_of_the_library(levels: tuple[int, ...]) -> None:
    ours, z = fixed.FSQ((len(levels), 8), levels=levels).double(), (3 * randn(B, len(levels), 8)).requires_grad_()
    code, index = library.FSQ(list(levels))(last(z))
    found = ours(z)
    torch.testing.assert_close(last(found.code), code)
    assert torch.equal(found.index[:, 0], index.long())
    grads = [torch.autograd.grad(c.square().sum(), z, retain_graph=True)[0] for c in (found.code, code)]
    torch.testing.assert_close(*grads)


def test_all_levels_are_reached_and_numbered() -> None:
    ours = fixed.FSQ((2,), levels=(4, 3)).double()
    z = torch.cartesian_prod(*[torch.linspace(-5, 5, 41, dtype=torch.float64)] * 2)
    found = ours(z)
    assert found.index.unique().tolist() == list(range(12))
    torch.testing.assert_close(ours.lookup(found.index), found.code)
    assert found.code[:, 0].unique().tolist() == [-1.0, -0.5, 0.0, 0.5]
    assert found.code[:, 1].unique().tolist() == [-1.0, 0.0, 1.0]


@pytest.mark.parametrize("spherical", [False, True])
def test_entropies_of_signs_are_sums_over_all_entries(spherical: bool) -> None:
    lfq, z, heat = fixed.LFQ((D, 8), spherical=spherical).double(), randn(B, D, 8) / 3, 0.4
    signs = torch.tensor([[1.0 if n >> b & 1 else -1.0 for b in range(D)] for n in range(2**D)]).double()
    codes = last(lfq.prepared(z)).flatten(0, 1)
    table = signs * (D**-0.5 if spherical else 1)
    p = (-(codes[:, None] - table).square().sum(2) / heat).softmax(1)
    each, together = lfq.entropies(z, heat)
    torch.testing.assert_close(each, torch.special.entr(p).sum(1).mean())
    torch.testing.assert_close(together, torch.special.entr(p.mean(0)).sum())
    term = values.code_entropy(lfq, z, temperature=heat, diversity=0.5)
    torch.testing.assert_close(term, 8 * (each - 0.5 * together))
    found = lfq(z)
    torch.testing.assert_close(last(found.code), table[found.index[:, 0]])
    torch.testing.assert_close(lfq.lookup(found.index), found.code)
    sure = (1e3 * z).requires_grad_()
    pulls = torch.autograd.grad(values.code_entropy(lfq, sure, temperature=1e-6), sure)
    assert all(pull.isfinite().all() for pull in pulls), "where entropies are 0 their slopes are not infinite"


def test_lfq_is_that_of_the_library() -> None:
    z = randn(B, D, 8) / 3
    theirs = (
        library.LFQ(dim=D, codebook_size=2**D, entropy_loss_weight=1.0, commitment_loss_weight=0.0).double().train()
    )
    (code, _, _), losses = theirs(last(z), inv_temperature=5.0, return_loss_breakdown=True)
    ours = fixed.LFQ((D, 8)).double()
    torch.testing.assert_close(last(ours(z).code), code)
    # theirs takes 2 z . entry times the inverse temperature, which is -|z - entry|^2 but for what entries share
    each, together = ours.entropies(z, 1 / 5.0)
    torch.testing.assert_close(each.float(), losses.per_sample_entropy)
    torch.testing.assert_close(together.float(), losses.batch_entropy)


# -- codebooks in use --------------------------------------------------------------------------------------


@pytest.mark.parametrize("learn", ["ema", "gradient"])
def test_a_codebook_begins_at_codes_and_dead_entries_are_revived(learn: str) -> None:
    vq = codebooks.VQ((D, 32), entries=8, learn=learn).double().train()
    first, z = vq.books[0].table().clone(), randn(B, D, 32) + 40
    places = {name: buffer.data_ptr() for name, buffer in vq.named_buffers()}
    vq(z)
    assert vq(z).index.unique().numel() > 4, "far from all codes, only one entry would be used"
    stayed = torch.isclose(first, vq.books[0].table()).all(1).sum()
    assert stayed == (learn == "gradient"), "but for the one entry that the first codes were given"
    there = {name: buffer.data_ptr() for name, buffer in vq.named_buffers()}
    assert there == places, "a recorded step finds what is kept where it was"
    codes = last(z).flatten(0, 1)
    dead = 5
    vq.books[0].usage[dead] = 0.0
    vq.books[0].spare[dead] = codes[7]
    vq.books[0]._revive()
    torch.testing.assert_close(vq.books[0].table()[dead], codes[7], rtol=1e-5, atol=0)


def test_nothing_moves_where_nobody_learns() -> None:
    vq = codebooks.VQ((D, 32), entries=8).double().train()
    before = {key: value.clone() for key, value in vq.state_dict().items()}
    with torch.no_grad():
        vq(randn(B, D, 32))
    vq.eval()(randn(B, D, 32))
    assert all(torch.equal(before[key], value) for key, value in vq.state_dict().items())


def test_usage_and_perplexity() -> None:
    quantiser = Quantiser((4, 8))
    index = torch.tensor([[[0, 1, 1, 3], [0, 0, 0, 0]], [[0, 1, 3, 3], [4, 4, 4, 4]]])  # (B 2, Q 2, places 4)
    found = Quantised(torch.zeros(2, 1, 4), torch.zeros(2, 2, 1, 4), index)
    halves = [Quantised(*(t[i : i + 1] for t in (found.code, found.entries, found.index))) for i in range(2)]
    p = [2 / 8, 3 / 8, 3 / 8]
    first = math.exp(-sum(x * math.log(x) for x in p))
    for metric, expected in ((metrics.Usage, (3 / 4 + 2 / 8) / 2), (metrics.Perplexity, (first + 2) / 2)):
        whole, part, other = metric(), metric(), metric()
        whole.update(found, quantiser)
        part.update(halves[0], quantiser)
        other.update(halves[1], quantiser)
        part.merge([other])
        assert whole.compute() == part.compute() == pytest.approx(expected)
        assert whole.details()["used"] == [3, 2]
    assert perplexity(torch.ones(7)) == pytest.approx(7)


def test_an_alarm_before_all_codes_are_one() -> None:
    vq = codebooks.VQ((D, 32), entries=64, revive=0.0).double().train()
    assert vq.alarm() == ""
    for _ in range(600):
        vq(torch.ones(B, D, 32, dtype=torch.float64))
    assert vq.alarm().startswith("codebook collapse: its codebook of 64 entries is used as if it had 1")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: fixed.FSQ((3, 8, 8)), "4 levels, .* do not fit codes of 3 channels"),
        (lambda: fixed.FSQ((2,), levels=(8, 1)), "have one of 1: choose 2 or more"),
        (lambda: fixed.LFQ((30, 8)), r"2\^30 entries: take 22 channels or fewer"),
        (lambda: codebooks.VQ((4,), entries=1), "a codebook of 1 entries tells nothing"),
        (lambda: codebooks.VQ((4,), decay=1.0), "decay is what is kept of a mean"),
        (lambda: codebooks.ResidualVQ((4,), books=0), "books 0 is none"),
        (lambda: networks.Encoder(3, factor=8), r"5 levels, .* which does not make a factor of 8"),
        (lambda: networks.Decoder(3, 64, (4, 24, 24)), "codes of 24 x 24 places do not divide images of 64 x 64"),
    ],
)
def test_what_cannot_be_is_refused(make: object, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        make()
