"""What deploy/ and the Dockerfile promise, held to the program that they start."""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from pathlib import Path

import click
import pytest

from signer.cli.main import EXIT_STATUS, cli
from signer.keys.passphrase import CREDENTIAL

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy" / "systemd" / "signer.service"
COMPOSE = (ROOT / "deploy" / "compose" / "compose.yaml").read_text(encoding="utf-8")
DOCKERFILE = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"))


def unit() -> dict[str, dict[str, list[str]]]:
    """The unit's settings by section and name; a name may stand more than once."""
    sections: dict[str, dict[str, list[str]]] = {}
    for line in UNIT.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        if heading := re.fullmatch(r"\[(\w+)\]", line):
            settings = sections.setdefault(heading[1], defaultdict(list))
            continue
        name, equals, value = line.partition("=")
        assert equals, f"{line!r} is neither a section, a comment nor a setting"
        assert re.fullmatch(r"[A-Z]\w+", name)
        settings[name].append(value)
    return sections


def understood(command: list[str]) -> bool:
    """Whether `signer` knows these words and options."""
    return bool(cli.main([*command, "--help"], prog_name="signer", standalone_mode=False) == 0)


def test_the_unit_has_the_three_sections_and_starts_the_gateway() -> None:
    """It runs the program's own commands, as a user of its own, and is started again only where that can help."""
    sections = unit()
    service = sections["Service"]
    assert list(sections) == ["Unit", "Service", "Install"]
    for command, name in (("ExecStart", "serve"), ("ExecReload", "reload")):
        program, *words = shlex.split(service[command][0])
        assert program == "/opt/signer/bin/signer"
        assert words == ["--home", "/var/lib/signer/home", name]
        assert understood(words)
    assert service["User"] == ["signer"]
    assert service["LoadCredential"] == [f"{CREDENTIAL}:/etc/signer/passphrase"]
    assert service["Restart"] == ["on-failure"]
    for_a_person = {2, EXIT_STATUS["config"], EXIT_STATUS["key-store"]}
    assert {int(status) for status in service["RestartPreventExitStatus"][0].split()} == for_a_person


def test_the_unit_is_hardened() -> None:
    """Each line that keeps keys in and others out is there."""
    service = unit()["Service"]
    yes = """NoNewPrivileges PrivateTmp PrivateDevices PrivateUsers ProtectHome ProtectClock ProtectControlGroups
        ProtectHostname ProtectKernelLogs ProtectKernelModules ProtectKernelTunables MemoryDenyWriteExecute
        LockPersonality RestrictNamespaces RestrictRealtime RestrictSUIDSGID RemoveIPC"""
    assert {name: service[name] for name in yes.split()} == {name: ["yes"] for name in yes.split()}
    stated = {
        "ProtectSystem": ["strict"],
        "ReadWritePaths": ["/var/lib/signer"],
        "UMask": ["0077"],
        "LimitCORE": ["0"],
        "MemorySwapMax": ["0"],
        "CapabilityBoundingSet": [""],
        "RestrictAddressFamilies": ["AF_INET AF_INET6 AF_UNIX"],
        "SystemCallFilter": ["@system-service", "~@privileged @resources"],
    }
    assert {name: service[name] for name in stated} == stated


def steps(name: str) -> list[str]:
    """The arguments of each step of the Dockerfile of that name."""
    return re.findall(rf"^{name} (.*)$", DOCKERFILE, re.M)


def test_the_image_installs_only_what_the_lock_has() -> None:
    """Dependencies come from the lock by hash; signer itself comes without any."""
    installs = [part for step in steps("RUN") for part in step.split("&&") if "pip install" in part]
    assert len(installs) == 2
    assert "--require-hashes -r requirements.lock" in installs[0]
    assert "--no-deps ." in installs[1]


def test_the_image_runs_as_nobody_and_holds_no_secret() -> None:
    """A numeric user that is not root, no shell form, no build argument or variable that could carry a secret."""
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (.*)$", last, re.M) == ["10001:10001"]
    assert re.findall(r"^ENTRYPOINT (.*)$", last, re.M) == ['["signer"]']
    assert all(form.startswith("[") for form in steps("CMD") + steps("ENTRYPOINT"))
    assert "/-/health" in "".join(steps("HEALTHCHECK .* CMD"))
    assert steps("ARG") == steps("ADD") == []
    assert not re.search(r"PASSPHRASE|SECRET|API_KEY", DOCKERFILE)


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


def test_compose_keeps_the_gateway_to_itself() -> None:
    """A read-only root, no capabilities, no published port, the passphrase as a secret; and its command is one."""
    for line in ("read_only: true", 'cap_drop: ["ALL"]', '"no-new-privileges:true"', "core: 0", 'user: "10001:10001"'):
        assert line in COMPOSE
    settings = re.sub(r"^#.*$", "", COMPOSE, flags=re.M)
    assert not re.search(r"\b(privileged|cap_add|ports|environment|network_mode)\b", settings)
    assert "\t" not in COMPOSE
    (command,) = re.findall(r"^    command: \[(.*)\]$", COMPOSE, re.M)
    assert understood([word.strip().strip('"') for word in command.split(",")])
    assert f"/run/secrets/{CREDENTIAL}" in command
    assert f"      - {CREDENTIAL}" in COMPOSE


def test_a_command_that_is_none_would_be_noticed() -> None:
    """`understood` can say no."""
    with pytest.raises(click.NoSuchOption):
        understood(["serve", "--no-such-option"])
