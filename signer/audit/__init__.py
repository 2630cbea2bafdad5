"""The audit log: a chain of records on disk that proves what happened (docs/audit.md), behind `contracts.AuditLog`."""

from signer.audit.disk import Disk, File, LocalDisk
from signer.audit.log import FileAuditLog
from signer.audit.throttle import RecordThrottle
from signer.audit.verify import ChainFinding, KnownHead, Report, from_ledger, verify

__all__ = [
    "ChainFinding",
    "Disk",
    "File",
    "FileAuditLog",
    "KnownHead",
    "LocalDisk",
    "RecordThrottle",
    "Report",
    "from_ledger",
    "verify",
]
