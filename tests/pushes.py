"""What the tests of the push exit share: a telemetry that pushes, and what a fake gateway got of it."""

from __future__ import annotations

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from gangplank import PushgatewayExporter, Telemetry
from gangplank.catalogue import model_metric
from gangplank.metrics import Phase
from gangplank.testing import FakeGateway, Request

LOSS = model_metric(Phase.TRAIN, "loss")
TEST_LOSS = model_metric(Phase.TEST, "loss")
TRAIN, TEST, BASE = (f"/metrics/job/mnist{group}" for group in ("/phase/train", "/phase/test", ""))

# An interval that no test lives to see: what is pushed, is pushed because something asked for it.
NEVER = 3600.0


def telemetry_to(gateway: FakeGateway, **settings: Any) -> Telemetry:
    """Return a started telemetry that pushes to the gateway, and has a loss to push."""
    settings.setdefault("interval", NEVER)
    telemetry = Telemetry(exporters=[PushgatewayExporter(gateway.address, "mnist", **settings)])
    telemetry.start()
    telemetry.state.gauge(LOSS, model="net").set(0.5)
    return telemetry


def values(request: Request) -> dict[str, float]:
    """Return the samples of a request by name; labels are looked at elsewhere."""
    families = text_string_to_metric_families(request.body)
    return {sample.name: sample.value for family in families for sample in family.samples}


def last(requests: list[Request], path: str) -> dict[str, float]:
    """Return the samples that were sent to ``path`` last."""
    return values([request for request in requests if request.path == path][-1])
