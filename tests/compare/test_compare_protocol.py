"""Which numbers may share a column: the rule, field by field of what runs really store."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from zoo.compare.protocol import MODEL, Score, leaves, refuse_different_protocols
from zoo.compare.scores import columns
from zoo.errors import RequestError


@pytest.fixture(scope="module")
def stored(finished) -> dict[str, Any]:
    """label -> protocol, of a run of AVAE."""
    return {label: s["protocol"] for label, s in json.loads((finished / "scores.json").read_text()).items()}


def score(model: str, protocol: Mapping[str, Any], label: str = "mse", value: float = 1.0) -> Score:
    return Score(model, "photos", label, 0, value, protocol, f"runs/{model}")


def changed(protocol: Mapping[str, Any], path: str) -> dict[str, Any]:
    """The protocol with another value at a dotted path."""
    key, _, rest = path.partition(".")
    inner = protocol[key]
    return {**protocol, key: changed(inner, rest) if rest else ["another", inner]}


def test_every_field_of_a_real_protocol_is_the_measurings_or_named_as_the_models(stored):
    """Data options are the one exception: where the images' content is known, they only say how it came about."""
    tried = 0
    for label, protocol in stored.items():
        for field in leaves(protocol):
            pair = [score("a", protocol, label), score("b", changed(protocol, field), label)]
            if field.partition(".")[0] in (*MODEL, "data"):
                refuse_different_protocols(pair)
            else:
                with pytest.raises(RequestError, match=rf"photos {label}: {re.escape(field)} is .* in runs/a, "):
                    refuse_different_protocols(pair)
            tried += 1
    assert tried > 60
    assert {"n", "split", "size", "batch_stats", "range", "metric", "images"} <= {f for p in stored.values() for f in p}


def test_prior_and_posterior_never_share_a_column(stored):
    reconstruction, sample = stored["edges"], stored["edges_sample"]
    assert reconstruction["metric"] == sample["metric"]
    with pytest.raises(RequestError, match=r"made\.reconstruction is from x in runs/a, without x in runs/b"):
        columns([score("a", reconstruction), score("b", sample)])


def test_how_a_model_makes_what_is_judged_is_said_and_not_refused(stored):
    (column,) = columns(
        [score("d", stored["mse_decoded"]), score("e", stored["mse_decoded"]), score("g", stored["mse"])]
    )
    assert column.apart == (
        "how each makes its reconstruction: reconstruction, from x, drawn: z_posterior (d, e); "
        "generated_from_posterior, from x, drawn: z_posterior, noise (g)",
    )


def test_of_the_same_images_models_may_have_been_trained_on_others(stored):
    one = stored["mse"]
    other = {**one, "data": {**one["data"], "train": 7}}
    (column,) = columns([score("a", one), score("b", other)])
    assert column.apart == (f"trained with data.train: {one['data']['train']} (a); 7 (b)",)
    assert "data.train" not in column.protocol
    assert column.protocol["data.use"] == "generative-zoo/photos"


def test_without_their_content_images_are_what_the_options_say(stored):
    one = {key: value for key, value in stored["mse"].items() if key != "images"}
    other = {**one, "data": {**one["data"], "train": 7}}
    for pair in ([one, other], [one, {**other, "images": "sha256:0"}]):
        with pytest.raises(RequestError, match=r"data\.train is 64 in runs/a, 7 in runs/b"):
            columns([score("a", pair[0]), score("b", pair[1])])


def test_a_refusal_names_the_runs_on_each_side_and_the_cure():
    runs = [score(name, {"n": n}) for name, n in (("a", 1), ("b", 2), ("c", 1), ("d", 1), ("e", 1), ("f", 1))]
    sides = "n is 1 in runs/a and runs/c and runs/d and 2 more, 2 in runs/b"
    with pytest.raises(RequestError, match=rf"photos mse: {sides}\. Make them equal \(recipes: .*; runs: zoo evaluate"):
        columns(runs)
