"""Trains a network in a loop of plain PyTorch, and sends what the loop says of itself to a Pushgateway."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import digits

import gangplank

BATCH_SIZE = 32
LEARNING_RATE = 0.1


def main() -> None:
    """Train, then evaluate."""
    options = _options()
    train_digits, test_digits, source = digits.load(small=True)
    print(f"Training on {source}")
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 128), nn.ReLU(), nn.Linear(128, 10))
    exporter = gangplank.PushgatewayExporter(options.gateway, "mnist")
    with gangplank.Telemetry(exporters=[exporter]) as telemetry:
        train(telemetry, network, _tensors(train_digits), options.epochs)
        evaluate(telemetry, network, _tensors(test_digits))


def train(telemetry: gangplank.Telemetry, network: nn.Module, train_digits: TensorDataset, epochs: int) -> None:
    """Train the network."""
    batches = DataLoader(train_digits, batch_size=BATCH_SIZE, shuffle=True, drop_last=True)
    optimizer = torch.optim.SGD(network.parameters(), lr=LEARNING_RATE)
    with telemetry.training_run("mnist") as run:
        run.parameters(sum(weights.numel() for weights in network.parameters()))
        run.learning_rate(LEARNING_RATE)
        for epoch in range(1, epochs + 1):
            scores = []
            for images, labels in batches:
                score = _score(network, images, labels)
                optimizer.zero_grad()
                score[0].backward()
                optimizer.step()
                scores.append(score.detach())
                run.step()
            # Once an epoch, and not at each step: to look at a number is to wait for the device.
            loss, accuracy = torch.stack(scores).mean(dim=0)
            run.epoch({"loss": loss, "accuracy": accuracy})
            print(f"Epoch {epoch}/{epochs}: loss {loss:.4f}, accuracy {accuracy:.4f}")


def evaluate(telemetry: gangplank.Telemetry, network: nn.Module, test_digits: TensorDataset) -> None:
    """See how the network does on digits that it was not trained on."""
    with telemetry.evaluation_run("mnist") as run, torch.no_grad():
        loss, accuracy = _score(network, *test_digits.tensors)
        run.report({"loss": loss, "accuracy": accuracy})
        print(f"Test: loss {loss:.4f}, accuracy {accuracy:.4f}")


def _tensors(split: digits.Split) -> TensorDataset:
    return TensorDataset(*map(torch.from_numpy, split))


def _score(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return loss and accuracy."""
    logits = network(images)
    loss = nn.functional.cross_entropy(logits, labels)
    accuracy = (logits.argmax(dim=1) == labels.argmax(dim=1)).float().mean()
    return torch.stack([loss, accuracy])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=10, help="how often to go through the images (%(default)s)")
    parser.add_argument("--gateway", default="127.0.0.1:9091", help="the Pushgateway (%(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
