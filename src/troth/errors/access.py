"""Failures of those who call: who they are, what they may do, and what their requests look like."""

from __future__ import annotations

from troth.errors.base import BadInput, NotAllowed, TrothError


class NotAuthenticated(NotAllowed):
    """Who calls is not known: nothing was presented, or it is not right, has ended, or was revoked."""

    code, slug, status = "TROTH-610", "not-authenticated", 401
    title = "Not authenticated"


class PermissionMissing(NotAllowed):
    """The caller is known, and their role does not allow this."""

    code, slug = "TROTH-611", "permission-missing"
    title = "The role does not allow this"


class TooManyAttempts(NotAllowed):
    """There were too many attempts or calls; `retry_after` among the details says for how many seconds to wait."""

    code, slug, status = "TROTH-612", "too-many-attempts", 429
    title = "Too many attempts"


class WeakPassword(BadInput):
    """A new password is one that others would guess, or cannot be typed again."""

    code, slug = "TROTH-613", "weak-password"
    title = "The password cannot be used"


class LastAdministrator(NotAllowed):
    """Afterwards nobody could administrate: there must be one enabled administrator."""

    code, slug, status = "TROTH-614", "last-administrator", 409
    title = "The last administrator stays"


class NameTaken(BadInput):
    """There is one of that name."""

    code, slug, status = "TROTH-615", "name-taken", 409
    title = "The name is taken"


class SecondFactorNeeded(NotAuthenticated):
    """The password is right, and a code is needed as well."""

    code, slug = "TROTH-616", "second-factor-needed"
    title = "A code is needed"


class CrossOrigin(NotAllowed):
    """Another site made the browser send this."""

    code, slug = "TROTH-630", "cross-origin"
    title = "Sent by another site"


class UnknownHost(BadInput):
    """The request names a host that this node is not."""

    code, slug, status = "TROTH-631", "unknown-host", 421
    title = "This node has another name"


class RequestTooLarge(BadInput):
    """The body of the request is larger than is read."""

    code, slug, status = "TROTH-632", "request-too-large", 413
    title = "The request is too large"


class BadRequest(BadInput):
    """The request is not of the form that was promised, or can be read in more than one way."""

    code, slug, status = "TROTH-633", "bad-request", 400
    title = "The request cannot be read"


class ChangedMeanwhile(TrothError):
    """What is to be changed is no longer what the caller has seen."""

    code, slug, status = "TROTH-634", "changed-meanwhile", 412
    title = "It was changed meanwhile"
