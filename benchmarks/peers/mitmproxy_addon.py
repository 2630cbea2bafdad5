"""A peer as an add-on of mitmproxy in reverse mode, in mitmproxy's own environment."""

from __future__ import annotations

import sys
from pathlib import Path

from mitmproxy import http  # type: ignore[import-not-found]  # not in our environment

# mitmproxy loads this file by its path, without the package around it.
sys.path.insert(0, str(Path(__file__).parent))

from work import Work  # type: ignore[import-not-found]

_work = Work()


def request(flow: http.HTTPFlow) -> None:
    """Sign a request anew. Called by mitmproxy for each request."""
    asked = flow.request
    head = asked.headers
    done = _work.signed_anew(asked.path, head.get("API-Key", ""), head.get("API-Sign", ""), asked.raw_content or b"")
    if done is None:
        flow.response = http.Response.make(200, b'{"error":["EAPI:Invalid signature"]}')
        return
    headers, body = done
    asked.raw_content = body
    asked.headers.update({**headers, "Content-Length": str(len(body))})
