"""What every answer about revocation is held to, whether it is an OCSP answer or a list."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509

SKEW = timedelta(minutes=5)
# A responder that names no time for its next answer says that it always has a newer one (RFC 6960 section 4.2.2.1).
FRESH = timedelta(hours=1)


class Unanswered(Exception):
    """This source gave no usable answer; the reason is for people."""


class Revoked(Exception):
    """The CA revoked it."""


def require_current(this_update: datetime, next_update: datetime | None, now: datetime, *, fresh: timedelta) -> None:
    """Hold an answer's dates against the clock.

    Args:
        this_update: When it was true.
        next_update: When there will be another; None if it does not say.
        now: The time of the decision, aware.
        fresh: How old one may be that does not say.

    Raises:
        Unanswered: It is too old, or from the future.
    """
    moment = now.astimezone(UTC)
    if this_update > moment + SKEW:
        raise Unanswered("the answer is from the future; compare the clocks")
    if (this_update + fresh if next_update is None else next_update) < moment - SKEW:
        raise Unanswered("the answer is out of date")


def is_ca(certificate: x509.Certificate) -> bool:
    """Whether a certificate is a CA's."""
    from cryptography import x509

    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False
