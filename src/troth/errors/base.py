"""Every failure that Troth reports: what happened, why, and the command that comes next.

Each class owns a stable code that can be searched for, the exit code of the command line, and the slug of its
RFC 9457 problem type. The codes never change their meaning; the words may.
"""

from __future__ import annotations

from typing import ClassVar

PROBLEM_TYPE_PREFIX = "urn:troth:problem:"


class TrothError(Exception):
    """Base of every failure: says what happened, why, and what to do next.

    Args:
        what: One sentence that says what happened.
        why: The reason, where it is known.
        next_command: The command (or action) that comes next, ready to be pasted.
        details: Fields for programs; they appear in the RFC 9457 document, never a secret among them.
    """

    code: ClassVar[str] = "TROTH-100"
    slug: ClassVar[str] = "failure"
    title: ClassVar[str] = "The command failed"
    exit_code: ClassVar[int] = 1
    status: ClassVar[int] = 500

    def __init__(self, what: str, *, why: str = "", next_command: str = "", details: dict[str, object] | None = None):
        super().__init__(what)
        self.what = what
        self.why = why
        self.next_command = next_command
        self.details: dict[str, object] = dict(details or {})

    def __str__(self) -> str:
        """Give the whole message in one line, as a log or a traceback shows it."""
        text = f"{self.what} ({self.why})" if self.why else self.what
        return f"{text} [{self.code}]"

    def problem(self) -> dict[str, object]:
        """Give the failure as an RFC 9457 problem document."""
        document: dict[str, object] = {
            "type": PROBLEM_TYPE_PREFIX + self.slug,
            "title": self.title,
            "status": self.status,
            "detail": self.what,
            "code": self.code,
            "exit_code": self.exit_code,
        }
        if self.why:
            document["why"] = self.why
        if self.next_command:
            document["next_command"] = self.next_command
        return {**document, **self.details}


class BadInput(TrothError):
    """The words of a call cannot be used as they are."""

    code, slug, exit_code, status = "TROTH-200", "bad-input", 2, 422
    title = "The input cannot be used"


class BadEndpoint(BadInput):
    """A host, port or protocol is not one that Troth can connect to without guessing."""

    code, slug = "TROTH-201", "bad-endpoint"
    title = "The endpoint cannot be used"


class BadFingerprint(BadInput):
    """A fingerprint is not a SHA-256 fingerprint in any known notation."""

    code, slug = "TROTH-202", "bad-fingerprint"
    title = "The fingerprint cannot be used"


class BadCertificate(BadInput):
    """Bytes are not a certificate that can be read without guessing."""

    code, slug = "TROTH-203", "bad-certificate"
    title = "The certificate cannot be read"


class BadFile(BadInput):
    """A file cannot be imported; nothing of it was taken over."""

    code, slug = "TROTH-204", "bad-file"
    title = "The file cannot be used"


class BadKey(BadInput):
    """A private key cannot be used; what it is stands in no message."""

    code, slug = "TROTH-220", "bad-key"
    title = "The private key cannot be used"


class KeyLocked(BadKey):
    """A private key is encrypted, and the passphrase is missing or wrong."""

    code, slug = "TROTH-221", "key-locked"
    title = "The private key is encrypted"


class CertificateUnfit(BadInput):
    """A certificate would not serve this node; nothing was changed."""

    code, slug = "TROTH-222", "certificate-unfit"
    title = "The certificate does not fit"


class IdentityStep(TrothError):
    """The node's keys and certificates are not in a state in which this can be done."""

    code, slug, status = "TROTH-223", "identity-step", 409
    title = "Not in this state"


class NotFound(TrothError):
    """What was asked for is not there."""

    code, slug, exit_code, status = "TROTH-101", "not-found", 1, 404
    title = "Not found"


class BadOutput(BadInput):
    """What was asked was done, and the result could not be written where the caller wanted it."""

    code, slug = "TROTH-205", "bad-output"
    title = "The result could not be written"


class Interrupted(TrothError):
    """Somebody stopped the command."""

    code, slug, exit_code = "TROTH-102", "interrupted", 130
    title = "Interrupted"


class Unreachable(TrothError):
    """No TLS connection could be made."""

    code, slug, exit_code, status = "TROTH-501", "unreachable", 5, 502
    title = "The host could not be reached"


class TimedOut(Unreachable):
    """The time limit ran out before there was a verdict."""

    code, slug, status = "TROTH-502", "timed-out", 504
    title = "The time limit ran out"


class ProtocolViolation(Unreachable):
    """The peer broke the protocol, or would not start TLS."""

    code, slug = "TROTH-503", "protocol-violation"
    title = "The peer did not keep to the protocol"


class IseNotUnderstood(Unreachable):
    """An ISE server answered, but not as its documented API does; nothing of the answer was used."""

    code, slug = "TROTH-540", "ise-not-understood"
    title = "ISE's answer cannot be used"


