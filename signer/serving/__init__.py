"""Runs the process: gunicorn around an ASGI application, and the one place that connects all parts."""
