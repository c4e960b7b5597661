"""The entropy H(p_G) of a generator's images as a term, by four estimators.

L_G, the cross-entropy of a generator against the inverse of its encoder, contains + H(p_G), which AVAE drops
(Plumerault et al. 2020). ``entropy: on`` (weight 1) puts it back; a negative weight is a bonus on diversity.
"""

from __future__ import annotations

from zoo import api


@api.hookimpl
def zoo_components() -> tuple[api.Component, ...]:
    """One term; the option ``estimator`` chooses among its variants."""
    return (
        api.Component(
            kind="term",
            name="entropy",
            target="zoo_entropy.neighbours:NearestNeighbours",
            summary="H(p_G) of generated images, nats: by knn, knn_batch, score or mutual_information (below 0)",
            by="estimator",
            variants={
                "knn": "zoo_entropy.neighbours:NearestNeighbours",
                "knn_batch": "zoo_entropy.neighbours:OwnNearestNeighbours",
                "score": "zoo_entropy.score:Score",
                "mutual_information": "zoo_entropy.information:MutualInformation",
            },
        ),
    )
