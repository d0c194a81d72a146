"""The push exit: a Prometheus Pushgateway, for jobs that end before anyone can scrape them."""

from gangplank.exporters.pushgateway.exporter import PushgatewayExporter

__all__ = ["PushgatewayExporter"]
