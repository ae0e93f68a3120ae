"""What the gateway counts. Labels are route templates and statuses: never a path, an id or a name."""

from prometheus_client import Counter, Histogram

REQUESTS = Counter("golden_http_requests", "Answered HTTP requests", ["route", "status"])
SECONDS = Histogram("golden_http_request_seconds", "Seconds to the first byte of an answer", ["route"])

AUDIT_RECORDS = Counter("golden_audit_records", "Records appended to the audit log by this gateway", ["outcome"])
AUDIT_ANCHORS = Counter("golden_audit_anchors", "Heads of audit chains that were signed and kept", ["result"])
RATE_LIMITED = Counter("golden_rate_limited", "Requests that were refused by a limit", ["limit"])

UNKNOWN_ROUTE = "unknown"
