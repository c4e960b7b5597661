"""Data: what installed packages carry, the published sets, and images of the user's."""

from zoo import api
from zoo_data.fields import FIELDS

SETS = (
    (
        "photos",
        "photos:photos",
        "Random crops of the colour photographs inside scikit-image and scikit-learn; no download.",
    ),
    (
        "sprites",
        "sprites:sprites",
        "Coloured shapes filled with stripes, dots, hair or grain, drawn as they are asked for; no download.",
    ),
    ("digits", "digits:digits", "The 1,797 handwritten digits inside scikit-learn, enlarged from 8 x 8; no download."),
    (
        "fashion-mnist",
        "fashion_mnist:fashion_mnist",
        "70,000 grey 28 x 28 pictures of clothes, from Debian's package or their own files.",
    ),
    ("mnist", "fashion_mnist:mnist", "70,000 grey 28 x 28 handwritten digits, from IDX files at hand; no download."),
    ("folder", "folder:folder", "Every image below a directory, cropped and resized."),
    ("cifar10", "cifar:cifar10", "60,000 colour photographs of ten kinds of things, 32 x 32."),
    ("cifar100", "cifar:cifar100", "60,000 colour photographs of a hundred kinds of things, 32 x 32."),
    ("svhn", "svhn:svhn", "House numbers seen from the street, 32 x 32: up to 604,388 for training, 26,032 for test."),
    ("celeba", "celeba:celeba", "202,599 aligned faces, 178 x 218, from files fetched by hand."),
    ("lsun-bedroom", "lsun:lsun_bedroom", "3,033,042 bedrooms from the publisher's LMDB, or exported to folders."),
    ("codes", "codes:codes", "The codes of a finished run, for the second stage of a model."),
    ("shards", "shards:shards", "Tar shards as WebDataset writes them, read in place: sets that fit no disk cache."),
    ("huggingface", "huggingface:huggingface", "A column of images of a Hugging Face data set, on disk or their hub."),
)
"""Name, module and function in this package, summary."""


@api.hookimpl
def zoo_components() -> tuple[api.Component, ...]:
    """Every source of images."""
    return tuple(
        api.Component("data", name, f"zoo_data.{target}", summary, fields=FIELDS.get(name, {"x": api.IMAGE}))
        for name, target, summary in SETS
    )
