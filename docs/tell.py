"""Write the pages that show commands: run every command of a template, and put its real output under it.

Templates lie in `_source/`. In a template, a line that begins with `%%` is an instruction and is not printed:

    %% host NAME COMMON-NAME PORT   start a TLS server; {NAME} is its endpoint, {NAME.fp} its certificate's fingerprint,
                                    {NAME.key} its key's, {NAME.next} that of the one that `load` read
    %% new NAME                     a new key and certificate, in force at once; {NAME.old} is the one before
    %% renew NAME                   a new certificate for the same key
    %% load NAME                    next.pem and next.key are the prepared certificate and its key
    %% switch NAME                  the prepared one comes into force
    %% issue NAME                   a certificate from a CA of its own, in force at once; the CA lies in ca.pem
    %% file NAME                    the lines up to `%% end` become a file
    %% exit CODE                    the next command must end with this exit code (else 0)
    %% quiet COMMAND                run a command without showing it

In a fence of kind `console`, each line that begins with `$ ` is run in a terminal of its own, and its output follows.
`$ echo $?` shows the last exit code. What belongs to the machine that runs this is replaced: its name, its user, its
folders, and the ports of the servers. Everything else is as it was printed.

    python docs/tell.py             write all pages again
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pty
import pwd
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from troth.demo import host as demo
from troth.model.certificate import CertificateView

DOCS = Path(__file__).parent
SOURCE = DOCS / "_source"
HOME = "/home/admin"
PROGRAMS = {"troth": "troth", "ncs": "troth.cli.ncs"}
_LIMIT_S = 60
_TRIES = 200


@dataclass
class Server:
    """A host of the story, and what is known of its certificates."""

    host: demo.Host
    port: int
    old: CertificateView | None = None
    prepared: tuple[bytes, bytes] | None = None

    def value(self, name: str) -> str:
        """Give what stands for `{NAME}` or `{NAME.name}`."""
        if name == "":
            return f"127.0.0.1:{self.port}"
        if name == "_":
            return f"127.0.0.1_{self.port}"
        if name == "next" and self.prepared:
            return str(CertificateView.from_pem(self.prepared[0].decode()).fingerprint)
        view = self.old if name == "old" else self.host.view
        if view is None:
            raise KeyError(name)
        return str(view.spki if name == "key" else view.fingerprint)


@dataclass
class Stage:
    """Where a page's commands run."""

    folder: Path
    servers: dict[str, Server] = field(default_factory=dict)
    code: int = 0
    promised: int = 0

    @property
    def work(self) -> Path:
        """The folder that stands for the administrator's home."""
        return self.folder / "admin"

    # Instructions

    def obey(self, line: str) -> None:
        """Follow one instruction."""
        word, *rest = shlex.split(line)
        getattr(self, f"_do_{word}")(*rest)

    def _do_host(self, name: str, common_name: str, port: str) -> None:
        (self.folder / name).mkdir()
        for _ in range(_TRIES):
            made = demo.Host(common_name, self.folder / name)
            # Lists are ordered by port, so the real ports must have the order of those on the page.
            if all((made.port < each.host.port) == (int(port) < each.port) for each in self.servers.values()):
                self.servers[name] = Server(made, int(port))
                return
            made.close()
        raise SystemExit("the system gives out its ports in one order only")

    def _do_new(self, name: str) -> None:
        server = self.servers[name]
        server.old = _settled(server.host.view)
        server.host.new_certificate()

    def _do_renew(self, name: str) -> None:
        server = self.servers[name]
        server.old = _settled(server.host.view)
        server.host.renew()

    def _do_load(self, name: str) -> None:
        self.servers[name].prepared = (work_file(self, "next.pem"), work_file(self, "next.key"))

    def _do_switch(self, name: str) -> None:
        server = self.servers[name]
        server.old = server.host.view
        if server.prepared is not None:
            server.host.present(server.prepared)

    def _do_issue(self, name: str) -> None:
        server = self.servers[name]
        server.old = server.host.view
        authority, certificate, key = _issued(server.host.name)
        (self.work / "ca.pem").write_bytes(authority)
        server.host.present((certificate, key))

    def _do_exit(self, code: str) -> None:
        self.promised = int(code)

    def _do_quiet(self, *words: str) -> None:
        self.run(shlex.join(words))

    # Commands

    def run(self, line: str) -> str:
        """Run one command line in a terminal and give what it printed, with this machine's own names replaced."""
        if line == "echo $?":
            return f"{self.code}\n"
        words = [self.real(word) for word in shlex.split(line)]
        target = words.index(">") if ">" in words else None
        output = self._terminal(words[:target])
        if target is not None:
            (self.work / words[target + 1]).write_text(output, encoding="utf-8")
            output = ""
        if self.code != self.promised:
            raise SystemExit(f"{line}: exit code {self.code}, promised was {self.promised}\n{output}")
        self.promised = 0
        return self.shown(output)

    def _terminal(self, words: list[str]) -> str:
        program = PROGRAMS.get(words[0])
        command = [sys.executable, "-m", program] if program else [shutil.which(words[0]) or words[0]]
        ours, theirs = pty.openpty()
        with (
            subprocess.Popen(  # the commands of our own pages
                [*command, *words[1:]],
                cwd=self.work,
                env={**os.environ, **self._environment()},
                stdin=subprocess.DEVNULL,
                stdout=theirs,
                stderr=theirs,
            ) as process
        ):
            os.close(theirs)
            data = b""
            with contextlib.suppress(OSError):  # a terminal whose other end is closed
                while more := os.read(ours, 65536):
                    data += more
            self.code = process.wait(_LIMIT_S)
        os.close(ours)
        return data.decode().replace("\r\n", "\n")

    def _environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.work),
            "TROTH_HOME": "",
            "XDG_DATA_HOME": "",
            "NO_COLOR": "1",
            "COLUMNS": "100",
            "PYTHONUNBUFFERED": "1",
            # The commands run in another folder, where a relative path leads nowhere.
            "PYTHONPATH": os.pathsep.join(str(Path(each).absolute()) for each in sys.path if each),
        }

    def real(self, word: str) -> str:
        """Put this machine's ports and folders in place of those on the page."""
        for server in self.servers.values():
            word = re.sub(rf"\b127\.0\.0\.1([:_]){server.port}\b", rf"127.0.0.1\g<1>{server.host.port}", word)
        return word.replace(HOME, str(self.work)).replace("~/", f"{self.work}/")

    def shown(self, text: str) -> str:
        """Replace what belongs to this machine."""
        for server in self.servers.values():
            text = re.sub(rf"(?<!\d){server.host.port}(?!\d)", str(server.port), text)
        text = text.replace(str(self.work), HOME)
        text = text.replace(f"@{socket.gethostname()}", "@mgmt-1")
        user = re.escape(_user())
        return _aligned(re.sub(rf"(?<= by ){user}\b|(?<=  ){user}(?=  )", "admin", text))

    def filled(self, text: str) -> str:
        """Put values in place of `{NAME}` and `{NAME.what}`."""

        def value(found: re.Match[str]) -> str:
            server = self.servers.get(found[1])
            return server.value(found[2] or "") if server else found[0]

        return re.sub(r"\{(\w+?)(?:\.(\w+))?\}", value, text)


