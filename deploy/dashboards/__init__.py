"""What Grafana shows, built from the table of metrics."""
