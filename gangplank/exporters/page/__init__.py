"""The page that a browser gets where Prometheus gets metrics: what is measured, drawn, without any other server."""