def work_file(stage: Stage, name: str) -> bytes:
    """Read a file of the administrator's."""
    return (stage.work / name).read_bytes()


def _settled(view: CertificateView) -> CertificateView:
    """Wait until a certificate that is made now has other dates than this one, as it would have in life."""
    end = time.monotonic() + 5
    while view.not_before == (datetime.now(UTC) - timedelta(minutes=5)).replace(microsecond=0):
        if time.monotonic() > end:
            raise SystemExit("the clock stands still")
        time.sleep(0.02)
    return view


def _user() -> str:
    """Name the user as the journal does."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"


def _aligned(text: str) -> str:
    """Align a table again whose cells became shorter."""
    lines = text.splitlines()
    if not lines or not re.fullmatch(r"[A-Z]+(  +[A-Z]+)+", lines[0]):
        return text
    rows = [re.split(r"  +", line.rstrip()) for line in lines]
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(len(rows[0]))]
    return "".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=False)).rstrip() + "\n" for row in rows)


def page(template: str) -> str:
    """Give the page of a template; every command in it is run."""
    with tempfile.TemporaryDirectory(prefix="troth-docs-") as folder:
        stage = Stage(Path(folder))
        stage.work.mkdir()
        try:
            return "".join(_lines(stage, template))
        finally:
            for server in stage.servers.values():
                server.host.close()


def _lines(stage: Stage, template: str) -> list[str]:
    told: list[str] = []
    console = False
    lines = iter(template.splitlines(keepends=True))
    for raw in lines:
        if raw.startswith("%% file "):
            text = "".join(stage.filled(line) for line in iter(lambda: next(lines), "%% end\n"))
            (stage.work / raw.split()[2]).write_text(stage.real(text), encoding="utf-8")
            continue
        if raw.startswith("%% "):
            stage.obey(stage.filled(raw[3:].strip()))
            continue
        line = stage.filled(raw)
        told.append(line)
        if line.startswith("```"):
            console = line.strip() == "```console"
        elif console and line.startswith("$ "):
            told += [f"{each.rstrip()}\n" for each in stage.run(line[2:].strip()).splitlines()]
    return told


def _issued(name: str) -> tuple[bytes, bytes, bytes]:
    """Make a CA and a certificate from it: CA (PEM), certificate (PEM), key (PEM)."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now = datetime.now(UTC)
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

    def named(common_name: str) -> x509.Name:
        return x509.Name(
            [
                x509.NameAttribute(x509.NameOID.COUNTRY_NAME, "US"),
                x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Example Systems"),
                x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name),
            ]
        )

    def builder(subject: str, public: ec.EllipticCurvePublicKey, days: int) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(named(subject))
            .issuer_name(named("Example CA"))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=days))
        )

    authority = (
        builder("Example CA", authority_key.public_key(), 3650)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    certificate = (
        builder(name, key.public_key(), 365)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return authority.public_bytes(pem), certificate.public_bytes(pem), private


def templates() -> list[Path]:
    """Give all templates."""
    return sorted(SOURCE.rglob("*.md"))


def of(template: Path) -> Path:
    """Give the page that a template makes."""
    return DOCS / template.relative_to(SOURCE)


def written(template: Path) -> str:
    """Give the page of a template, with a note for those who would edit it."""
    note = f"\n<!-- Written by docs/tell.py. Edit docs/{template.relative_to(DOCS).as_posix()} instead. -->\n"
    return page(template.read_text(encoding="utf-8")) + note


def main() -> int:
    """Write the pages again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="parts of the templates' names (default: all)")
    names = parser.parse_args().names
    for template in templates():
        if not names or any(name in str(template) for name in names):
            of(template).write_text(written(template), encoding="utf-8")
            sys.stdout.write(f"{of(template).relative_to(DOCS)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
