"""The gateway's edge: ASGI in, gunicorn around it."""
