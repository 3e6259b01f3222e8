"""The differences between two certificates, field by field, in the order in which a person asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.trust.verdict import FieldDiff

if TYPE_CHECKING:
    from datetime import datetime

    from troth.model.certificate import CertificateView


def certificate_fields(view: CertificateView) -> dict[str, str]:
    """Give a certificate's comparable fields as text."""
    return {
        "subject": view.subject,
        "issuer": view.issuer,
        "san": ", ".join(view.san),
        "not_before": _date(view.not_before),
        "not_after": _date(view.not_after),
        "key": view.key,
        "spki": str(view.spki),
        "serial": view.serial,
        "signature_algorithm": view.signature_algorithm,
        "is_ca": "yes" if view.is_ca else "no",
        "version": str(view.version),
        "fingerprint": str(view.fingerprint),
    }


def diff(old: CertificateView, new: CertificateView) -> tuple[FieldDiff, ...]:
    """Give the fields that differ; empty only if both are the same bytes."""
    before, after = certificate_fields(old), certificate_fields(new)
    return tuple(
        FieldDiff(field=name, old=before[name], new=after[name]) for name in before if before[name] != after[name]
    )


def _date(moment: datetime | None) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="seconds") + "Z" if moment else "unreadable"
