# syntax=docker/dockerfile:1
# The image: Python, the locked dependencies and signer; no compiler, no key, no home. Nothing in it needs a shell.
# The base is named by its digest: a tag may be another image tomorrow. .github/dependabot.yml proposes newer ones.
FROM python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b AS build
# gunicorn's parser is compiled here. The compiler stays in this stage, and Debian keeps no old versions to pin.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/signer
WORKDIR /src
COPY requirements-build.lock requirements.lock ./
RUN /opt/signer/bin/pip install --no-cache-dir --require-hashes -r requirements-build.lock \
  && /opt/signer/bin/pip install --no-cache-dir --no-build-isolation --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY policies ./policies
COPY signer ./signer
RUN /opt/signer/bin/pip install --no-cache-dir --no-build-isolation --no-deps . && /opt/signer/bin/pip uninstall -y pip packaging setuptools wheel

FROM python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b
RUN install -d -m 0700 -o 10001 -g 10001 /var/lib/signer
COPY --from=build /opt/signer /opt/signer
# The passphrase is looked for in /run/secrets/signer-passphrase, as systemd's credentials are.
ENV PATH=/opt/signer/bin:/usr/local/bin:/usr/bin:/bin SIGNER_HOME=/var/lib/signer/home PYTHONDONTWRITEBYTECODE=1 \
  CREDENTIALS_DIRECTORY=/run/secrets
USER 10001:10001
WORKDIR /var/lib/signer
VOLUME /var/lib/signer
EXPOSE 8787
HEALTHCHECK --interval=10s --timeout=4s --start-period=10s CMD ["/opt/signer/bin/python", "-c", \
  "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8787, timeout=3); c.request('GET', '/-/health'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["signer"]
CMD ["serve"]
