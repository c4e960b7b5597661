"""``class-accuracy``: its classifier is scikit-learn's, its share that of samples of their class."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import Tensor
from zoo_metrics.classes import SHRINKAGE, ClassAccuracy

import zoo

KINDS, SIDE = 3, 4


def images(label: Tensor, seed: int) -> Tensor:
    """Noise about a pattern of each class; classes overlap."""
    patterns = torch.randn(KINDS, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    noise = torch.Generator().manual_seed(seed)
    return 0.25 * patterns[label] + 0.5 * torch.randn(len(label), 1, SIDE, SIDE, generator=noise, dtype=torch.float64)


def some(count: int, seed: int) -> tuple[Tensor, Tensor]:
    label = torch.randint(KINDS, (count,), generator=torch.Generator().manual_seed(seed)).pow(2) % KINDS
    return images(label, seed), label


def test_the_classifier_is_linear_discriminant_analysis() -> None:
    (train, classes), (test, label) = some(200, 1), some(500, 2)
    samples = images((label + 1) % KINDS, 3)
    metric = ClassAccuracy()
    metric.update(test, label, samples)
    for part in range(0, 200, 64):
        metric.training(train[part : part + 64], classes[part : part + 64])
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=SHRINKAGE).fit(train.flatten(1), classes)
    right = {of: np.mean(theirs.predict(x.flatten(1)) == label.numpy()) for of, x in (("t", test), ("s", samples))}
    assert 0.4 < right["t"] < 0.99
    assert metric.details() == {"test images": right["t"]}
    assert metric.compute() == right["s"]


def test_of_two_processes_it_is_that_of_one() -> None:
    (train, classes), (test, label) = some(100, 1), some(60, 2)
    whole, parts = ClassAccuracy(), [ClassAccuracy(), ClassAccuracy()]
    whole.update(test, label, test)
    whole.training(train, classes)
    for metric, here in zip(parts, (slice(0, 30), slice(30, 60)), strict=True):
        metric.update(test[here], label[here], test[here])
        metric.training(train[here], classes[here])
    parts[0].merge(parts[1:])
    parts[1].training(train[60:], classes[60:])
    parts[0].merge_training(parts[1:])
    assert parts[0].compute() == whole.compute()


def test_a_class_alone_tells_nothing() -> None:
    metric = ClassAccuracy()
    metric.training(torch.zeros(4, 1, 2, 2), torch.zeros(4, dtype=torch.int64))
    with pytest.raises(ValueError, match="needs two classes"):
        metric.compute()


def test_of_a_model_it_has_the_labels_of_both_splits() -> None:
    """Digits through a recipe: the classifier knows test images, and a model that has learned nothing is at chance."""
    small = [f"slots.{slot}.width=4" for slot in ("encoder", "decoder")]
    model = zoo.build("cvae", overrides=["evaluate=[class-accuracy]", "latent=4", *small])
    score = zoo.evaluate(model)["class-accuracy"]
    assert score["details"]["test images"] > 0.9
    assert score["value"] < 0.3
