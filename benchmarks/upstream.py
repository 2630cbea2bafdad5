"""Runs a static nginx on loopback that answers like Kraken."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.processes import ended, free_port, wait_until_open

CONFIG = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 512; }}
http {{
  access_log off;
  default_type application/json;
  keepalive_requests 1000000000;
  keepalive_timeout 3600;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location = /0/private/Balance {{ return 200 '{balance}'; }}
    location = /0/private/AddOrder {{ return 200 '{order}'; }}
    location = /0/private/OpenOrders {{ return 200 '{open_orders}'; }}
    location = /0/private/GetApiKeyInfo {{ return 200 '{key}'; }}
    location / {{ return 200 '{unknown}'; }}
  }}
}}
"""
BALANCE = (
    '{"error":[],"result":{"ZUSD":"171288.6158","ZEUR":"504.1285","XXBT":"1.2435700000","XETH":"42.0000000000",'
    '"USDC":"0.00000000"}}'
)
ORDER = '{"error":[],"result":{"descr":{"order":"buy 0.01 XBTUSD @ limit 30000.1"},"txid":["O$request_id"]}}'
"""The answer to an order. nginx gives each its own id."""
OPEN_ORDERS = '{"error":[],"result":{"open":{}}}'
"""No order is open: each that was placed more than two minutes ago is taken for closed."""
KEY = (
    '{"error":[],"result":{"apiKeyName":"bench","nonce":"0","nonceWindow":"0","validUntil":"0","ipAllowlist":["127.0.0.1"],'
    '"permissions":["query-funds","query-open-trades","query-closed-trades","modify-trades"]}}'
)
"""The real key's permissions: exactly those that the benchmark's policy needs, since more would be refused."""
UNKNOWN = '{"error":["EGeneral:Unknown method"]}'


@contextmanager
def nginx(folder: Path) -> Iterator[str]:
    """Run nginx and yield its URL. It writes everything to ``folder``."""
    port = free_port()
    config = folder / "nginx.conf"
    answers = {"balance": BALANCE, "order": ORDER, "open_orders": OPEN_ORDERS, "key": KEY, "unknown": UNKNOWN}
    text = CONFIG.format(folder=folder, port=port, **answers)
    config.write_text(text, encoding="ascii")
    with ended(subprocess.Popen(["nginx", "-c", str(config), "-p", str(folder), "-e", str(folder / "nginx.log")])):
        wait_until_open(port)
        yield f"http://127.0.0.1:{port}"
