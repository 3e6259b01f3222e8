"""What a change looks like. A class helps a person to judge; no class makes a change acceptable.

The order is that of danger: what points at an attack is said before what points at a renewal.
"""

from __future__ import annotations

from troth.model.entry import Entry, PinState
from troth.trust.verdict import ChainFault, ChangeClass, Facts, Presented

# A path that was built and then refused: what is wrong is said, and not that there is no CA.
_BROKEN = {ChainFault.NAME: ChangeClass.WRONG_NAME, ChainFault.DATES: ChangeClass.OUTSIDE_DATES}


def classify(presented: Presented, entry: Entry | None, facts: Facts) -> ChangeClass:
    """Name what the change from `facts.old` to the presented certificate looks like."""
    leaf, old = presented.leaf, facts.old
    if facts.holders and not (old and old.spki == leaf.spki):
        return ChangeClass.OTHER_HOST_KEY
    if entry and any(leaf.fingerprint == pin.certificate for pin in entry.having(PinState.RETIRED)):
        return ChangeClass.RETIRED_RETURNED
    # A pinned issuer did not vouch for it: that its issuer has the same name means nothing.
    if facts.chain is not None and not facts.chain.valid:
        return _BROKEN.get(facts.chain.fault or ChainFault.UNTRUSTED, ChangeClass.CA_DOWNGRADED)
    if old is not None and old.spki == leaf.spki:
        return ChangeClass.SAME_KEY
    if facts.weaknesses:
        return ChangeClass.WEAK_KEY
    if facts.old_chain_valid and facts.chain is None:
        return ChangeClass.CA_DOWNGRADED
    if old is None:
        return ChangeClass.UNKNOWN
    if old.self_issued and leaf.self_issued:
        return ChangeClass.SELF_SIGNED_REPLACED
    return ChangeClass.SAME_ISSUER if old.issuer_der == leaf.issuer_der else ChangeClass.DIFFERENT_ISSUER
