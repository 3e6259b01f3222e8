"""The paths of ISE's APIs. They are case-sensitive, so nothing but this module writes them."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from typing import TYPE_CHECKING
from urllib.parse import quote

from troth.errors import BadInput

if TYPE_CHECKING:
    from datetime import datetime

_MNT = "/admin/API/mnt"
VERSION = f"{_MNT}/Version"
ACTIVE_COUNT = f"{_MNT}/Session/ActiveCount"
POSTURE_COUNT = f"{_MNT}/Session/PostureCount"
PROFILER_COUNT = f"{_MNT}/Session/ProfilerCount"
ACTIVE_LIST = f"{_MNT}/Session/ActiveList"
FAILURE_REASONS = f"{_MNT}/FailureReasons"
NODES = "/api/v1/deployment/node"

MAX_SECONDS = 432_000  # five days, the longest that ISE looks back
MAX_RECORDS = 500
PAGE_SIZE = 100  # the most that the OpenAPI gives at once
_MAX_PAGE = 1000
_MAX_NAME = 256
_HEX = re.compile(r"[0-9A-F]{12}")
_MAC = re.compile(r"[0-9a-f]{2}([:-]?)(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}|[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}", re.I)
_HOSTNAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9-]{1,63}(?<!-)){0,8}")


def mac(text: str) -> str:
    """Give a MAC address as ISE wants it: upper case, with colons.

    Raises:
        BadInput: It is none.
    """
    digits = re.sub(r"[:.-]", "", text).upper()
    if not _MAC.fullmatch(text) or not _HEX.fullmatch(digits):
        raise BadInput(f"{text[:40]!a} is no MAC address.", next_command="write it as 00:11:22:AA:BB:CC")
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2))


def session_of_mac(text: str) -> str:
    """Give the path of the session of a MAC address."""
    return f"{_MNT}/Session/MACAddress/{mac(text)}"


def session_of_user(name: str) -> str:
    """Give the path of the session of a user.

    Raises:
        BadInput: It is empty, too long, holds a control character, or would be a step to another path.
    """
    return f"{_MNT}/Session/UserName/{_segment(name)}"


def session_of_address(text: str) -> str:
    """Give the path of the sessions at a network device, by its IP address.

    Raises:
        BadInput: It is no IP address.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise BadInput(f"{text[:60]!a} is no IP address.") from None
    if getattr(address, "scope_id", None):
        raise BadInput(f"{text[:60]!a} has a zone, which means nothing to ISE.")
    return f"{_MNT}/Session/IPAddress/{quote(str(address), safe='')}"


def authenticated(start: datetime | None, end: datetime | None) -> str:
    """Give the path of what was authenticated from `start` to `end`, in ISE's own time; None leaves an end open.

    Raises:
        BadInput: It ends before it begins.
    """
    if start is not None and end is not None and end < start:
        raise BadInput("The time ends before it begins.")
    return f"{_MNT}/Session/AuthList/{_moment(start)}/{_moment(end)}"


def auth_status(text: str, *, seconds: int, records: int) -> str:
    """Give the path of the last attempts of a MAC address to authenticate.

    Raises:
        BadInput: It is no MAC address, or a number is out of range.
    """
    if not 1 <= seconds <= MAX_SECONDS:
        raise BadInput(f"ISE looks back 1 to {MAX_SECONDS} seconds, not {seconds}.")
    if not 1 <= records <= MAX_RECORDS:
        raise BadInput(f"1 to {MAX_RECORDS} records can be asked for, not {records}.")
    return f"{_MNT}/AuthStatus/MACAddress/{mac(text)}/{seconds}/{records}/All"


def certificates(hostname: str, *, page: int = 1) -> str:
    """Give the path of one page of the certificates of a node.

    Raises:
        BadInput: It is no host name, or the page is out of range.
    """
    if not _HOSTNAME.fullmatch(hostname):
        raise BadInput(f"{hostname[:80]!a} is no name of a node.")
    if not 1 <= page <= _MAX_PAGE:
        raise BadInput(f"There is no page {page}.")
    return f"/api/v1/certs/system-certificate/{hostname}?page={page}&size={PAGE_SIZE}"


def _segment(text: str) -> str:
    """Percent-encode one segment of a path; nothing in it may become a separator or a step up."""
    if not text or len(text) > _MAX_NAME:
        raise BadInput(f"A user name has 1 to {_MAX_NAME} characters.")
    if any(unicodedata.category(ch) in ("Cc", "Cs") for ch in text):
        raise BadInput("A user name has no control characters.")
    if text in (".", ".."):
        raise BadInput(f"{text!r} is no user name that can be asked for: in a path it means another one.")
    return quote(text, safe="")


def _moment(moment: datetime | None) -> str:
    return "null" if moment is None else quote(moment.strftime("%Y-%m-%d %H:%M:%S"), safe=":")
