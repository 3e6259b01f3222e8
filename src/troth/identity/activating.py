"""What is looked at once more when a certificate comes into force: days or months may lie between import and activation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.errors import IdentityStep
from troth.identity import generations, importing, lint
from troth.identity.chain import Path
from troth.identity.records import Change
from troth.identity.state import Refusal, Role

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path as FilePath

    from troth.identity.generations import Generation


def activation(found: tuple[Generation, ...], place: Callable[[int], FilePath], now: datetime) -> Change:
    """Say what an activation does, and what is wrong with it: the dates, and the files as OpenSSL reads them.

    The way to the CA was found at the import and is not searched again.

    Args:
        found: The generations that there are.
        place: Gives a generation's folder.
        now: The time, aware.

    Raises:
        IdentityStep: There is no next one.
        IdentityUnusable: Others may have read its key.
    """
    coming = next((each for each in found if each.role is Role.NEXT and each.chain), None)
    if coming is None:
        raise IdentityStep(Refusal.NO_NEXT.value, next_command="troth key show")
    path = Path(coming.chain, coming.chain[-1])
    dates = [
        lint.error(each.code, each.what, each.todo) if each.code == "not-yet-valid" else each
        for each in lint.dates(path, now)
    ]
    generations.key_of(place(coming.number))
    refused = lint.errors(importing.rehearsed(path, place(coming.number)))
    return Change(coming, importing.current(found), (*dates, *refused))
