"""The words of contracts: what they come to, what they admit, and what is said of those that come to nothing."""

from __future__ import annotations

import re
from typing import Any

import pytest

from zoo.recipe.contract import bound
from zoo.recipe.dimensions import number
from zoo.recipe.misfit import dims

SIZES = {"C": 3, "H": 32, "W": 48, "channels": 3, "size": 32, "latent": 64, "noise": 0}
OPTIONS = {"depth": 4, "factor": 8, "act": "relu", "rate": 0.5, "deep": True, "grid": [2, 3], "none": None}
NUMBERS: dict[str, Any] = SIZES | OPTIONS


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("7", 7),
        ("H/factor", 4),
        ("2*depth", 8),
        ("2*(depth+1)-C", 7),
        ("H*W/factor/2", 96),
        ("H-2*depth*4", 0),
        ("(H+W)/(2*depth)", 10),
        ("1+2*3", 7),
        ("noise", 0),
    ],
)
def test_a_word_comes_to_its_number(word: str, value: int) -> None:
    assert number(word, NUMBERS) == value


def admits(text: str, *shapes: tuple[int, ...], **numbers: Any) -> bool:
    """Whether tensors, those that go in first, keep a contract."""
    contract = bound(text, {**NUMBERS, **numbers})
    letters: dict[str, int] = {}
    promised = [*contract.inputs, *contract.outputs]
    return all(shape.admits(given, letters) for shape, given in zip(promised, shapes, strict=True))


@pytest.mark.parametrize(
    ("text", "shapes", "kept"),
    [
        ("B C H W -> B depth H/factor W/factor", [(2, 3, 32, 48), (2, 4, 4, 6)], True),
        ("B C H W -> B depth H/factor W/factor", [(2, 3, 32, 48), (2, 4, 6, 4)], False),
        ("-> depth latent", [(4, 64)], True),  # what takes nothing
        ("B C H W -> B latent", [(2, 3, 32, 48), (1, 64)], False),  # the batch is one number, too
        ("B C H W -> 2*B latent", [(2, 3, 32, 48), (4, 64)], True),
        ("B N K, B N -> B K", [(2, 5, 9), (2, 5), (2, 9)], True),
        ("B N K, B N -> B K", [(2, 5, 9), (2, 9), (2, 9)], False),
        ("B N K -> B N/2 K", [(2, 6, 9), (2, 3, 9)], True),
        ("B N K -> B N/2 K", [(2, 7, 9), (2, 3, 9)], False),  # half of 7 is no size
        ("B n -> B n+depth", [(2, 6), (2, 10)], True),
        ("B ... -> B", [(2, 6, 1, 2), (2,)], True),
        ("B ... -> B", [(2,), (2,)], True),
        ("B ... C -> B", [(2, 6, 3), (2,)], True),
        ("B ... C -> B", [(3,), (3,)], False),
        ("B ... H W -> B", [(2, 32), (2,)], False),
        ("... -> ...", [(), (4, 4)], True),
        ("B grid -> B", [(2, 2, 3), (2,)], True),
        ("B grid -> B", [(2, 6), (2,)], False),
        ("B C H W -> B latent, B 7 7 8", [(2, 3, 32, 48), (2, 64), (2, 7, 7, 8)], True),
    ],
)
def test_tensors_keep_a_contract_or_do_not(text: str, shapes: list[tuple[int, ...]], kept: bool) -> None:
    assert admits(text, *shapes) is kept


def test_latent_stands_for_all_dimensions_of_a_code() -> None:
    assert admits("B latent -> B C", (2, 4, 8, 8), (2, 3), latent=(4, 8, 8))
    assert not admits("B latent -> B C", (2, 256), (2, 3), latent=(4, 8, 8))
    assert str(bound("B latent -> B C", {**NUMBERS, "latent": (4, 8, 8)}).inputs[0]) == "B x 4 x 8 x 8"


def test_a_name_that_an_option_has_is_no_free_letter() -> None:
    assert not admits("B n -> B", (2, 6), (2,), n=5)


def test_made_up_inputs_keep_the_contract() -> None:
    text = "B N K, B N/2 depth, B ... -> B"
    assert bound(text, NUMBERS).made_up(3) == [[3, 12, 16], [3, 6, 4], [3, 32, 48]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("B C H W", "contract 'B C H W' has no '->'"),
        ("B dept -> B", "'dept' is no size and no option; did you mean 'depth'?"),
        ("B zzzzz -> B", "'zzzzz' is no size and no option; choices: B, C, H, W, channels, depth, "),
        ("B act -> B", "'act' is 'relu' here, which is no whole number"),
        ("B 2*rate -> B", "'rate' is 0.5 here, which is no whole number"),
        ("B deep -> B", "'deep' is true here, which is no whole number"),
        ("B none -> B", "'none' is null here, which is no whole number"),
        ("B H/5 -> B", "'H/5' does not come out even: H is 32; make H a multiple of 5"),
        (
            "B (H+1)/factor -> B",
            "'(H+1)/factor' does not come out even: H + 1 is 33 and factor is 8; "
            "make H + 1 a multiple of 8, or change factor",
        ),
        ("B H/noise -> B", "'H/noise' does not come out even: H is 32 and noise is 0; noise must not be 0"),
        ("B depth-C-C -> B", "'depth-C-C' comes to -2, which is no size"),
        ("B N*2 -> B", "'N*2' is reckoned from 'N', which is no dimension before it"),
        ("B ... 3 ... -> B", "'B ... 3 ...' has '...' twice"),
        ("B H**2 -> B", "'H**2' is no dimension; one is a letter, a size, an option, a number, '...', or these with"),
        ("B H// -> B", "'H//' is no dimension"),
        ("B 2.5 -> B", "'2.5' is no dimension"),
        ("B f(H) -> B", "'f(H)' is no dimension"),
        ("B 2*grid -> B", "'2*grid' takes 'grid' for one number, and it is 2 x 3"),
    ],
)
def test_what_comes_to_nothing_is_a_sentence(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        bound(text, NUMBERS)


def test_a_shape_is_told_with_the_batch_or_with_what_is_not_it() -> None:
    assert dims((2, 5)) == dims((2, 5), {"B": 2}) == "B x 5"
    assert dims((4, 5), {"B": 2}) == "4 x 5"
    assert dims(()) == "a scalar"
