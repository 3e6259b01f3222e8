"""Real servers from Debian's packages, on loopback, in folders of their own; each ends with its test.

A server that is not installed, or cannot run as this user, makes its test skip with the reason.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

START_LIMIT_S = 30.0


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that servers which drop root can reach; pytest's own are closed to all others, and stay so."""
    with tempfile.TemporaryDirectory(prefix="troth-server-") as name:
        made = Path(name)
        made.chmod(0o755)
        yield made


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def program(name: str, *places: str) -> str:
    """Find a program, or skip the test."""
    found = shutil.which(
        name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", *places])
    )
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def wait_until(ready: Callable[[], bool], what: str) -> None:
    """Wait for a condition, and fail if it does not come."""
    end = time.monotonic() + START_LIMIT_S
    while not ready():
        if time.monotonic() > end:
            pytest.fail(f"{what} did not come up")
        time.sleep(0.05)


def listening(port: int) -> bool:
    """Whether somebody accepts connections on a port."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextlib.contextmanager
def running(command: list[str], port: int, *, log: Path, user: str = "") -> Iterator[None]:
    """Run a server in the foreground until the block ends."""
    account = pwd.getpwnam(user) if user and os.geteuid() == 0 else None
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
            cwd="/",
        )
    try:

        def ready() -> bool:
            assert process.poll() is None, f"{command[0]} ended: {_logs(log.parent)}"
            return listening(port)

        wait_until(ready, command[0])
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _logs(folder: Path) -> str:
    """Give the end of every log in a folder, for the message of a failure."""
    return "; ".join(
        f"{each.name}: {each.read_text(errors='replace')[-1500:]}" for each in folder.glob("*log*") if each.is_file()
    )


def certificate(folder: Path, name: str = "host") -> tuple[Path, Path]:
    """Make a self-signed certificate with openssl; give its file and its key's."""
    crt, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        [program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        + ["-keyout", str(key), "-out", str(crt), "-days", "30", "-subj", f"/O=Example Systems/CN={name}"],
        check=True,
        capture_output=True,
    )
    return crt, key


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[int]:
    """PostgreSQL with TLS; gives its port."""
    places = [str(each) for each in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    initdb, server = program("initdb", *places), program("postgres", *places)
    account = "postgres" if os.geteuid() == 0 else ""
    if account:
        try:
            pwd.getpwnam(account)
        except KeyError:
            pytest.skip("there is no user postgres, and PostgreSQL does not run as root")
    crt, key = certificate(folder)
    data, port = folder / "data", free_port()
    data.mkdir()
    hand_over(folder, account)
    as_user = {"user": account} if account else {}
    subprocess.run(
        [initdb, "-D", str(data), "-U", "troth", "--auth=trust", "--no-sync"],
        check=True,
        capture_output=True,
        cwd="/",
        **as_user,  # type: ignore[call-overload]
    )
    options = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "ssl": "on",
        "ssl_cert_file": str(crt),
        "ssl_key_file": str(key),
        "fsync": "off",
    }
    command = [server, "-D", str(data), *(f"--{name}={value}" for name, value in options.items())]
    with running(command, port, log=folder / "log", user=account):
        yield port


@contextlib.contextmanager
def slapd(folder: Path) -> Iterator[int]:
    """OpenLDAP with StartTLS; gives its port."""
    server = program("slapd")
    crt, key = certificate(folder)
    port = free_port()
    (folder / "db").mkdir()
    (folder / "slapd.conf").write_text(
        "include /etc/ldap/schema/core.schema\n"
        "modulepath /usr/lib/ldap\nmoduleload back_mdb\n"
        f"pidfile {folder}/pid\nargsfile {folder}/args\n"
        f"TLSCertificateFile {crt}\nTLSCertificateKeyFile {key}\n"
        f'database mdb\nsuffix "dc=example"\ndirectory {folder}/db\n'
    )
    command = [server, "-h", f"ldap://127.0.0.1:{port}", "-f", str(folder / "slapd.conf"), "-d", "0"]
    with running(command, port, log=folder / "log"):
        yield port


