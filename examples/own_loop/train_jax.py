"""Trains a network in a loop of plain JAX, and sends what the loop says of itself to a Pushgateway."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import digits

import gangplank

BATCH_SIZE = 32
LEARNING_RATE = 0.1
WIDTHS = (28 * 28, 128, 10)

Weights = list[tuple[jax.Array, jax.Array]]
"""The matrix and the bias of each layer."""


def main() -> None:
    """Train, then evaluate."""
    options = _options()
    train_digits, test_digits, source = digits.load(small=True)
    print(f"Training on {source}")
    exporter = gangplank.PushgatewayExporter(options.gateway, "mnist")
    with gangplank.Telemetry(exporters=[exporter]) as telemetry:
        weights = train(telemetry, train_digits, options.epochs)
        evaluate(telemetry, weights, test_digits)


def train(telemetry: gangplank.Telemetry, train_digits: digits.Split, epochs: int) -> Weights:
    """Return the weights of a network that was trained."""
    weights = _weights(jax.random.key(0))
    rng = np.random.default_rng(0)
    with telemetry.training_run("mnist") as run:
        run.parameters(sum(array.size for array in jax.tree.leaves(weights)))
        run.learning_rate(LEARNING_RATE)
        for epoch in range(1, epochs + 1):
            scores = []
            for images, labels in _batches(train_digits, rng):
                weights, score = _step(weights, images, labels)
                scores.append(score)
                run.step()
            # Once an epoch, and not at each step: to look at a number is to wait for the device.
            loss, accuracy = jnp.mean(jnp.stack(scores), axis=0)
            run.epoch({"loss": loss, "accuracy": accuracy})
            print(f"Epoch {epoch}/{epochs}: loss {loss:.4f}, accuracy {accuracy:.4f}")
    return weights


def evaluate(telemetry: gangplank.Telemetry, weights: Weights, test_digits: digits.Split) -> None:
    """See how the network does on digits that it was not trained on."""
    with telemetry.evaluation_run("mnist") as run:
        loss, accuracy = _score(weights, *map(jnp.asarray, test_digits))
        run.report({"loss": loss, "accuracy": accuracy})
        print(f"Test: loss {loss:.4f}, accuracy {accuracy:.4f}")


def _weights(key: jax.Array) -> Weights:
    """Return weights to begin with: He et al.'s normal distribution, and biases of zero."""
    initial = jax.nn.initializers.he_normal()
    keys = jax.random.split(key, len(WIDTHS) - 1)
    return [(initial(one, size), jnp.zeros(size[1])) for one, size in zip(keys, pairwise(WIDTHS), strict=True)]


def _batches(split: digits.Split, rng: np.random.Generator) -> Iterator[digits.Split]:
    """Yield the digits in random order; those too few for a batch have their turn in another epoch."""
    images, labels = split
    order = rng.permutation(len(images))
    for batch in order[: len(order) // BATCH_SIZE * BATCH_SIZE].reshape(-1, BATCH_SIZE):
        yield images[batch], labels[batch]


@jax.jit
def _step(weights: Weights, images: jax.Array, labels: jax.Array) -> tuple[Weights, jax.Array]:
    """Return the weights after one step of gradient descent, and the loss and accuracy before it."""
    (loss, accuracy), gradients = jax.value_and_grad(_score, has_aux=True)(weights, images, labels)
    stepped = jax.tree.map(lambda weight, gradient: weight - LEARNING_RATE * gradient, weights, gradients)
    return stepped, jnp.stack([loss, accuracy])


def _score(weights: Weights, images: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return loss and accuracy."""
    (hidden, hidden_bias), (out, out_bias) = weights
    pixels = images.reshape(len(images), -1)
    logits = jax.nn.relu(pixels @ hidden + hidden_bias) @ out + out_bias
    loss = -jnp.mean(jnp.sum(labels * jax.nn.log_softmax(logits), axis=1))
    accuracy = jnp.mean(logits.argmax(axis=1) == labels.argmax(axis=1))
    return loss, accuracy


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=10, help="how often to go through the images (%(default)s)")
    parser.add_argument("--gateway", default="127.0.0.1:9091", help="the Pushgateway (%(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
