"""A node's own keys and certificates: made, requested, imported, put in force, kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from troth.errors import BadInput, IdentityMissing, IdentityUnusable
from troth.identity import certificates, generations, importing, keys, lint
from troth.identity.activating import activation
from troth.identity.disk import Disk, allowed
from troth.identity.files import Files
from troth.identity.generations import Generation, Origin
from troth.identity.importing import Material
from troth.identity.names import Subject, parse_sans
from troth.identity.records import Change, ContextFiles, Fingerprints
from troth.identity.state import Activated, Event, Imported, Made, Refusal, Requested, Role, Scheduled, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime
    from pathlib import Path as FilePath

    from troth.identity.lint import Finding
    from troth.model.certificate import CertificateView

_NOT_IMPORTED = "The certificate was not imported"


class Identity:
    """The keys and certificates in one folder. Changes are durable when a method returns; reading takes no lock.

    Args:
        folder: Where they lie; it is made by `create`.
        clock: Gives the time, aware.
        names: What the node is reached by, `DNS:…` or `IP:…`; without, what its current certificate is for.
        files: What changes the disk.
    """

    def __init__(
        self, folder: FilePath, clock: Callable[[], datetime], *, names: Sequence[str] = (), files: Files | None = None
    ):
        self._disk = Disk(folder, files or Files())
        self._clock = clock
        self._names = parse_sans(names)

    # Reading

    def token(self) -> str:
        """Give a text that differs after each change, at the cost of reading one small file."""
        return self._disk.token()

    def state(self) -> State:
        """Read which generation is for what."""
        return self._disk.state()

    def generations(self) -> tuple[Generation, ...]:
        """Read every generation: current, next, then pending, retired and aside, each from the newest on."""
        return self._disk.snapshot()[1]

    def current(self) -> Generation:
        """Read the generation in force; whatever became of the others.

        Raises:
            IdentityMissing: There is none.
            IdentityUnusable: It is damaged or gone.
        """
        return self._one(Role.CURRENT)

    @property
    def names(self) -> tuple[str, ...]:
        """What the node is reached by: as it was given, else what its certificate in force is for.

        Raises:
            IdentityMissing: Nothing was given, and there is no certificate.
        """
        return self._names or self.current().names

    def retired(self) -> tuple[Generation, ...]:
        """Read those that were in force before, the newest first; their keys are kept, to vouch for later ones."""
        return tuple(each for each in self.generations() if each.role is Role.RETIRED)

    def fingerprints(self) -> tuple[Fingerprints, ...]:
        """Give the fingerprints of every generation, in the order of `generations`."""
        return tuple(
            Fingerprints(
                number=each.number,
                role=each.role,
                certificate=each.certificate.fingerprint if each.certificate else None,
                key=each.spki,
            )
            for each in self.generations()
        )

    def context_files(self, role: Role = Role.CURRENT) -> ContextFiles:
        """Give the files for `ssl`. A generation's files never change, so the two always belong together.

        Raises:
            IdentityMissing: There is no such generation.
            IdentityUnusable: Others may have read the key.
        """
        place = self._disk.place(self._one(role).number)
        generations.key_of(place)
        return ContextFiles(place / generations.CHAIN, place / generations.KEY)

    def _one(self, role: Role) -> Generation:
        """Read the newest generation of a role alone, so that damage elsewhere does not matter."""
        number = next((number for number, its in self._disk.state().roles.items() if its is role), 0)
        if not number and role is Role.CURRENT:
            raise IdentityMissing(Refusal.NO_IDENTITY.value, next_command="troth key generate")
        if not number:
            raise IdentityMissing(f"This node has no {role} certificate.", next_command="troth key show")
        found = self._disk.one(number, role)
        if not found.chain:
            raise IdentityUnusable(f"The {role} certificate is gone.", next_command="restore the folder from a copy")
        return found

    # Changing

    def create(self, names: Iterable[str], algorithm: keys.Algorithm = keys.DEFAULT) -> Generation:
        """Make a key and a self-signed certificate. The first of all is in force at once; a later one comes next.

        Args:
            names: What the node is reached by, the most important first: `DNS:…`, `IP:…`, or bare.
            algorithm: The kind of key.

        Raises:
            BadInput: There is no name, or one cannot be used.
        """
        sans = parse_sans(names)
        if not sans:
            raise BadInput("A certificate needs at least one name.", next_command="--san DNS:node.example.com")
        key = keys.generate(algorithm)
        chain = certificates.self_signed(key, sans, self._clock())
        with self._disk.changing() as state:
            contents = {generations.CHAIN: chain}
            return self._add(state, Made, key, Origin.SELF_SIGNED, sans, contents)

    def request(
        self,
        subject: Subject,
        sans: Iterable[str],
        algorithm: keys.Algorithm = keys.DEFAULT,
        *,
        reuse_key: bool = False,
    ) -> str:
        """Make a certificate signing request, as PEM. Earlier requests stay: their certificates can still be imported.

        Args:
            subject: What the certificate is to say of the node.
            sans: Its names and addresses.
            algorithm: The kind of key, if there is to be a new one.
            reuse_key: Ask for another certificate of the key in force.

        Raises:
            IdentityMissing: The node has no key yet.
            BadInput: A name cannot be used.
        """
        wanted = parse_sans(sans)
        if not wanted:
            raise BadInput("A request needs at least one name.", next_command="--san DNS:node.example.com")
        key = None if reuse_key else keys.generate(algorithm)
        with self._disk.changing() as state:
            allowed(state, Requested(self._disk.number(state)))
            key = key or keys.load(generations.key_of(self._disk.place(state.current)))
            text = certificates.request(key, subject, wanted)
            contents = {generations.REQUEST: text}
            return self._add(state, Requested, key, Origin.REQUEST, wanted, contents).request

    def lint(
        self,
        data: bytes,
        key_pem: bytes | None = None,
        *,
        passphrase: bytes | None = None,
        known: Iterable[CertificateView] = (),
    ) -> tuple[Finding, ...]:
        """Say what is wrong with a certificate, its chain and its key; nothing changes.

        Args:
            data: The certificates, as a CA gives them out: PEM, DER or PKCS #7, in any order.
            key_pem: Their key; without, it is one of the node's own.
            passphrase: What the key is encrypted with, if it is.
            known: CAs that the node knows beside those in the file; looked at only if the file leads to no root.

        Raises:
            BadFile: There is no certificate in it.
            BadKey: The key cannot be used.
        """
        with self._disk.changing() as state:
            material = Material(data=data, key_pem=key_pem, passphrase=passphrase, known=known)
            return self._take(state, material, dry=True).findings

    def import_signed(self, data: bytes, *, known: Iterable[CertificateView] = ()) -> Change:
        """Take a CA's answer to a request, or a new certificate for any key that the node holds; it comes next.

        Raises:
            CertificateUnfit: There are errors in it; nothing changed.
            BadFile: There is no certificate in it.
        """
        with self._disk.changing() as state:
            return self._take(state, Material(data=data, known=known))

    def import_pair(
        self, key_pem: bytes, data: bytes, *, passphrase: bytes | None = None, known: Iterable[CertificateView] = ()
    ) -> Change:
        """Take a key that was made elsewhere, with its certificates; they come next.

        Raises:
            CertificateUnfit: There are errors in it; nothing changed.
            BadKey: The key cannot be used.
            BadFile: There is no certificate in it.
        """
        with self._disk.changing() as state:
            material = Material(data=data, key_pem=key_pem, passphrase=passphrase, known=known)
            return self._take(state, material)

    def activation(self) -> Change:
        """Say what an activation would do now; nothing changes.

        Raises:
            IdentityStep: There is nothing to activate.
        """
        state, found = self._disk.snapshot()
        allowed(state, Activated())
        return activation(found, self._disk.place, self._clock())

    def activate(self) -> Change:
        """Put the next certificate in force. The one before is kept, with its key.

        Raises:
            IdentityStep: There is nothing to activate.
            CertificateUnfit: It is outside its dates, or OpenSSL refuses it; nothing changed.
        """
        with self._disk.changing() as state:
            allowed(state, Activated())
            change = activation(self._disk.load(state), self._disk.place, self._clock())
            importing.require_fit(change.findings, "The next certificate cannot come into force")
            self._disk.commit(state, Activated())
            return change

    def schedule(self, *, on_start: bool = True) -> None:
        """Have the next certificate put in force when the node starts, or have it wait.

        Raises:
            IdentityStep: There is none.
        """
        with self._disk.changing() as state:
            self._disk.commit(state, Scheduled(on_start))

    def start(self) -> Change | None:
        """Activate what was scheduled; for the start of the node, which goes on with what is in force if this fails.

        Returns:
            What was done, or None if there was nothing to do. With errors among its findings, nothing was done.

        Raises:
            IdentityUnusable: The next one cannot be read, or the disk refuses; nothing was done.
        """
        if not self._disk.state().on_start:
            return None
        with self._disk.changing() as state:
            if not state.on_start:
                return None
            change = activation(self._disk.load(state), self._disk.place, self._clock())
            if not lint.errors(change.findings):
                self._disk.commit(state, Activated())
            return change

    # How it is done

    def _add(
        self,
        state: State,
        event: Callable[[int], Event],
        key: keys.PrivateKey,
        origin: Origin,
        sans: tuple[str, ...],
        contents: dict[str, bytes],
    ) -> Generation:
        number = self._disk.number(state)
        allowed(state, event(number))
        with self._disk.staged(number, self._contents(key, origin, sans) | contents) as staged:
            self._disk.keep(staged, number)
        return self._named(self._disk.commit(state, event(number)), number)

    def _take(self, state: State, material: Material, *, dry: bool = False) -> Change:
        number = self._disk.number(state)
        allowed(state, Imported(number))
        found = self._disk.load(state)
        before = importing.current(found)
        taken = importing.candidate(material, found, self._disk.place, names=self._names, now=self._clock())
        if dry and lint.errors(taken.findings):
            return Change(before, before, taken.findings)
        importing.require_fit(taken.findings, _NOT_IMPORTED)
        contents = self._contents(keys.load(taken.key), Origin.IMPORT, ()) | {generations.CHAIN: taken.path.pem}
        if taken.request:
            contents[generations.REQUEST] = taken.request.encode("ascii")
        with self._disk.staged(number, contents) as staged:
            findings = (*taken.findings, *importing.rehearsed(taken.path, staged))
            if dry:
                return Change(before, before, findings)
            importing.require_fit(findings, _NOT_IMPORTED)
            self._disk.keep(staged, number)
        state = self._disk.commit(state, Imported(number, taken.twins))
        return Change(self._named(self._disk.sweep(state), number), before, findings)

    def _contents(self, key: keys.PrivateKey, origin: Origin, sans: tuple[str, ...]) -> dict[str, bytes]:
        meta = generations.meta(origin, self._clock(), keys.fingerprint(key), sans)
        return {generations.KEY: keys.dump(key), generations.META: meta}

    def _named(self, state: State, number: int) -> Generation:
        return generations.load(self._disk.place(number), number, state.roles[number])
