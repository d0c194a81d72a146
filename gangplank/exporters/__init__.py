"""Where metrics leave the process: a Prometheus scrape, a Pushgateway, and OpenTelemetry's own exporters."""
