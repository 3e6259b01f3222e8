"""A second factor: codes of RFC 6238 from a shared secret, and recovery codes for the day that the telephone is lost.

The secret lies in the database sealed, under a key that is not there. A code counts once, and no code of the time steps
before it counts afterwards: whoever looks over a shoulder comes too late.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyotp

from troth.accounts import names, opaque
from troth.accounts.protocols import utc_now
from troth.accounts.sessions import end_all_of
from troth.errors import BadInput, NotAuthenticated

if TYPE_CHECKING:
    from datetime import datetime

    from troth.accounts.protocols import Audit, Clock, Connection, Sealer, Transactions

STEP_S = 30
DIGITS = 6
WINDOW = 1
RECOVERY_CODES = 10
_RECOVERY_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_RECOVERY_LENGTH = 16


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What the user's telephone needs. It is shown once.

    Args:
        secret: The shared secret, in base 32, for typing.
        uri: The same as `otpauth://…`, for a QR code.
    """

    secret: str
    uri: str


class SecondFactor:
    """The second factors of all users.

    Args:
        database: Where they are kept.
        sealer: Seals the shared secrets.
        clock: Gives the time.
        issuer: What the user's telephone shows beside the name.
    """

    def __init__(self, database: Transactions, sealer: Sealer, *, clock: Clock = utc_now, issuer: str = "Troth"):
        self._database = database
        self._sealer = sealer
        self._clock = clock
        self._issuer = issuer

    def enrol(self, name: str) -> Enrolment:
        """Make a shared secret. It counts from when a code confirms that the user's telephone has it.

        Whoever holds a browser that is logged in could change the factor this way: ask for the password before.

        Raises:
            NotFound: There is no such user.
        """
        secret = pyotp.random_base32(32)
        with self._database.transaction() as connection:
            user = _locked(connection, name)[0]
            sealed = self._sealer.seal(secret.encode(), _about(user))
            connection.execute("UPDATE account SET totp_next = %s WHERE id = %s", (sealed, user))
        uri = pyotp.TOTP(secret, digits=DIGITS, interval=STEP_S).provisioning_uri(name=name, issuer_name=self._issuer)
        return Enrolment(secret, uri)

    def confirm(self, name: str, code: str, *, audit: Audit) -> list[str]:
        """Put the shared secret in force, and end the log-ins that began without it.

        Gives the recovery codes, which are shown once.

        Raises:
            NotFound: There is no such user.
            BadInput: No secret waits.
            NotAuthenticated: The code is not right.
        """
        with self._database.transaction() as connection:
            user, waiting = _locked(connection, name)
            if waiting is None:
                raise BadInput(
                    f"No second factor of {name} waits for its code.", next_command=f"troth user totp {name}"
                )
            step = self._step_of(code, self._open(waiting, user), after=0)
            if step is None:
                raise NotAuthenticated("The code is not right.", why="perhaps the telephone's clock is wrong")
            connection.execute(
                "UPDATE account SET totp = totp_next, totp_next = NULL, totp_step = %s WHERE id = %s", (step, user)
            )
            codes = [_recovery_code() for _ in range(RECOVERY_CODES)]
            connection.execute("DELETE FROM recovery_code WHERE account = %s", (user,))
            for each in codes:
                connection.execute("INSERT INTO recovery_code VALUES (%s, %s)", (user, opaque.digest(_bare(each))))
            end_all_of(connection, user)
            audit(connection, "second-factor-set", names.folded(name), {})
        return codes

    def remove(self, name: str, *, audit: Audit) -> None:
        """Take the second factor away, and end the user's log-ins.

        Raises:
            NotFound: There is no such user.
        """
        with self._database.transaction() as connection:
            user = _locked(connection, name)[0]
            connection.execute(
                "UPDATE account SET totp = NULL, totp_next = NULL WHERE id = %s",
                (user,),
            )
            connection.execute("DELETE FROM recovery_code WHERE account = %s", (user,))
            end_all_of(connection, user)
            audit(connection, "second-factor-removed", names.folded(name), {})

    def use(self, connection: Connection, user: int, code: str) -> str | None:
        """Use a code up, in the transaction of a log-in that has locked the user.

        Gives `code`, or `recovery-code`, or None if it is not right.
        """
        row = connection.execute("SELECT totp, totp_step FROM account WHERE id = %s", (user,)).fetchone()
        if row is None or row[0] is None:
            return None
        step = self._step_of(code, self._open(row[0], user), after=row[1])
        if step is not None:
            connection.execute("UPDATE account SET totp_step = %s WHERE id = %s", (step, user))
            return "code"
        bare = _bare(code)
        if len(bare) == _RECOVERY_LENGTH:
            done = connection.execute(
                "DELETE FROM recovery_code WHERE account = %s AND digest = %s", (user, opaque.digest(bare))
            )
            if done.rowcount:
                return "recovery-code"
        return None

    def _open(self, sealed: bytes, user: int) -> str:
        return self._sealer.open(sealed, _about(user)).decode()

    def _step_of(self, code: str, secret: str, *, after: int) -> int | None:
        """Give the time step that a code is of, if it is one that may be used now."""
        bare = code.replace(" ", "")
        if not (len(bare) == DIGITS and bare.isascii() and bare.isdigit()):
            return None
        now = step_at(self._clock())
        made = pyotp.HOTP(secret, digits=DIGITS)
        # Every step is computed and compared, whichever fits.
        fits = [hmac.compare_digest(made.at(step), bare) for step in range(now - WINDOW, now + WINDOW + 1)]
        steps = [now - WINDOW + place for place, fit in enumerate(fits) if fit and now - WINDOW + place > after]
        return steps[0] if steps else None


def step_at(moment: datetime) -> int:
    """Give the number of the time step."""
    return int(moment.timestamp()) // STEP_S


def _about(user: int) -> str:
    return f"totp of account {user}"


def _locked(connection: Connection, name: str) -> tuple[int, bytes | None]:
    row = connection.execute(
        "SELECT id, totp_next FROM account WHERE name = %s FOR UPDATE", (names.existing(name),)
    ).fetchone()
    if row is None:
        raise names.unknown(name)
    return int(row[0]), row[1]


def _recovery_code() -> str:
    text = "".join(secrets.choice(_RECOVERY_ALPHABET) for _ in range(_RECOVERY_LENGTH))
    return "-".join(text[place : place + 4] for place in range(0, _RECOVERY_LENGTH, 4))


def _bare(code: str) -> str:
    return code.replace("-", "").replace(" ", "").upper()
