"""What the tests of the push exit share: what pushes, and what a fake gateway got of it."""

from __future__ import annotations

import base64
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from prometheus_client.parser import text_string_to_metric_families

from gangplank import PushgatewayExporter, PushgatewayMetricReader, Telemetry
from gangplank.catalogue import model_metric
from gangplank.metrics import Phase
from gangplank.testing import FakeGateway, Request

LOSS = model_metric(Phase.TRAIN, "loss")
TEST_LOSS = model_metric(Phase.TEST, "loss")
TRAIN, TEST, BASE = (f"/metrics/job/mnist{group}" for group in ("/phase/train", "/phase/test", ""))

# An interval that no test lives to see: what is pushed, is pushed because something asked for it.
NEVER = 3600.0

SECRET = "hunter2-hunter2"  # noqa: S105 - no secret of anybody's

OWN = "gangplank_export_"
Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


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


class Pushed:
    """A provider with a reader that pushes, and what the gateway got."""

    def __init__(self, gateway: FakeGateway, **settings: Any) -> None:
        self.gateway = gateway
        views, resource = settings.pop("views", ()), settings.pop("resource", {})
        job = settings.pop("job", "mnist")
        settings.setdefault("interval", NEVER)
        self.reader = PushgatewayMetricReader(gateway.address, job, **settings)
        self.provider = MeterProvider([self.reader], Resource(resource), shutdown_on_exit=False, views=views)
        self.meter = self.provider.get_meter("app")

    def series(self, path: str = BASE) -> Series:
        """Flush, and return what was sent to ``path`` last, the export's own numbers left out."""
        assert self.reader.force_flush()
        return series([request for request in self.gateway.requests if request.path == path][-1])


def series(request: Request) -> Series:
    """Return the value of each series of a request; one that is there twice is a failure."""
    found: Series = {}
    for family in text_string_to_metric_families(request.body):
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    return {key: value for key, value in found.items() if not key[0].startswith((OWN, "target_info"))}


def basic(user: str, password: str) -> str:
    """Return the header of basic authentication."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
