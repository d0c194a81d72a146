"""What operators load into their servers: dashboards for Grafana, rules for Prometheus."""
