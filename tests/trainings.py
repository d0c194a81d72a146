"""Trainings that a real gateway is pushed, and what stands there of a job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import realservers
from prometheus_client.parser import text_string_to_metric_families
from pushes import NEVER
from realservers import Gateway

from gangplank import PushgatewayExporter, Telemetry, summarize_weights
from gangplank.testing import ManualClock
from gangplank.training import TrainingRun

_LOSS_ONLY = {"loss": 0.5}
LOSS, TEST_LOSS = "gangplank_train_loss", "gangplank_test_loss"
Samples = dict[tuple[str, str, frozenset[tuple[str, str]]], float]


def telemetry_for(gateway: Gateway, job: str = "mnist", **settings: Any) -> Telemetry:
    """Return a telemetry that pushes for a job, and whose time stands still."""
    settings.setdefault("interval", NEVER)
    return Telemetry(exporters=[PushgatewayExporter(gateway.address, job, **settings)], clock=ManualClock())


def train(telemetry: Telemetry, model: str = "net", metrics: Mapping[str, float] = _LOSS_ONLY) -> None:
    """Report a training of one epoch, from its beginning to its end."""
    run = TrainingRun(telemetry, model)
    run.begin_epoch()
    for step in range(3):
        telemetry.clock.advance(0.125)  # type: ignore[attr-defined]
        run.step_to(step + 1)
    run.end_epoch(1, list(metrics.items()))
    run.weights(summarize_weights([np.array([-2.0, -0.25, 0.0, 0.25, 7.5], dtype="float32")], (-0.25, 0.0, 0.25)))
    run.end()


def samples(gateway: Gateway, job: str) -> Samples:
    """Return what stands in a job's groups, with types, without the job and the gateway's own."""
    return {
        (
            sample.name,
            family.type,
            frozenset((name, at) for name, at in sample.labels.items() if name != "job" and at),
        ): (sample.value)
        for family in text_string_to_metric_families(realservers.get(f"{gateway.url}/metrics"))
        for sample in family.samples
        if sample.labels.get("job") == job and not sample.name.startswith(("push_", "gangplank_export_"))
    }
