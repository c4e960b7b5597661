"""Signals and volumes: data, encoders, decoders and critics, a codec of sounds and an autoencoder of volumes."""

from __future__ import annotations

from collections.abc import Sequence

from zoo import api

SIGNAL, VOLUME = "channels length", "channels depth H W"
SMALLER = "B codes depth/factor H/factor W/factor"
NETWORKS = (
    ("encoder", "conv1d", "networks:SignalEncoder", "signals to shorter ones", f"B {SIGNAL} -> B codes length/factor"),
    ("decoder", "conv1d", "networks:SignalDecoder", "and back", f"B latent -> B {SIGNAL}"),
    ("encoder", "conv3d", "networks:VolumeEncoder", "volumes to smaller ones", f"B {VOLUME} -> {SMALLER}"),
    ("decoder", "conv3d", "networks:VolumeDecoder", "and back", f"B latent -> B {VOLUME}"),
    ("critic", "patch3d", "critics:VolumePatch", "a logit for each patch of a volume", f"B {VOLUME} -> B 1 M N K"),
    ("critic", "waves", "critics:Waves", "a signal folded by periods, and its spectra", f"B {SIGNAL} -> B M N"),
)


@api.hookimpl
def zoo_components() -> Sequence[api.Component]:
    """Data, networks and terms."""
    here = "zoo_grids"
    tones, solids = api.Field("signal", "1 length"), api.Field("volume", "1 side side side")
    return (
        api.Component("data", "tones", f"{here}.data:tones", "Plucked tones; no download.", fields={"x": tones}),
        api.Component(
            "data", "solids", f"{here}.data:solids", "Balls and boxes in a cube; no download.", fields={"x": solids}
        ),
        *(api.Component(kind, name, f"{here}.{of}", text, shape) for kind, name, of, text, shape in NETWORKS),
        api.Component("term", "log_mel", f"{here}.terms:log_mel", "distance of log-mel spectra"),
        api.Component("term", "feature_distance", f"{here}.terms:feature_distance", "distance of a critic's features"),
    )


@api.hookimpl
def zoo_recipes() -> Sequence[api.Recipe]:
    """A codec and an autoencoder."""
    return [
        api.Recipe("codec", f"{__name__}:codec.yaml", "A codec of sounds: RVQ, critics (Kumar 2023)", family="signals"),
        api.Recipe("kl-3d", f"{__name__}:kl-3d.yaml", "KL autoencoder of volumes (Rombach 2022)", family="volumes"),
    ]
