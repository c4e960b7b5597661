"""Data that needs no network: what installed packages carry, and a folder of the user's."""

from zoo import api


@api.hookimpl
def zoo_components() -> tuple[api.Component, ...]:
    """Four sources of images."""
    return (
        api.Component(
            "data",
            "photos",
            "zoo_data.photos:photos",
            "Random crops of the colour photographs inside scikit-image and scikit-learn; no download.",
        ),
        api.Component(
            "data",
            "digits",
            "zoo_data.digits:digits",
            "The 1,797 handwritten digits inside scikit-learn, enlarged from 8 x 8; no download.",
        ),
        api.Component(
            "data",
            "fashion-mnist",
            "zoo_data.fashion_mnist:fashion_mnist",
            "70,000 grey 28 x 28 pictures of clothes, from Debian's package or their own files.",
        ),
        api.Component(
            "data",
            "folder",
            "zoo_data.folder:folder",
            "Every image below a directory, centre-cropped to a square and resized.",
        ),
    )
