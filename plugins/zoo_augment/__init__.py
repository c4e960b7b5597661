"""Augmentations: what may happen to a training image without making it another image."""

from zoo import api


@api.hookimpl
def zoo_components() -> tuple[api.Component, ...]:
    """The augmentations."""
    return (
        api.Component("augmentation", "flip", "zoo_augment.geometry:flip", "mirrors images left to right"),
        api.Component("augmentation", "crop", "zoo_augment.geometry:crop", "moves images by a few whole pixels"),
        api.Component(
            "augmentation", "resized-crop", "zoo_augment.geometry:ResizedCrop", "resizes a random part of images"
        ),
    )
