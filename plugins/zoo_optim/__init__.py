"""Torch's optimisers, fused where torch has a fused step."""

from zoo import api


@api.hookimpl
def zoo_components() -> tuple[api.Component, ...]:
    """One optimiser for each player is made from these."""
    return (
        api.Component("optimizer", "adam", "zoo_optim.optimizers:adam", "Adam (Kingma & Ba 2015)"),
        api.Component("optimizer", "adamw", "zoo_optim.optimizers:adamw", "Adam with decoupled weight decay"),
        api.Component("optimizer", "sgd", "zoo_optim.optimizers:sgd", "stochastic gradient descent"),
        api.Component("optimizer", "rmsprop", "zoo_optim.optimizers:rmsprop", "RMSprop (Hinton 2012)"),
    )
