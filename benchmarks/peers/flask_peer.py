"""A peer with Flask and requests, on gunicorn's gthread worker."""

from __future__ import annotations

import os

import requests
from flask import Flask, Response, request

from benchmarks.peers.work import Work

app = Flask(__name__)
_work = Work()
_origin = os.environ["ORIGIN"]
_session = requests.Session()
_session.trust_env = False
_session.mount("http://", requests.adapters.HTTPAdapter(pool_connections=1, pool_maxsize=64))


@app.post("/0/private/<name>")
def private(name: str) -> Response:  # noqa: ARG001 - the path itself is what is signed
    """Answer one private call."""
    head = request.headers
    done = _work.signed_anew(request.path, head.get("API-Key", ""), head.get("API-Sign", ""), request.get_data())
    if done is None:
        return Response('{"error":["EAPI:Invalid signature"]}', mimetype="application/json")
    headers, body = done
    answer = _session.post(_origin + request.path, data=body, headers=headers, timeout=10)
    return Response(answer.content, answer.status_code, mimetype="application/json")
