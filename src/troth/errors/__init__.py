"""Every failure that Troth reports. `troth.errors.CertificateChanged` is the one that programs catch most.

The rejections are subclasses of `ssl.SSLCertVerificationError`; they are imported on first use, because a command
that only reads the store has no need of `ssl`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.errors.base import (
    BadCertificate,
    BadEndpoint,
    BadFile,
    BadFingerprint,
    BadInput,
    ChannelUnusable,
    ConfigUnusable,
    DatabaseCorrupt,
    DatabaseFull,
    DatabaseReadOnly,
    DatabaseUnusable,
    NotAllowed,
    NotDelivered,
    NotFound,
    OutcomeUnknown,
    ProtocolViolation,
    StoreRolledBack,
    StoreUnusable,
    StoreVanished,
    StoreVersion,
    TimedOut,
    TrothError,
    Unreachable,
)

if TYPE_CHECKING:
    from troth.errors.rejection import (
        AwaitingApproval,
        CertificateChanged,
        CertificateExpired,
        CertificateRejected,
        CertificateRevoked,
        InvalidChain,
        UnreadableCertificate,
    )

__all__ = [
    "AwaitingApproval",
    "BadCertificate",
    "BadEndpoint",
    "BadFile",
    "BadFingerprint",
    "BadInput",
    "CertificateChanged",
    "CertificateExpired",
    "CertificateRejected",
    "CertificateRevoked",
    "ChannelUnusable",
    "ConfigUnusable",
    "DatabaseCorrupt",
    "DatabaseFull",
    "DatabaseReadOnly",
    "DatabaseUnusable",
    "InvalidChain",
    "NotAllowed",
    "NotDelivered",
    "NotFound",
    "OutcomeUnknown",
    "ProtocolViolation",
    "StoreRolledBack",
    "StoreUnusable",
    "StoreVanished",
    "StoreVersion",
    "TimedOut",
    "TrothError",
    "Unreachable",
    "UnreadableCertificate",
]


def __getattr__(name: str) -> object:
    if name in __all__:
        from troth.errors import rejection

        return getattr(rejection, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
