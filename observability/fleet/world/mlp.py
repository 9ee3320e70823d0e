"""A small multilayer perceptron, trained with Adam in NumPy (Kingma and Ba, ICLR 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

_BATCH = 256
_EPOCHS = 14
_RATE = 3e-3
_DECAY = (0.9, 0.999)


@dataclass(frozen=True, slots=True)
class Mlp:
    """Standardise, then layers with ReLU between; the last layer's output is the logit.

    `weights[i]` has shape `(n_in, n_out)`, `biases[i]` `(n_out,)`; all float32.
    """

    mean: np.ndarray
    deviation: np.ndarray
    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]


def train_mlp(rows: np.ndarray, labels: np.ndarray, hidden: Sequence[int], seed: int) -> Mlp:
    """Fit by the log loss. `rows` of shape `(n_rows, n_features)`, `labels` 0 or 1."""
    random = np.random.default_rng(seed)
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    inputs = ((rows - mean) / deviation).astype(np.float32)
    sizes = [rows.shape[1], *hidden, 1]
    layers = []
    for fan_in, fan_out in pairwise(sizes):
        layers.append(random.normal(0, np.sqrt(2 / fan_in), (fan_in, fan_out)).astype(np.float32))
        layers.append(np.zeros(fan_out, np.float32))
    moments = [(np.zeros_like(part), np.zeros_like(part)) for part in layers]
    step = 0
    for _ in range(_EPOCHS):
        order = random.permutation(len(inputs))
        for begin in range(0, len(order) - _BATCH + 1, _BATCH):
            chosen = order[begin : begin + _BATCH]
            step += 1
            gradients = _gradients(layers, inputs[chosen], labels[chosen])
            for part, gradient, (first, second) in zip(layers, gradients, moments, strict=True):
                _adam(part, gradient, first, second, step)
    return Mlp(
        mean.astype(np.float32),
        deviation.astype(np.float32),
        tuple(layers[0::2]),
        tuple(layers[1::2]),
    )


def activations(model: Mlp, rows: np.ndarray) -> list[np.ndarray]:
    """The input of every layer and, last, the logits; float32, each `(n_rows, width)`."""
    standard = (rows.astype(np.float32) - model.mean) / model.deviation
    return _forward(
        [p for pair in zip(model.weights, model.biases, strict=True) for p in pair], standard
    )


def _forward(layers: Sequence[np.ndarray], inputs: np.ndarray) -> list[np.ndarray]:
    passed = [inputs]
    for at in range(0, len(layers), 2):
        out = passed[-1] @ layers[at] + layers[at + 1]
        passed.append(out if at + 2 == len(layers) else np.maximum(out, 0))
    return passed


def _gradients(
    layers: Sequence[np.ndarray], inputs: np.ndarray, labels: np.ndarray
) -> list[np.ndarray]:
    passed = _forward(layers, inputs)
    probability = 1 / (1 + np.exp(-passed[-1]))
    back = ((probability - labels[:, None]) / len(inputs)).astype(np.float32)
    gradients: list[np.ndarray] = []
    for at in range(len(layers) - 2, -1, -2):
        held = passed[at // 2]
        gradients = [held.T @ back, back.sum(axis=0), *gradients]
        back = (back @ layers[at].T) * (held > 0)
    return gradients


def _adam(
    part: np.ndarray, gradient: np.ndarray, first: np.ndarray, second: np.ndarray, step: int
) -> None:
    slow, slower = _DECAY
    first += (1 - slow) * (gradient - first)
    second += (1 - slower) * (gradient**2 - second)
    corrected = np.sqrt(second / (1 - slower**step)) + 1e-8
    part -= _RATE * first / (1 - slow**step) / corrected
