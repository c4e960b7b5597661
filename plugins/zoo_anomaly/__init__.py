"""Anomaly detection: models of known classes, a score of how far an image is from them, and how well that tells."""

from collections.abc import Sequence

from zoo import api

RECIPES = {
    "ganomaly": "images of a class that was never seen, found by their codes (Akcay et al. 2018)",
    "f-anogan": "unseen classes by a GAN, and an encoder that is fitted to it afterwards (Schlegl et al. 2019)",
    "egbad": "unseen classes by a BiGAN, whose critic of pairs has a say (Zenati et al. 2018)",
}


@api.hookimpl
def zoo_components() -> Sequence[api.Component]:
    """Scores of images, and the metric of a score."""
    return (
        api.Component(
            "value", "code_surprise", "zoo_anomaly.scores:code_surprise", "distance of two codes of an image (GANomaly)"
        ),
        api.Component(
            "value",
            "image_surprise",
            "zoo_anomaly.scores:image_surprise",
            "distance of an image and its reconstruction, and of their features (f-AnoGAN, EGBAD)",
        ),
        api.Component(
            "metric", "auroc", "zoo_anomaly.metrics:Auroc", "how well an anomaly score tells novel images from known"
        ),
    )


@api.hookimpl
def zoo_recipes() -> Sequence[api.Recipe]:
    """The recipes."""
    return [api.Recipe(name, f"zoo_anomaly:{name}.yaml", text, family="anomaly") for name, text in RECIPES.items()]
