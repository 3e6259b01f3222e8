"""Secrets that must be read again (ISE's and mail's passwords, second factors), sealed under a key of the node's own.

The key lies in a file of the node's home, or where systemd puts credentials; never in the database, which is replicated,
backed up and read by more people.
"""

from __future__ import annotations

import hmac
import os
import stat
from pathlib import Path
from typing import Self

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from troth.errors import ConfigUnusable, SecretUnusable

FILE = "keys"


class Vault:
    """Seals and opens bytes (Fernet: AES-128-CBC with HMAC-SHA256). The first key seals, each of them opens.

    Args:
        keys: Fernet keys, the one in use first.
    """

    def __init__(self, keys: list[bytes]):
        self._fernet = MultiFernet([Fernet(key) for key in keys])

    @classmethod
    def create(cls, folder: Path) -> Self:
        """Make a key, durably; an existing one is kept, for what was sealed with it would be lost."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = folder / FILE
        if not file.exists():
            unfinished = folder / f".{FILE}.{os.getpid()}"
            handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(handle, "wb") as opened:
                opened.write(Fernet.generate_key() + b"\n")
                opened.flush()
                os.fsync(opened.fileno())
            unfinished.replace(file)
            durable(folder)
        return cls.read(folder)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the keys.

        Raises:
            ConfigUnusable: They cannot be read, or others can read them too.
        """
        given = os.environ.get("CREDENTIALS_DIRECTORY")
        file = Path(given) / "troth-keys" if given and (Path(given) / "troth-keys").is_file() else folder / FILE
        try:
            if stat.S_IMODE(file.stat().st_mode) & 0o077 and file.parent == folder:
                raise ConfigUnusable(
                    f"{file} may be read by others, so the secrets that it seals may be known.",
                    next_command=f"chmod 600 {file}, then set every sealed password anew",
                )
            return cls(file.read_bytes().split())
        except OSError as error:
            raise ConfigUnusable(
                f"The node's keys cannot be read: {file}",
                why=error.strerror or str(error),
                next_command="restore it from a backup; without it every stored password must be set anew",
            ) from None
        except ValueError:
            raise ConfigUnusable(f"{file} does not hold keys.", next_command="restore it from a backup") from None

    def seal(self, text: bytes, about: str) -> bytes:
        """Seal bytes for one purpose.

        Args:
            text: What is secret.
            about: What it is; it can be opened as nothing else.
        """
        label = about.encode()
        return self._fernet.encrypt(len(label).to_bytes(2, "big") + label + text)

    def open(self, sealed: bytes, about: str) -> bytes:
        """Open what was sealed for a purpose.

        Raises:
            SecretUnusable: It was altered, sealed with another key, or for another purpose.
        """
        try:
            opened = self._fernet.decrypt(bytes(sealed))
        except InvalidToken:
            raise _unusable(about) from None
        size = int.from_bytes(opened[:2], "big")
        if not hmac.compare_digest(opened[2 : 2 + size], about.encode()):
            raise _unusable(about)
        return opened[2 + size :]


def _unusable(about: str) -> SecretUnusable:
    return SecretUnusable(
        f"A stored secret cannot be opened: {about}.",
        why="it was altered, or sealed with a key that this node does not have",
        next_command="set it anew, or restore the file secrets/keys that belongs to this database",
    )


def durable(folder: Path) -> None:
    """Make a folder's entries durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
