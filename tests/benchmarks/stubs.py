"""Networks that do next to nothing, so that a step is what the engine does around them. A plugin: ``--plugin``."""

from __future__ import annotations

from torch import Tensor, nn

from zoo import api


@api.hookimpl
def zoo_components() -> tuple[api.Component, ...]:
    """One stub for each slot of AVAE."""
    return (
        api.Component("encoder", "stub", "stubs:Encoder", "one number", contract="B C H W -> B latent"),
        api.Component("decoder", "stub", "stubs:Decoder", "one number", contract="B latent -> B C H W"),
        api.Component("generator", "stub", "stubs:Generator", "one number", contract="B latent, B noise -> B C H W"),
        api.Component("critic", "stub", "stubs:Critic", "one number", contract="B C H W -> B"),
    )


class Scaled(nn.Module):
    """What the stubs share: one number that learns, which autocast casts as it does a layer's weight."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.scale = nn.Linear(1, 1, bias=False)
        self.shape = (channels, size, size)

    def picture(self, z: Tensor) -> Tensor:
        """The first number of a code, scaled, everywhere."""
        return self.scale(z[:, :1]).view(-1, 1, 1, 1).expand(-1, *self.shape)


class Encoder(Scaled):
    """The first pixel, scaled, is every number of the code."""

    def __init__(self, channels: int, size: int, latent: int) -> None:
        super().__init__(channels, size)
        self.latent = latent

    def forward(self, x: Tensor) -> api.Gaussian:
        """(B, C, H, W) -> Gaussian over (B, K)."""
        code = self.scale(x.flatten(1)[:, :1]).expand(-1, self.latent)
        return api.Gaussian(code, code)


class Decoder(Scaled):
    """A code's first number is the image."""

    def __init__(self, channels: int, size: int, latent: int) -> None:  # noqa: ARG002
        super().__init__(channels, size)

    def forward(self, z: Tensor) -> Tensor:
        """(B, K) -> (B, C, H, W)."""
        return self.picture(z)


class Generator(Scaled):
    """A code's first number is the image, and the noise is not used."""

    def __init__(self, channels: int, size: int, latent: int, noise: int) -> None:  # noqa: ARG002
        super().__init__(channels, size)

    def forward(self, z: Tensor, noise: Tensor) -> Tensor:  # noqa: ARG002
        """(B, K), (B, A) -> (B, C, H, W)."""
        return self.picture(z)


class Critic(Scaled):
    """The first pixel, scaled, is the logit."""

    def forward(self, x: Tensor) -> api.CriticOutput:
        """(B, C, H, W) -> (B,)."""
        return api.CriticOutput(self.scale(x.flatten(1)[:, :1])[:, 0])
