"""All of accounts around one database: what the server and the command line open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.accounts.door import Door
from troth.accounts.passwords import PRODUCTION, Hasher
from troth.accounts.protocols import utc_now
from troth.accounts.sessions import Sessions
from troth.accounts.tokens import Tokens
from troth.accounts.totp import SecondFactor
from troth.accounts.users import Users

if TYPE_CHECKING:
    import argon2

    from troth.accounts.protocols import Clock, Sealer, Transactions


class Accounts:
    """Users, log-ins, tokens, second factors, and the door.

    Args:
        database: Where they are kept.
        sealer: Seals what must be read again.
        clock: Gives the time.
        profile: What hashing a password costs.
        hasher: Hashes passwords, in place of one that is made for the profile.
    """

    def __init__(
        self,
        database: Transactions,
        sealer: Sealer,
        *,
        clock: Clock = utc_now,
        profile: argon2.Parameters = PRODUCTION,
        hasher: Hasher | None = None,
    ):
        hasher = hasher or Hasher(profile)
        self.users = Users(database, hasher, clock=clock)
        self.sessions = Sessions(database, clock=clock)
        self.tokens = Tokens(database, clock=clock)
        self.factor = SecondFactor(database, sealer, clock=clock)
        self.door = Door(database, hasher, self.factor, clock=clock)
