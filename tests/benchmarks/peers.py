"""pythae's own trainers over the networks of a model, to be timed beside the engine. Not a dependency of zoo.

pythae (Chadebec, Vincent & Allassonniere 2022) is the best-known library of generative auto-encoders.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zoo.model.model import Model

from .cases import BETAS, LR

with warnings.catch_warnings():  # its own affair
    warnings.simplefilter("ignore")
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEGAN, VAEConfig, VAEGANConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseDiscriminator, BaseEncoder
    from pythae.trainers import (
        BaseTrainer,
        BaseTrainerConfig,
        CoupledOptimizerAdversarialTrainer,
        CoupledOptimizerAdversarialTrainerConfig,
    )
    from pythae.trainers.training_callbacks import CallbackHandler, TrainingCallback

ADAM = {"betas": BETAS}


class Encoder(BaseEncoder):
    """A zoo encoder as pythae asks for one."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Any:
        posterior = self.network(x)
        return ModelOutput(embedding=posterior.mean, log_covariance=2 * posterior.log_sigma)


class Decoder(BaseDecoder):
    """A zoo decoder as pythae asks for one."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, z: Tensor) -> Any:
        return ModelOutput(reconstruction=self.network(z))


class Discriminator(BaseDiscriminator):
    """A zoo critic as pythae asks for one: a probability, or what a layer says, computed as far as that layer."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.depth = len(network.stages) + 1

    def forward(self, x: Tensor, output_layer_levels: list[int] | None = None) -> Any:
        if not output_layer_levels:
            return ModelOutput(embedding=self.network(x).logit.sigmoid())
        found = ModelOutput()
        for level, stage in enumerate(self.network.stages[: max(output_layer_levels)], start=1):
            x = stage(x)
            if level in output_layer_levels:
                found[f"embedding_layer_{level}"] = x
        return found


def vae(model: Model, x: Tensor, folder: Path) -> BaseTrainer:
    """Its VAE, ready to train: ``train_step(epoch)`` goes once through the images, which are one batch."""
    sizes = model.recipe.sizes
    config = VAEConfig(input_dim=tuple(x.shape[1:]), latent_dim=sizes.latent)
    peer = VAE(config, Encoder(model.encoder), Decoder(model.decoder))
    settings = BaseTrainerConfig(
        output_dir=str(folder),
        per_device_train_batch_size=len(x),
        learning_rate=LR,
        optimizer_cls="Adam",
        optimizer_params=ADAM,
        no_cuda=x.device.type == "cpu",
    )
    trainer = BaseTrainer(peer, _images(x), training_config=settings)
    trainer.set_optimizer()
    return _quiet(trainer)


def vaegan(model: Model, x: Tensor, folder: Path) -> CoupledOptimizerAdversarialTrainer:
    """Its VAEGAN, ready to train: likeness in the critic's second stage, and every network moves, as in ours."""
    sizes = model.recipe.sizes
    # with its own margin it sits out the update of a network that is ahead, in about a third of these steps
    shape = tuple(x.shape[1:])
    config = VAEGANConfig(input_dim=shape, latent_dim=sizes.latent, reconstruction_layer=2, margin=1e6)
    peer = VAEGAN(config, Encoder(model.encoder), Decoder(model.decoder), Discriminator(model.critic))
    players = ("encoder", "decoder", "discriminator")
    settings = CoupledOptimizerAdversarialTrainerConfig(
        output_dir=str(folder),
        per_device_train_batch_size=len(x),
        no_cuda=x.device.type == "cpu",
        **{f"{player}_optimizer_cls": "Adam" for player in players},
        **{f"{player}_learning_rate": LR for player in players},
        **{f"{player}_optimizer_params": ADAM for player in players},
    )
    trainer = CoupledOptimizerAdversarialTrainer(peer, _images(x), training_config=settings)
    for player in players:
        getattr(trainer, f"set_{player}_optimizer")()
    return _quiet(trainer)


def _images(x: Tensor) -> Any:
    return BaseDataset(x, torch.zeros(len(x)))


def _quiet(trainer: BaseTrainer) -> BaseTrainer:
    """Without its progress bars, which would be timed too."""
    trainer.callback_handler = CallbackHandler(callbacks=[TrainingCallback()], model=trainer.model)
    return trainer
