"""Every failure that Troth reports. `troth.errors.CertificateChanged` is the one that programs catch most.

The rejections are subclasses of `ssl.SSLCertVerificationError`; they are imported on first use, because a command
that only reads the store has no need of `ssl`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.errors.access import (
    BadRequest,
    ChangedMeanwhile,
    CrossOrigin,
    LastAdministrator,
    NameTaken,
    NotAuthenticated,
    PermissionMissing,
    RequestTooLarge,
    SecondFactorNeeded,
    TooManyAttempts,
    UnknownHost,
    WeakPassword,
)
from troth.errors.base import (
    BadCertificate,
    BadEndpoint,
    BadFile,
    BadFingerprint,
    BadInput,
    BadKey,
    BadOutput,
    CertificateUnfit,
    ChannelUnusable,
    ConfigUnusable,
    DatabaseCorrupt,
    DatabaseFull,
    DatabaseReadOnly,
    DatabaseUnusable,
    IdentityMissing,
    IdentityStep,
    IdentityUnusable,
    Interrupted,
    IseBusy,
    IseCredentialsRefused,
    IseNotMonitoring,
    IseNotUnderstood,
    IseWrongGroup,
    KeyLocked,
    NodeExists,
    NodeNotRunning,
    NodeRunning,
    NotAllowed,
    NotDelivered,
    NotFound,
    OutcomeUnknown,
    PartFailed,
    ProtocolViolation,
    SecretUnusable,
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
    "BadKey",
    "BadOutput",
    "BadRequest",
    "CertificateChanged",
    "CertificateExpired",
    "CertificateRejected",
    "CertificateRevoked",
    "CertificateUnfit",
    "ChangedMeanwhile",
    "ChannelUnusable",
    "ConfigUnusable",
    "CrossOrigin",
    "DatabaseCorrupt",
    "DatabaseFull",
    "DatabaseReadOnly",
    "DatabaseUnusable",
    "IdentityMissing",
    "IdentityStep",
    "IdentityUnusable",
    "Interrupted",
    "InvalidChain",
    "IseBusy",
    "IseCredentialsRefused",
    "IseNotMonitoring",
    "IseNotUnderstood",
    "IseWrongGroup",
    "KeyLocked",
    "LastAdministrator",
    "NameTaken",
    "NodeExists",
    "NodeNotRunning",
    "NodeRunning",
    "NotAllowed",
    "NotAuthenticated",
    "NotDelivered",
    "NotFound",
    "OutcomeUnknown",
    "PartFailed",
    "PermissionMissing",
    "ProtocolViolation",
    "RequestTooLarge",
    "SecondFactorNeeded",
    "SecretUnusable",
    "StoreRolledBack",
    "StoreUnusable",
    "StoreVanished",
    "StoreVersion",
    "TimedOut",
    "TooManyAttempts",
    "TrothError",
    "UnknownHost",
    "Unreachable",
    "UnreadableCertificate",
    "WeakPassword",
]


def __getattr__(name: str) -> object:
    if name in __all__:
        from troth.errors import rejection

        return getattr(rejection, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
