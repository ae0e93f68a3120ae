"""What the gateway counts. Labels are route templates and statuses: never a path, an id or a name."""

from prometheus_client import Counter, Histogram

REQUESTS = Counter("golden_http_requests", "Answered HTTP requests", ["route", "status"])
SECONDS = Histogram("golden_http_request_seconds", "Seconds to the first byte of an answer", ["route"])

UNKNOWN_ROUTE = "unknown"
