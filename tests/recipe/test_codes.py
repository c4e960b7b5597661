"""The shape of a code: written, said by the encoder's contract, or neither; what disagrees, and what cannot take it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import PARTS, Run

import zoo
from zoo.errors import RecipeError, RequestError
from zoo.recipe import load_recipe, write_recipe
from zoo.recipe.schema import Recipe
from zoo.registry import Registry, load_registry

MAPS = Path(__file__).parents[1] / "parts" / "map_parts.py"
SLOTS = {"encoder": "map", "decoder": "map", "prior": "normal"}
VECTORS = {"encoder": "dcgan", "decoder": "dcgan", "prior": "normal"}
BASE: dict[str, Any] = {
    "data": {"use": "digits", "size": 32, "channels": 3},
    "phases": [{"encoder + decoder": {"reconstruction": 1, "kl": 1}}],
    "outputs": {"sample": "decoded_prior", "reconstruction": "reconstruction", "posterior": "posterior"},
}


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry((MAPS, PARTS))


def made(registry: Registry, slots: dict[str, Any], **content: Any) -> Recipe:
    return load_recipe({**BASE, "slots": slots, **content}, registry=registry)


@pytest.mark.parametrize(
    ("slots", "content", "latent"),
    [
        (SLOTS, {}, (4, 8, 8)),
        (SLOTS, {"latent": None}, (4, 8, 8)),
        (SLOTS, {"latent": [4, 8, 8]}, (4, 8, 8)),
        (SLOTS | {"encoder": {"use": "map", "depth": 2, "factor": 8}}, {}, (2, 4, 4)),
        (SLOTS | {"encoder": "tokens", "decoder": "tokens"}, {}, (16, 6)),
        (VECTORS | {"encoder": "says-three"}, {}, 3),
        (VECTORS, {}, 64),
        (VECTORS, {"latent": 7}, 7),
        (VECTORS, {"latent": [7]}, 7),
        ({"code": {"kind": "encoder", "use": "map"}, "decoder": "map", "prior": "normal"}, {}, (4, 8, 8)),
        (SLOTS | {"second_encoder": "tokens"}, {}, (4, 8, 8)),
    ],
)
def test_a_code_has_the_shape_that_is_said(registry: Registry, slots: Any, content: Any, latent: Any) -> None:
    posterior = {} if "encoder" in slots else {"values": {"posterior": {"with": {"encoder": "code"}}}}
    phases = {} if "encoder" in slots else {"phases": [{"code + decoder": {"reconstruction": 1, "kl": 1}}]}
    recipe = made(registry, slots, **content, **posterior, **phases)
    assert recipe.latent == recipe.sizes.latent == latent
    assert recipe.sizes.code == (latent if isinstance(latent, tuple) else (latent,))
    again = load_recipe({**recipe.plain()}, registry=registry)
    assert again.plain() == recipe.plain()
    assert "latent: [4, 8, 8]\n" in write_recipe(recipe) or latent != (4, 8, 8)


@pytest.mark.parametrize(
    ("slots", "content", "said"),
    [
        (SLOTS, {"latent": []}, "'latent' must be at least 1, not []"),
        (SLOTS, {"latent": [4, 0]}, "'latent' must be at least 1, not [4, 0]"),
        (SLOTS, {"latent": 2.5}, "'latent' must be a whole number or a list of whole numbers or null, not 2.5"),
        (
            SLOTS,
            {"data": {"use": "digits", "size": 30}},
            "encoder 'map': contract 'B C H W -> B depth H/factor W/factor': 'H/factor' does not come out even: "
            "H is 30 and factor is 4; make H a multiple of 4, or change factor",
        ),
    ],
)
def test_a_code_without_a_shape_is_a_sentence(registry: Registry, slots: Any, content: Any, said: str) -> None:
    with pytest.raises(RecipeError) as error:
        made(registry, slots, **content)
    assert said in str(error.value)


TEXT = """\
data: {use: digits, size: 32, channels: 3}
latent: LATENT
phases: [{encoder + decoder: {reconstruction: 1, kl: 1}}]
outputs: {sample: decoded_prior, reconstruction: reconstruction, posterior: posterior}
slots:
  prior: PRIOR
  decoder: DECODER
  encoder: ENCODER
"""

MISFITS = [
    (
        {"LATENT": "64", "ENCODER": "map"},
        "8:3: error: slot 'encoder' (encoder 'map') gives codes of 4 x 8 x 8, and latent is 64, line 2; "
        "leave latent out ('latent: null'), or take another encoder",
    ),
    (
        {"LATENT": "[4, 8, 8]", "ENCODER": "map", "DECODER": "dcgan"},
        "7:3: error: slot 'decoder' (decoder 'dcgan') asks for 'latent: int', a vector, and latent is 4 x 8 x 8, "
        "line 2",
    ),
    (
        {"LATENT": "null", "ENCODER": "map", "DECODER": "dcgan"},
        "7:3: error: slot 'decoder' (decoder 'dcgan') asks for 'latent: int', a vector, and latent is 4 x 8 x 8, "
        "as slot 'encoder' gives, line 8",
    ),
    (
        {"LATENT": "[4, 4, 4]", "ENCODER": "free-map", "DECODER": "map"},
        "7:3: error: slot 'decoder' (decoder 'map') expects B x 4 x 4 x 4 (latent is 4 x 4 x 4, line 2) and is handed "
        "B x 4 x 8 x 8 (as slot 'encoder' gives, line 8)",
    ),
    (
        {"LATENT": "[256]", "ENCODER": "dcgan", "DECODER": "map"},
        "7:3: error: slot 'decoder' (decoder 'map') asks for 'latent: tuple[int, int, int]', 3 dimensions, "
        "and latent is 256, line 2",
    ),
]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("parts", "said"), MISFITS, ids=[str(parts) for parts, _ in MISFITS])
def test_a_map_where_a_vector_is_promised_is_told_with_both_lines(run_zoo: Run, parts: Any, said: str) -> None:
    text = TEXT
    for name, value in {"PRIOR": "normal", "DECODER": "map", **parts}.items():
        text = text.replace(name, value)
    Path("r.yaml").write_text(text)
    outcome = run_zoo("check", "r.yaml", "--plugin", MAPS, "--plugin", PARTS)
    assert (outcome.code, outcome.err) == (2, f"r.yaml:{said}\n")


def test_a_target_gets_the_shape_in_the_form_that_it_asks_for(registry: Registry) -> None:
    vector, shape = made(registry, VECTORS), made(registry, SLOTS)
    assert vector.slots["decoder"].arguments_for(vector.sizes)["latent"] == 64
    assert shape.slots["decoder"].arguments_for(shape.sizes)["latent"] == (4, 8, 8)
    asked = shape.slots["decoder"].arguments_for(vector.sizes)  # 'latent: tuple[int, ...]'
    assert asked["latent"] == (64,)


def test_a_model_samples_encodes_and_decodes_maps() -> None:
    model = zoo.build({**BASE, "slots": SLOTS}, plugins=[MAPS])
    z = model.prior.sample(3, model.draw("test"))
    assert z.shape == (3, 4, 8, 8)
    images = model.decode(z)
    assert images.shape == (3, 3, 32, 32)
    assert model.encode(images).mean.shape == (3, 4, 8, 8)
    with pytest.raises(RequestError, match=r"z has the shape \(3, 256\); these samples take \(3, 4, 8, 8\)"):
        model.sample(z=z.flatten(1))
