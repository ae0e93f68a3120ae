"""`/docs`: the OpenAPI document as one plain page that fetches nothing."""

import base64
import functools
import hashlib
import json
from html import escape
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from gateway.envelope import SECURITY_HEADERS
from gateway.openapi import describe
from gateway.services import Services

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}
h1{font-size:1.6rem} code,pre{font:14px/1.4 ui-monospace,monospace} pre{overflow:auto;background:#f4f4f4;padding:1rem}
details{border-top:1px solid #ccc;padding:.6rem 0} summary{cursor:pointer} th{text-align:left;padding-right:1rem}
td{vertical-align:top;padding-right:1rem} .method{display:inline-block;width:4rem;font-weight:600}
@media (prefers-color-scheme:dark){body{color:#eee;background:#161616}pre{background:#242424}a{color:#8ab4f8}}
"""
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
_POLICY = SECURITY_HEADERS["Content-Security-Policy"]
HEADERS = {"Content-Security-Policy": f"{_POLICY}; style-src 'sha256-{_HASH}'"}


async def show_docs(_request: Request, _services: Services) -> Response:
    """The page."""
    return HTMLResponse(_page(), headers=HEADERS)


@functools.cache
def _page() -> str:
    document = describe()
    operations = "".join(
        _operation(method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    )
    schemas = "".join(
        f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>{_pre(schema)}</details>'
        for name, schema in document["components"]["schemas"].items()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Golden API</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
        f"<h1>Golden API</h1><p>{escape(document['info']['description'])} "
        'For machines: <a href="/openapi.json">/openapi.json</a>.</p>'
        f"<h2>Routes</h2>{operations}<h2>Messages</h2>{schemas}</body></html>"
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    responses = "".join(
        f"<tr><th>{escape(status)}</th><td>{escape(response['description'])}</td></tr>"
        for status, response in operation["responses"].items()
    )
    parameters = "".join(
        f"<tr><th><code>{escape(each['name'])}</code></th><td>{escape(each['in'])}</td>"
        f"<td>{escape(each.get('description', ''))}</td></tr>"
        for each in operation.get("parameters", ())
    )
    return (
        f'<details><summary><span class="method">{escape(method)}</span><code>{escape(path)}</code> '
        f"{escape(operation['summary'])}</summary><p>{escape(operation.get('description', 'For everybody.'))}</p>"
        f"{_body(operation)}<table>{parameters}</table><table>{responses}</table></details>"
    )


def _body(operation: dict[str, Any]) -> str:
    body = operation.get("requestBody")
    if body is None:
        return ""
    name = body["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
    return f'<p>Takes <a href="#{escape(name)}"><code>{escape(name)}</code></a> as JSON or YAML.</p>'


def _pre(value: Any) -> str:
    return f"<pre>{escape(json.dumps(value, indent=2))}</pre>"
