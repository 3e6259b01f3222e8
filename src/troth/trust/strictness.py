"""Whether settings are at least as strict as those that they would take the place of; what is not sure to be is weaker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.model.entry import CheckMode, Expiry, Override, PinKind, Policy

if TYPE_CHECKING:
    from collections.abc import Mapping

_RELAXED = frozenset({CheckMode.OBSERVE, CheckMode.DISABLE})
# The modes that reject all that a mode rejects. A valid chain says nothing about pins, and a pin nothing about chains, so
# `ca` is no stricter than the modes that pin, nor weaker: to go from one to the other is a person's decision.
_AT_LEAST: Mapping[CheckMode, frozenset[CheckMode]] = {
    CheckMode.DISABLE: frozenset(CheckMode),
    CheckMode.OBSERVE: frozenset(CheckMode) - {CheckMode.DISABLE},
    CheckMode.TOFU: frozenset({CheckMode.TOFU, CheckMode.STRICT}),
    CheckMode.STRICT: frozenset({CheckMode.STRICT}),
    CheckMode.CA: frozenset({CheckMode.CA}),
}


def weaker(settings: Policy | Override, than: Policy, *, unused: bool) -> Override:
    """Give the settings that would relax a policy; None for each that would not, or is not given.

    Args:
        settings: The new settings.
        than: The policy in force.
        unused: Whether that policy is a default that nobody set and nothing depends on yet: then only a mode that
            rejects nothing is weaker.
    """
    mode, pin, expired = settings.mode, settings.pin, settings.expired
    if unused:
        return Override(mode=mode if mode in _RELAXED else None)
    return Override(
        mode=mode if mode is not None and mode not in _AT_LEAST[than.mode] else None,
        # A key outlives its certificate, so a key pin accepts more; a first use never pins an issuer.
        pin=pin if pin is PinKind.KEY and than.pin is not PinKind.KEY else None,
        expired=expired if expired is Expiry.ACCEPT and than.expired is Expiry.REJECT else None,
    )


def without(settings: Override, weak: Override) -> Override:
    """Give the settings that are left when the weak ones are dropped."""
    return Override(
        mode=None if weak.mode else settings.mode,
        pin=None if weak.pin else settings.pin,
        expired=None if weak.expired else settings.expired,
    )


def words(settings: Override) -> tuple[str, ...]:
    """Give settings as they are given to `troth policy set`."""
    mode = [settings.mode.value] if settings.mode else []
    pin = [f"--pin {settings.pin}"] if settings.pin else []
    return (*mode, *pin, *([f"--expired {settings.expired}"] if settings.expired else []))
