"""The systemd unit as it is written, and a process confined as it says."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import resource
import shutil
import socket
import subprocess
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy.manifests import DEPLOY

UNIT = DEPLOY / "systemd" / "signer.service"
DROP_INS = sorted((DEPLOY / "systemd" / "drop-ins").glob("*.conf"))
Sections = dict[str, dict[str, list[str]]]

# linux/prctl.h, seccomp.h
PR_SET_NO_NEW_PRIVS, PR_CAPBSET_DROP, PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 38, 24, 65, 1
SCMP_ACT_ALLOW, SCMP_ACT_ERRNO, SCMP_CMP_EQ = 0x7FFF0000, 0x00050000, 4
LAST_CAPABILITY = 63


class _Compared(ctypes.Structure):
    """libseccomp's ``scmp_arg_cmp``."""

    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


def settings(*files: Path) -> Sections:
    """The settings of a unit and its drop-ins by section and name; a name may stand more than once."""
    sections: Sections = {}
    for line in "\n".join(file.read_text(encoding="utf-8") for file in files).splitlines():
        if not line or line.startswith("#"):
            continue
        if heading := re.fullmatch(r"\[(\w+)\]", line):
            here = sections.setdefault(heading[1], defaultdict(list))
            continue
        name, equals, value = line.partition("=")
        assert equals, f"{line!r} is neither a section, a comment nor a setting"
        assert re.fullmatch(r"[A-Z]\w+", name)
        here[name].append(value)
    return sections


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`systemd-analyze`; without it the test is skipped, which CI does not allow (`make units` gets it)."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("no systemd-analyze: apt-get install systemd")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def allowed_calls(service: dict[str, list[str]]) -> set[str]:
    """The system calls that ``SystemCallFilter=`` leaves, its groups written out as systemd has them."""
    allowed: set[str] = set()
    for value in service["SystemCallFilter"]:
        calls = {call for word in value.removeprefix("~").split() for call in _group(word)}
        allowed = allowed - calls if value.startswith("~") else allowed | calls
    return allowed


def _group(name: str) -> set[str]:
    if not name.startswith("@"):
        return {name}
    listed = analyze("syscall-filter", name).stdout.splitlines()[1:]
    names = [line.strip() for line in listed if line.strip() and not line.strip().startswith("#")]
    assert names, f"systemd knows no group {name}"
    return {call for each in names for call in _group(each)}


def confinement(service: dict[str, list[str]]) -> Callable[[], None]:
    """What a child does before it becomes the gateway, to live as the unit says: filter, no capability, no gain of any.

    Not the mounts: those need a systemd that runs.
    """
    calls, families = allowed_calls(service), service["RestrictAddressFamilies"][0].split()
    libc, seccomp = ctypes.CDLL(None, use_errno=True), ctypes.CDLL("libseccomp.so.2", use_errno=True)
    context_of, pointer = seccomp.seccomp_init, ctypes.c_void_p
    context_of.restype, context_of.argtypes = pointer, [ctypes.c_uint32]
    seccomp.seccomp_load.argtypes = [pointer]
    seccomp.seccomp_rule_add_array.argtypes = [pointer, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, pointer]
    context = context_of(SCMP_ACT_ERRNO | errno.EPERM)

    def allow(name: str, *compared: _Compared) -> None:
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        rules = (_Compared * len(compared))(*compared)
        answer = seccomp.seccomp_rule_add_array(context, SCMP_ACT_ALLOW, number, len(compared), rules)
        assert number < 0 or answer == 0, f"no rule for {name}: {answer}"  # below 0: of another machine's processor

    for name in sorted(calls - {"socket"}):
        allow(name)
    for family in families:
        allow("socket", _Compared(0, SCMP_CMP_EQ, getattr(socket, family), 0))

    def confine() -> None:
        os.umask(0o077)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for capability in range(LAST_CAPABILITY + 1):
            libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # nobody without capabilities need drop one
        assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
        libc.prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0)  # from Linux 6.3 on
        assert seccomp.seccomp_load(context) == 0

    return confine