@contextlib.contextmanager
def dovecot(folder: Path, protocol: str) -> Iterator[int]:
    """Dovecot with IMAP, POP3 or ManageSieve; gives that protocol's port."""
    server = program("dovecot")
    if os.geteuid() != 0:
        pytest.skip("dovecot's log-in processes need root")
    if not Path(
        f"/usr/share/dovecot/protocols.d/{'managesieved' if protocol == 'sieve' else protocol + 'd'}.protocol"
    ).exists():
        pytest.skip(f"dovecot's {protocol} is not installed")
    crt, key = certificate(folder)
    port = free_port()
    listener = {"imap": ("imap", "imap"), "pop3": ("pop3", "pop3"), "sieve": ("managesieve", "sieve")}[protocol]
    (folder / "dovecot.conf").write_text(
        f"base_dir = {folder}/run\nstate_dir = {folder}/state\nlog_path = {folder}/dovecot.log\n"
        f"protocols = {protocol}\nlisten = 127.0.0.1\nssl = yes\nssl_cert = <{crt}\nssl_key = <{key}\n"
        "mail_location = maildir:~/Maildir\npassdb {\n  driver = static\n  args = nopassword=y\n}\n"
        f"userdb {{\n  driver = static\n  args = uid=65534 gid=65534 home={folder}\n}}\n"
        f"service {listener[0]}-login {{\n  inet_listener {listener[1]} {{\n    port = {port}\n  }}\n"
        + (f"  inet_listener {listener[1]}s {{\n    port = 0\n  }}\n" if protocol != "sieve" else "")
        + "}\n"
    )
    with running([server, "-F", "-c", str(folder / "dovecot.conf")], port, log=folder / "log"):
        yield port


@contextlib.contextmanager
def postfix(folder: Path) -> Iterator[int]:
    """Postfix's SMTP server with STARTTLS; gives its port."""
    program("postfix")
    master = program("master", "/usr/lib/postfix/sbin")
    if os.geteuid() != 0:
        pytest.skip("postfix needs root")
    crt, key = certificate(folder)
    port = free_port()
    config, queue, data = folder / "etc", folder / "queue", folder / "data"
    for each in (config, queue, data):
        each.mkdir()
    shutil.chown(data, "postfix")
    (config / "main.cf").write_text(
        f"compatibility_level = 3.6\nqueue_directory = {queue}\ndata_directory = {data}\n"
        "command_directory = /usr/sbin\ndaemon_directory = /usr/lib/postfix/sbin\nmail_owner = postfix\n"
        "setgid_group = postdrop\nmyhostname = mail.example.com\ninet_interfaces = 127.0.0.1\ninet_protocols = ipv4\n"
        f"maillog_file = {folder}/maillog\nmaillog_file_prefixes = {folder}\n"
        f"smtpd_tls_cert_file = {crt}\nsmtpd_tls_key_file = {key}\nsmtpd_tls_security_level = may\n"
        f"alias_maps =\nalias_database =\nlocal_recipient_maps =\n"
    )
    (config / "master.cf").write_text(
        f"127.0.0.1:{port} inet n - n - - smtpd\ncleanup unix n - n - 0 cleanup\nrewrite unix - - n - - trivial-rewrite\n"
        "anvil unix - - n - 1 anvil\ntlsmgr unix - - n 1000? 1 tlsmgr\npostlog unix-dgram n - n - 1 postlogd\n"
    )
    subprocess.run(
        ["/usr/sbin/postfix", "-c", str(config), "set-permissions"], check=False, capture_output=True, timeout=60
    )
    subprocess.run(["/usr/sbin/postfix", "-c", str(config), "check"], check=False, capture_output=True, timeout=60)
    with running([master, "-c", str(config), "-d"], port, log=folder / "log"):
        yield port


@contextlib.contextmanager
def nginx(folder: Path) -> Iterator[tuple[int, Callable[[], None]]]:
    """Nginx with TLS; gives its port, and a function that gives it a new certificate while it runs."""
    server = program("nginx")
    crt, key = certificate(folder)
    port = free_port()
    (folder / "nginx.conf").write_text(
        f"daemon off;\nmaster_process on;\nworker_processes 1;\npid {folder}/pid;\nerror_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n"
        + "".join(
            f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        + f"server {{\nlisten 127.0.0.1:{port} ssl;\nssl_certificate {crt};\nssl_certificate_key {key};\n"
        "location / { return 200 hello; }\n}\n}\n"
    )
    command = [server, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]

    def swap() -> None:
        old = served(port)
        certificate(folder)
        os.kill(int((folder / "pid").read_text()), signal.SIGHUP)
        # The old workers accept for a moment beside the new ones.
        wait_until(lambda: all(served(port) != old for _ in range(20)), "nginx's new certificate")

    with running(command, port, log=folder / "log"):
        yield port, swap


def served(port: int) -> str:
    """Give the PEM that a port presents."""
    import ssl

    return ssl.get_server_certificate(("127.0.0.1", port), timeout=10)


def hand_over(folder: Path, user: str) -> None:
    """Give a folder to the user that the server runs as, and let that user reach it."""
    if not user:
        return
    for each in (folder, *folder.rglob("*")):
        shutil.chown(each, user, user)
