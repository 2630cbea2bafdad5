"""The Dockerfile: what it installs, what it copies, and how the gateway in it is started and asked for its health."""

from __future__ import annotations

import re

from tests.deploy.manifests import DOCKERFILE, ROOT, steps


def test_the_image_installs_only_what_the_lock_has() -> None:
    """Dependencies and what builds them come from locks by hash; signer itself comes without any."""
    installs = [part for step in steps("RUN") for part in step.split("&&") if "pip install" in part]
    build, locked, own = installs
    assert "--require-hashes -r requirements-build.lock" in build
    assert "--no-build-isolation --require-hashes -r requirements.lock" in locked
    assert "--no-build-isolation --no-deps ." in own


def test_every_base_is_named_by_its_digest() -> None:
    """A tag may be another image tomorrow."""
    bases = [step.split()[0] for step in steps("FROM")]
    assert len(bases) == 2
    assert all(re.fullmatch(r"python:3\.11-slim-bookworm@sha256:[0-9a-f]{64}", base) for base in bases)


def test_the_image_holds_no_secret_and_starts_without_a_shell() -> None:
    """No shell form, no build argument or variable that could carry a secret; the passphrase is a mounted file."""
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.findall(r"^ENTRYPOINT (.*)$", last, re.M) == ['["signer"]']
    assert all(form.startswith("[") for form in steps("CMD") + steps("ENTRYPOINT"))
    assert "/-/health" in "".join(steps("HEALTHCHECK .* CMD"))
    assert steps("ARG") == steps("ADD") == []
    assert not re.search(r"PASSPHRASE|SECRET|API_KEY", DOCKERFILE)
    assert "CREDENTIALS_DIRECTORY=/run/secrets" in last


def test_what_the_image_copies_exists_and_reaches_the_builder() -> None:
    """Each COPY has its source, .dockerignore lets it through, and it lets nothing else."""
    copied = [word for step in steps("COPY") if not step.startswith("--from") for word in step.split()[:-1]]
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line for line in ignore if line and not line.startswith("#")]
    assert all((ROOT / name).exists() for name in copied)
    assert patterns[0] == "*"
    assert sorted(line[1:] for line in patterns if line.startswith("!")) == sorted(copied)


def test_the_health_check_asks_what_the_gateway_answers() -> None:
    """The one-liner compiles, and fits a gateway on the default address."""
    (check,) = re.findall(r'^HEALTHCHECK .*"-c", *"(.*)"\]$', DOCKERFILE, re.M)
    compile(check, "HEALTHCHECK", "exec")
    assert "'127.0.0.1', 8787" in check
