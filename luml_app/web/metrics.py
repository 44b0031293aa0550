"""Metrics for Prometheus."""

from prometheus_client import Counter, Histogram

REQUESTS = Counter("luml_requests", "Operations by name and HTTP status.", ["operation", "status"])
SECONDS = Histogram("luml_request_seconds", "Seconds that an operation took.", ["operation"])
