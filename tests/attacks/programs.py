"""Real TLS servers from Debian's packages that do what attacks need, driven from outside."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests import servers
from tests.attacks.making import Material


def written(folder: Path, given: Material, stem: str = "host") -> tuple[str, str]:
    """Write a certificate and its key to files."""
    certificate, key = folder / f"{stem}.pem", folder / f"{stem}.key"
    certificate.write_bytes(given[0])
    key.write_bytes(given[1])
    return str(certificate), str(key)


@contextlib.contextmanager
def s_server(folder: Path, *options: str) -> Iterator[int]:
    """Run `openssl s_server`; give its port."""
    port = servers.free_port()
    command = [servers.program("openssl"), "s_server", "-accept", f"127.0.0.1:{port}", "-quiet", *options]
    with servers.running(command, port, log=folder / "s_server.log"):
        yield port


@contextlib.contextmanager
def gnutls_serv(folder: Path, *options: str) -> Iterator[int]:
    """Run `gnutls-serv` as an echo server; give its port."""
    port = servers.free_port()
    command = [servers.program("gnutls-serv"), "--port", str(port), "--echo", "--disable-client-cert", *options]
    with servers.running(command, port, log=folder / "gnutls.log"):
        yield port


@contextlib.contextmanager
def nginx(folder: Path, lines: str) -> Iterator[int]:
    """Run nginx with these lines in its server block; give its port."""
    port = servers.free_port()
    places = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    (folder / "nginx.conf").write_text(
        f"daemon off;\nmaster_process on;\nworker_processes 1;\npid {folder}/pid;\nerror_log {folder}/error.log;\n"
        "events {}\nhttp {\naccess_log off;\n"
        + "".join(f"{name}_temp_path {folder}/{name};\n" for name in places)
        + f"server {{\nlisten 127.0.0.1:{port} ssl;\n{lines}\nlocation / {{ return 200 yes; }}\n}}\n}}\n"
    )
    command = [servers.program("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with servers.running([*command, "-e", str(folder / "error.log")], port, log=folder / "log"):
        yield port


def made_by_openssl(*arguments: str) -> bytes:
    """Run an openssl command and give its output."""
    return subprocess.run([servers.program("openssl"), *arguments], check=True, capture_output=True).stdout
