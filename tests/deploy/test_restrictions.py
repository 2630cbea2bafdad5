"""A gateway is shut in alike, however it is run: the unit, the image, compose and Kubernetes say the same."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.deploy.manifests import DEPLOY, DOCKERFILE, OBJECTS, Json, documents
from tests.deploy.units import UNIT, settings

USER = 10001
SERVICE = settings(UNIT)["Service"]
COMPOSED = [
    (f"{name} in {file}", service)
    for file in ("compose.yaml", "vault.yaml")
    for name, service in documents(DEPLOY / "compose" / file)[0]["services"].items()
    if "image" in service
]
PODS = [(each["kind"], each["spec"]["template"]["spec"]) for each in OBJECTS if each["kind"] in {"StatefulSet", "Job"}]
CONTAINERS = [
    (f"{container['name']} of the {kind}", pod, container)
    for kind, pod in PODS
    for container in [*pod.get("initContainers", []), *pod["containers"]]
]


def confined(service: Json) -> Iterator[tuple[str, bool]]:
    """What compose says of each restriction."""
    user, _, group = service["user"].partition(":")
    yield "not root", int(user) > 0 and int(group) > 0
    yield "root file system read-only", service["read_only"] is True
    yield "no new privileges", service["security_opt"] == ["no-new-privileges:true"]
    yield "no capability", service["cap_drop"] == ["ALL"] and "cap_add" not in service
    yield "no core files", service["ulimits"]["core"] == 0
    yield "nothing runs from /tmp", service["tmpfs"] == ["/tmp:mode=1777,size=16m,noexec,nosuid,nodev"]  # noqa: S108
    yield "a bounded number of tasks", service["pids_limit"] <= 128


@pytest.mark.parametrize(("name", "service"), COMPOSED, ids=[name for name, _ in COMPOSED])
def test_compose(name: str, service: Json) -> None:
    """Gateway and Vault have the same restrictions."""
    assert [what for what, holds in confined(service) if not holds] == []


@pytest.mark.parametrize(("name", "pod", "container"), CONTAINERS, ids=[name for name, *_ in CONTAINERS])
def test_kubernetes(name: str, pod: Json, container: Json) -> None:
    """What pod security `restricted` asks for, and a root file system that cannot be written."""
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} & set(pod)
    assert container["resources"]["limits"] == {"memory": "512Mi"}


def test_the_image() -> None:
    """The image runs as the user that compose and Kubernetes name, with a home of its own."""
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (.*)$", last, re.M) == [f"{USER}:{USER}"]
    assert f"install -d -m 0700 -o {USER} -g {USER} /var/lib/signer" in last
    assert dict(COMPOSED)["gateway in compose.yaml"]["user"] == f"{USER}:{USER}"


def test_the_unit() -> None:
    """The unit has the same restrictions, and those that only systemd knows."""
    yes = """NoNewPrivileges PrivateTmp PrivateDevices PrivateIPC PrivateMounts PrivateUsers ProtectHome ProtectClock
        ProtectControlGroups ProtectHostname ProtectKernelLogs ProtectKernelModules ProtectKernelTunables
        MemoryDenyWriteExecute LockPersonality RestrictNamespaces RestrictRealtime RestrictSUIDSGID RemoveIPC"""
    assert {name: SERVICE[name] for name in yes.split()} == {name: ["yes"] for name in yes.split()}
    stated = {
        "User": ["signer"],
        "ProtectSystem": ["strict"],
        "ReadWritePaths": ["/var/lib/signer"],
        "NoExecPaths": ["/var/lib/signer /tmp /var/tmp"],
        "StateDirectoryMode": ["0700"],
        "UMask": ["0077"],
        "LimitCORE": ["0"],
        "CapabilityBoundingSet": [""],
        "AmbientCapabilities": [""],
        "TasksMax": ["64"],
        "ProtectProc": ["invisible"],
        "ProcSubset": ["pid"],
        "RestrictAddressFamilies": ["AF_INET AF_INET6 AF_UNIX"],
        "SystemCallFilter": ["@system-service @memlock", "~@privileged @resources"],
    }
    assert {name: SERVICE[name] for name in stated} == stated
