"""The routes a recipe declares, against those its gradients take."""

from __future__ import annotations

import pytest
import torch
from conftest import TINY

from zoo.check.probe import probe
from zoo.engine.engine import Engine
from zoo.errors import RecipeError
from zoo.model.model import Model
from zoo.recipe import load_recipe
from zoo.registry import load_registry

PARTS = '''
import torch
from torch import nn

from zoo import api


def cut(critic, generated):
    """A gradient stopped where nobody can see it."""
    return critic(generated.detach())


def far(reconstruction, x):
    """A distance of networks that nobody should train, and with them nothing is."""
    with torch.no_grad():
        return (reconstruction - x).square().mean()


def half_cut(reconstruction, posterior):
    """Moves the encoder by its codes' size, and by nothing else."""
    return reconstruction.detach().mean() + posterior.mean.square().mean()


def no_code(decoder, posterior):
    return decoder(posterior.mean.detach()).mean()


def cut_and_straight(generated, x, fooled):
    return (generated - x).square().mean() - fooled.logit.mean() * 0


class Half(nn.Module):
    """An encoder whose trunk its maker froze."""

    def __init__(self, channels: int, size: int, latent: int) -> None:
        super().__init__()
        self.trunk = nn.Linear(channels * size * size, 8).requires_grad_(False)
        self.head = nn.Linear(8, 2 * latent)

    def forward(self, x):
        return api.Gaussian(*self.head(self.trunk(x.flatten(1))).chunk(2, 1))


@api.hookimpl
def zoo_components():
    return [
        api.Component("value", "fooled", f"{__name__}:cut", "cut"),
        api.Component("term", "far", f"{__name__}:far", "dead"),
        api.Component("term", "half_cut", f"{__name__}:half_cut", "half"),
        api.Component("term", "no_code", f"{__name__}:no_code", "no code"),
        api.Component("term", "straight", f"{__name__}:cut_and_straight", "straight"),
        api.Component("encoder", "half", f"{__name__}:Half", "half"),
    ]
'''


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    file = tmp_path_factory.mktemp("parts") / "routes_parts.py"
    file.write_text(PARTS)
    return load_registry((file,))


def test_a_gradient_cut_inside_a_value_is_an_error_with_its_place(tmp_path, registry):
    file = tmp_path / "cut.yaml"
    phase = "\nphases:\n  - generator: {straight: 1.0}\n    critic: {discriminate: 1.0}\n"
    file.write_text(TINY + phase)
    with pytest.raises(RecipeError) as caught:
        probe(load_recipe(file, (), registry))
    assert str(caught.value) == (
        f"{file}:9:17: error: term 'straight' of row 'generator' declares that its gradient passes through "
        "'critic', and none does: a gradient is cut on the way; stop one by a value's name, NAME_held"
    )


@pytest.mark.parametrize(
    ("term", "said"),
    [
        ("far", "moves nothing: no gradient of it arrives; look for no_grad(), detach() or item() in it"),
        (
            "half_cut",
            "declares that its gradient moves 'decoder', and none does: a gradient is cut on the way",
        ),
        (
            "no_code",
            "declares that its gradient moves 'encoder', and none does: a gradient is cut on the way",
        ),
    ],
)
def test_a_term_that_moves_less_than_it_says_is_named_though_others_of_its_row_move_all(tmp_path, registry, term, said):
    file = tmp_path / "dead.yaml"
    row = f"  - encoder + decoder: {{reconstruction: 1.0, kl: 1.0, {term}: 1.0}}\n    generator: {{reverse_kl: 1.0}}\n"
    file.write_text(f"{TINY}\nphases:\n{row}    critic: {{discriminate: 1.0}}\n")
    with pytest.raises(RecipeError) as caught:
        probe(load_recipe(file, (), registry))
    message = f"{file}:9:55: error: term '{term}' of row 'encoder + decoder' {said}"
    assert str(caught.value).startswith(message)


def test_what_a_maker_froze_stays_frozen(tmp_path, registry):
    file = tmp_path / "half.yaml"
    file.write_text(TINY.replace("encoder: {width: 4}", "encoder: half"))
    recipe = load_recipe(file, (), registry)
    reach = next(r for r in probe(recipe)[0] if (r.player, r.how) == ("encoder", "learns"))
    assert (reach.reached, reach.parameters) == (2, 2)
    model = Model(recipe)
    before = {k: v.clone() for k, v in model.encoder.state_dict().items()}
    Engine(model).step(lambda _: torch.rand(4, 3, 8, 8))
    Engine(model).step(lambda _: torch.rand(4, 3, 8, 8))
    moved = {k for k, v in model.encoder.state_dict().items() if not torch.equal(v, before[k])}
    assert moved == {"head.weight", "head.bias"}
