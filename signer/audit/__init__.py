"""The audit log: a chain of records on disk that proves what happened (docs/audit.md), behind `contracts.AuditLog`."""

from signer.audit.disk import Disk, File, LocalDisk
from signer.audit.log import FileAuditLog
from signer.audit.throttle import Throttle
from signer.audit.verify import Finding, KnownHead, Report, from_ledger, verify

__all__ = [
    "Disk",
    "File",
    "FileAuditLog",
    "Finding",
    "KnownHead",
    "LocalDisk",
    "Report",
    "Throttle",
    "from_ledger",
    "verify",
]
