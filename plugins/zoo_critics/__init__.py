"""Critics of patches: every place of an image has a logit of its own."""

from zoo import api


@api.hookimpl
def zoo_components() -> tuple[api.Component, ...]:
    """Critics with maps of logits."""
    return (
        api.Component(
            "critic",
            "patch",
            "zoo_critics.patch:Patch",
            "PatchGAN: a logit for each overlapping patch",
            contract="B C H W -> B 1 M N",
            double_backward=True,
        ),
        api.Component(
            "critic",
            "multi-scale",
            "zoo_critics.patch:MultiScale",
            "patch critics of an image and of smaller copies of it",
            contract="B C H W -> B scales M N",
            double_backward=True,
        ),
    )
