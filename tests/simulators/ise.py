"""The ISE simulator with faults to inject, and as a program: `python -m tests.simulators.ise --user monitor`.

The program prints one JSON line with its port and its certificate's fingerprint, and serves until it is interrupted. The
password is read from a file, or made and printed.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import secrets
import signal
import sys
import tempfile
import zlib
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from troth.demo import ise_answers as answers
from troth.demo.ise import IseSimulator, Request, Wire, wire_form
from troth.demo.ise_answers import Answer, session

Fault = Callable[[Request, Wire], Coroutine[Any, Any, Answer | None]]

__all__ = [
    "Fault",
    "IseSimulator",
    "Request",
    "Wire",
    "answered",
    "bomb",
    "chopped",
    "cut_off",
    "drips",
    "gzipped",
    "hangs",
    "hung_up_once",
    "login_page",
    "session",
]


def answered(status: int, body: bytes, kind: str = answers.XML, **headers: str) -> Fault:
    """Give one fixed answer."""
    more = tuple((name.replace("_", "-"), value) for name, value in headers.items())

    async def fault(request: Request, wire: Wire) -> Answer:
        return Answer(status, body, kind, more)

    return fault


def login_page(status: int = 200, **headers: str) -> Fault:
    """Give ISE's page for people, as it does where a gateway or a restart is in the way."""

    async def fault(request: Request, wire: Wire) -> Answer:
        return answers.page(status, "Cisco ISE Login", **headers)

    return fault


def gzipped(body: bytes, *, damage: Callable[[bytes], bytes] = lambda data: data) -> Fault:
    """Give a body as gzip, damaged or not."""
    return answered(200, damage(gzip.compress(body)), Content_Encoding="gzip")


def bomb(size: int) -> Fault:
    """Give a small gzip that inflates to `size` bytes of blanks in a document."""
    press = zlib.compressobj(wbits=31)
    pieces = [press.compress(b"<product>"), *(press.compress(b" " * (1 << 20)) for _ in range(size >> 20))]
    body = b"".join([*pieces, press.compress(b"</product>"), press.flush()])
    return answered(200, body, Content_Encoding="gzip")


def chopped(body: bytes) -> Fault:
    """Give a body in chunks of a few bytes (RFC 9112 section 7.1)."""

    async def fault(request: Request, wire: Wire) -> None:
        await wire.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in range(0, len(body), 7):
            piece = body[start : start + 7]
            await wire.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        await wire.write(b"0\r\n\r\n")

    return fault


def drips(body: bytes) -> Fault:
    """Begin an answer, and give a byte of it now and then, for ever."""

    async def fault(request: Request, wire: Wire) -> None:
        await wire.write(wire_form(Answer(200, body))[: -len(body)])
        for each in body:
            await wire.write(bytes([each]))
            await asyncio.sleep(0.05)

    return fault


def hangs() -> Fault:
    """Never answer; end when the client does."""

    async def fault(request: Request, wire: Wire) -> None:
        await wire.read()

    return fault


def cut_off(body: bytes) -> Fault:
    """Break off in the middle of the body."""

    async def fault(request: Request, wire: Wire) -> None:
        await wire.write(wire_form(Answer(200, body))[: -len(body) // 2])
        wire.cut()

    return fault


def hung_up_once(simulator: IseSimulator, *, times: int = 1) -> Fault:
    """Hang up without a word, so many times; then answer."""
    left = [times]

    async def fault(request: Request, wire: Wire) -> Answer | None:
        if left[0]:
            left[0] -= 1
            wire.cut()
            return None
        return simulator.answer(request)

    return fault


def main() -> int:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--name", default="ise-1")
    parser.add_argument("--user", default="monitor")
    parser.add_argument("--password-file", type=Path, help="default: a password is made and printed")
    parser.add_argument("--group", default="MnT Admin", help="default: %(default)s")
    parser.add_argument("--spelling", choices=("activeSessionList", "activeList"), default="activeSessionList")
    args = parser.parse_args()
    password = args.password_file.read_text().rstrip("\n") if args.password_file else secrets.token_urlsafe(12)
    # Blocked before the simulator's thread exists, so that the signals wait for us.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    with tempfile.TemporaryDirectory(prefix="ise-simulator-") as folder:
        simulator = IseSimulator(Path(folder), name=args.name, host=args.host, port=args.port)
        simulator.spelling = args.spelling
        simulator.add_user(args.user, password, args.group)
        simulator.sessions = [session("alice", "00:11:22:33:44:55", server=args.name)]
        said = {"port": simulator.port, "fingerprint": str(simulator.view.fingerprint), "user": args.user}
        sys.stdout.write(json.dumps(said if args.password_file else {**said, "password": password}) + "\n")
        sys.stdout.flush()
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
        simulator.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