class IseCredentialsRefused(TrothError):
    """An ISE server does not accept the user and the password."""

    code, slug, exit_code, status = "TROTH-541", "ise-credentials-refused", 6, 502
    title = "ISE refuses the credentials"


class IseWrongGroup(TrothError):
    """An ISE server knows the user, who may not read its monitoring."""

    code, slug, exit_code, status = "TROTH-542", "ise-wrong-group", 6, 502
    title = "ISE's user is in the wrong group"


class IseNotMonitoring(TrothError):
    """An ISE server has no monitoring: it is not a monitoring node."""

    code, slug, exit_code, status = "TROTH-543", "ise-not-monitoring", 1, 502
    title = "This is no monitoring node"


class IseBusy(Unreachable):
    """An ISE server is up, and asks to be left alone for a while."""

    code, slug, status = "TROTH-544", "ise-busy", 503
    title = "ISE is busy"


class NotDelivered(TrothError):
    """A message did not reach its receiver; it is tried again."""

    code, slug, exit_code, status = "TROTH-560", "not-delivered", 5, 502
    title = "The message was not delivered"


class NotAllowed(TrothError):
    """The caller is not authenticated, or may not do this."""

    code, slug, exit_code, status = "TROTH-601", "not-allowed", 6, 403
    title = "Not allowed"


class IdentityUnusable(TrothError):
    """The node's keys and certificates cannot be read or written, or others may have read them."""

    code, slug, exit_code, status = "TROTH-620", "identity-unusable", 7, 503
    title = "The node's identity cannot be used"


class IdentityMissing(IdentityUnusable):
    """The node has no key yet."""

    code, slug = "TROTH-621", "identity-missing"
    title = "The node has no identity"


class ConfigUnusable(TrothError):
    """The configuration cannot be used."""

    code, slug, exit_code, status = "TROTH-700", "configuration-unusable", 7, 500
    title = "The configuration cannot be used"


class ChannelUnusable(ConfigUnusable):
    """The settings of a channel, or its secret, cannot be used."""

    code, slug, status = "TROTH-561", "channel-unusable", 422
    title = "The channel cannot be used"


class StoreUnusable(TrothError):
    """The trust store cannot be read or written: nothing is trusted, and nothing is learned."""

    code, slug, exit_code, status = "TROTH-710", "store-unusable", 7, 503
    title = "The trust store cannot be used"


class StoreVanished(StoreUnusable):
    """The trust store was here before and is gone."""

    code, slug = "TROTH-711", "store-vanished"
    title = "The trust store is gone"


class StoreRolledBack(StoreUnusable):
    """The trust store is older than what this machine has already seen of it."""

    code, slug = "TROTH-712", "store-rolled-back"
    title = "The trust store was rolled back"


class StoreVersion(StoreUnusable):
    """The trust store was written by a newer Troth, or is no trust store at all."""

    code, slug = "TROTH-713", "store-version"
    title = "The trust store is of another version"


class DatabaseUnusable(StoreUnusable):
    """The node's database does not run, does not answer, or went away."""

    code, slug = "TROTH-720", "database-unusable"
    title = "The database cannot be used"


class DatabaseFull(StoreUnusable):
    """The database has no room left; what was committed is kept."""

    code, slug = "TROTH-721", "database-full"
    title = "The database is full"


class DatabaseCorrupt(StoreUnusable):
    """The database's files are damaged; nothing more is written to it."""

    code, slug = "TROTH-722", "database-corrupt"
    title = "The database is damaged"


class DatabaseReadOnly(StoreUnusable):
    """The database is a standby's copy, which only the active node changes."""

    code, slug = "TROTH-723", "database-read-only"
    title = "The database takes no changes here"


class OutcomeUnknown(StoreUnusable):
    """A change was made, and whether it outlives a failover cannot be said."""

    code, slug = "TROTH-724", "outcome-unknown"
    title = "The outcome is not known"


class SecretUnusable(ConfigUnusable):
    """A sealed secret cannot be opened with the keys that this node has."""

    code, slug = "TROTH-730", "secret-unusable"
    title = "A stored secret cannot be opened"


class NodeExists(ConfigUnusable):
    """There is a node where one was to be made."""

    code, slug = "TROTH-731", "node-exists"
    title = "There is a node already"


class NodeRunning(ConfigUnusable):
    """A node runs in this home already."""

    code, slug = "TROTH-732", "node-running"
    title = "The node runs already"


class NodeNotRunning(TrothError):
    """No node runs in this home."""

    code, slug, exit_code, status = "TROTH-733", "node-not-running", 1, 503
    title = "The node does not run"


class PartFailed(ConfigUnusable):
    """A part of the node could not be started."""

    code, slug = "TROTH-734", "part-failed"
    title = "A part of the node failed"
