"""Systems of a VAE and a GAN together."""

from __future__ import annotations

from helpers.shelf import assert_same, batch_of, by_hand, drawn, gradients, sampled, small, softplus
from torch import Tensor

from zoo.recipe import load_recipe
from zoo.registry import load_registry


def test_each_is_scored_by_what_defines_it() -> None:
    """Reconstructions, also as they are seen; whether a sample's code comes back; how much of it the noise makes."""
    for name in ("avae", "avae-joint", "avae-plus", "avae-two-critics", "vaegan"):
        recipe = load_recipe(name, (), load_registry())
        labels = {part.label for part in recipe.evaluate}
        assert labels >= {"mse", "edges", "edges_sample", "cycle", "pd-lite0"} | (
            {"noise-use"} if recipe.noise else set()
        )


def test_a_second_critic_leaves_the_generator_alone_and_pulls_the_encoder() -> None:
    one, two = small("avae"), small("avae-two-critics")
    batch = batch_of(two)
    alone, both = gradients(one, batch), gradients(two, batch)
    untouched = {key: value for key, value in alone.items() if not key.startswith("encoder")}
    assert_same({key: both[key] for key in untouched}, untouched)

    def logit() -> Tensor:
        return two.code_critic(sampled(two, two.encoder(batch["x"]))).logit

    def told() -> Tensor:
        return softplus(-two.code_critic(drawn(two, "z").normal(4, 5)).logit) + softplus(logit())

    pull = by_hand(two, "encoder", loss=lambda: softplus(-logit()))
    assert_same({key: both[key] - alone[key] for key in pull}, pull)
    critic = by_hand(two, "code_critic", loss=told)
    assert_same({key: both[key] for key in both.keys() - alone.keys()}, critic)
