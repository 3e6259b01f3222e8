"""An identity on the disk: the generations, and one small file that says which of them is for what.

    identity/
      state.json                which generation is for what; replaced as a whole, never written in place
      generations/000001/       key.pem, chain.pem, csr.pem, meta.json: written once, never changed
      lock                      held while something changes; empty

A generation is complete and durable before the state names it, and the state is replaced by one rename. So a process
that is killed at any step leaves the old state or the new one. What it leaves beside them is put right by the next
change: half-written folders go, and a complete one that the state does not name is laid aside, for it holds a key.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from troth.errors import IdentityMissing, IdentityStep, IdentityUnusable, TrothError
from troth.identity import files as disk
from troth.identity import generations, keys
from troth.identity.state import Event, Found, Refusal, Role, State, dump, step
from troth.identity.state import load as load_state

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from troth.identity.generations import Generation

_STATE, _FRESH, _LOCK, _GENERATIONS = "state.json", "state.json.new", "lock", "generations"
_NUMBERED = re.compile(r"[0-9]{6,9}")
_STAGED = ".new-"
# These may have been removed by a person; nothing that is in force rests on them.
_OPTIONAL = (Role.PENDING, Role.RETIRED, Role.ASIDE)
_TRIES = 3


class Disk:
    """Reads and changes the folder of an identity.

    Args:
        folder: The folder; it is made by the first change.
        files: What changes the disk.
    """

    def __init__(self, folder: Path, files: disk.Files):
        self.folder = folder
        self._files = files

    def place(self, number: int) -> Path:
        """Give the folder of a generation."""
        return self.folder / _GENERATIONS / generations.name(number)

    def token(self) -> str:
        """Give a text that differs after each change; empty before the first."""
        try:
            return hashlib.sha256(disk.read(self.folder / _STATE)).hexdigest()
        except FileNotFoundError:
            return ""

    def state(self) -> State:
        """Read the state.

        Raises:
            IdentityUnusable: It cannot be read, is damaged, or others may have written it.
        """
        if not self.folder.is_symlink() and not self.folder.exists():
            return State()
        disk.require_private_folder(self.folder)
        path = self.folder / _STATE
        try:
            return load_state(disk.read_own(path))
        except FileNotFoundError:
            return State()
        except ValueError as error:
            raise IdentityUnusable(
                f"{path} is damaged: {error}.",
                next_command=f"restore {path} from a copy; the keys in {self.folder / _GENERATIONS} are not touched",
            ) from None

    def load(self, state: State) -> tuple[Generation, ...]:
        """Read every generation that a state names, by role and then from the newest on.

        Raises:
            FileNotFoundError: One that is in force, or will be, is not there.
            IdentityUnusable: One is damaged.
        """
        found = []
        for number, role in state.roles.items():
            try:
                found.append(generations.load(self.place(number), number, role))
            except FileNotFoundError:
                if role not in _OPTIONAL:
                    raise
        return tuple(found)

    def one(self, number: int, role: Role) -> Generation:
        """Read one generation.

        Raises:
            IdentityUnusable: It is damaged, or gone.
        """
        try:
            return generations.load(self.place(number), number, role)
        except FileNotFoundError as error:
            raise _gone(error) from None

    def snapshot(self) -> tuple[State, tuple[Generation, ...]]:
        """Read the state and its generations, as they were together at one moment.

        Raises:
            IdentityUnusable: They cannot be read, or one that counts is gone.
        """
        missing = FileNotFoundError()
        for _ in range(_TRIES):
            # Somebody may change the state between the two readings; then the second finds a gap, and both are repeated.
            state = self.state()
            try:
                return state, self.load(state)
            except FileNotFoundError as error:
                missing = error
        raise _gone(missing)

    @contextmanager
    def changing(self) -> Iterator[State]:
        """Hold the lock, put right what a change that was cut off left behind, and give the state.

        Raises:
            IdentityUnusable: The disk refuses, or another process does not come to an end.
        """
        try:
            for each in (self.folder, self.folder / _GENERATIONS):
                with contextlib.suppress(FileExistsError):
                    self._files.make_folder(each)
                    self._files.sync(each.parent)
                disk.require_private_folder(each)
            with disk.locked(self.folder / _LOCK):
                self._files.remove(self.folder / _FRESH)
                for each in (self.folder / _GENERATIONS).iterdir():
                    if each.name.startswith(_STAGED):
                        self._files.remove(each)
                yield self.sweep(self.state())
        except OSError as error:
            raise disk.unusable(error.filename or self.folder, error) from None

    def sweep(self, state: State) -> State:
        """Remove generations that are named no more and whose key another one holds; lay the others aside."""
        kept = {each.spki: each.number for each in self.load(state)}
        strangers = []
        for number in self._numbers() - set(state.roles):
            try:
                found = generations.load(self.place(number), number, Role.ASIDE)
            except (OSError, IdentityUnusable):
                continue  # what cannot be read is no generation; a person may still make something of it
            if found.spki in kept and self._holds_key(kept[found.spki], found):
                self._files.remove(self.place(number))
            else:
                strangers.append(number)
        return self.commit(state, Found(tuple(strangers))) if strangers else state

    def number(self, state: State) -> int:
        """Give the number of the generation that comes next; a number is never given again."""
        return max((state.last, *self._numbers())) + 1

    @contextmanager
    def staged(self, number: int, contents: Mapping[str, bytes]) -> Iterator[Path]:
        """Write a generation where nobody looks for one; it goes away at the end, unless it was kept."""
        place = self.folder / _GENERATIONS / f"{_STAGED}{generations.name(number)}"
        try:
            self._files.make_folder(place)
            for name, data in contents.items():
                self._files.write(place / name, data)
            self._files.sync(place)
            yield place
        finally:
            self._files.remove(place)

    def keep(self, staged: Path, number: int) -> None:
        """Give a staged generation its name, durably."""
        self._files.rename(staged, self.place(number))
        self._files.sync(self.folder / _GENERATIONS)

    def commit(self, state: State, event: Event) -> State:
        """Replace the state, durably.

        Raises:
            IdentityMissing: There is no identity yet.
            IdentityStep: The event cannot happen in this state.
        """
        following = allowed(state, event)
        self._files.write(self.folder / _FRESH, dump(following))
        self._files.rename(self.folder / _FRESH, self.folder / _STATE)
        self._files.sync(self.folder)
        return following

    def _numbers(self) -> set[int]:
        places = (self.folder / _GENERATIONS).iterdir()
        return {int(each.name) for each in places if _NUMBERED.fullmatch(each.name) and each.is_dir()}

    def _holds_key(self, number: int, other: Generation) -> bool:
        """Whether a generation really holds the key of another, so that the other's copy may go."""
        try:
            return keys.fingerprint(keys.load(generations.key_of(self.place(number)))) == other.spki
        except (OSError, TrothError):
            return False


def _gone(error: FileNotFoundError) -> IdentityUnusable:
    return IdentityUnusable(f"{error.filename} is gone.", next_command="restore the folder from a copy")


def allowed(state: State, event: Event) -> State:
    """Give the state after an event.

    Raises:
        IdentityMissing: There is no identity yet.
        IdentityStep: The event cannot happen in this state.
    """
    following = step(state, event)
    if following is Refusal.NO_IDENTITY:
        raise IdentityMissing(Refusal.NO_IDENTITY.value, next_command="troth key generate")
    if isinstance(following, Refusal):
        raise IdentityStep(following.value, next_command="troth key show")
    return following
