"""The files that PostgreSQL is configured by, as pure functions. They lie outside the data folder.

`pg_basebackup` and `pg_rewind` copy whatever lies in a data folder to the other node. What is a node's own must not be
there: so the configuration is beside it and named on the command line, and `ALTER SYSTEM` is never used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

ADMIN_ROLE = "troth_admin"
APP_ROLE = "troth"
DATABASE = "troth"
# sockaddr_un.sun_path has 108 bytes on Linux (unix(7)); the socket's own name takes some of them.
MAX_SOCKET_PATH = 107
PORT = 5432

_COMMON: dict[str, str | int | bool] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": 100,
    "shared_buffers": "64MB",
    "wal_level": "replica",
    "wal_log_hints": True,
    "full_page_writes": True,
    "fsync": True,
    "synchronous_commit": "on",
    "max_wal_senders": 6,
    "max_replication_slots": 6,
    "hot_standby": True,
    "hot_standby_feedback": True,
    "max_wal_size": "1GB",
    # Not below max_wal_size: pg_rewind needs the WAL since before the timelines parted.
    "wal_keep_size": "1GB",
    # A standby that is gone must not fill the disk.
    "max_slot_wal_keep_size": "4GB",
    "wal_sender_timeout": "5s",
    "wal_receiver_timeout": "5s",
    "wal_receiver_status_interval": "1s",
    "wal_retrieve_retry_interval": "500ms",
    # The node decides what happens after a crash, not the postmaster.
    "restart_after_crash": False,
    "password_encryption": "scram-sha-256",
    "log_destination": "stderr",
    "logging_collector": False,
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_min_messages": "warning",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "cluster_name": "troth",
}


def server_conf(*, socket_folder: Path, role_file: Path, small: bool = False) -> str:
    """Give `postgresql.conf`.

    Args:
        socket_folder: Where the UNIX socket is; there is no other way in.
        role_file: The one file that changes with the node's role; it may be absent.
        small: Take less memory and disk: for demonstrations and tests.
    """
    values = dict(_COMMON, unix_socket_directories=str(socket_folder), port=PORT)
    if small:
        values |= {"shared_buffers": "16MB", "max_connections": 40, "max_wal_size": "128MB", "wal_keep_size": "128MB"}
    lines = [f"{name} = {quoted(value)}" for name, value in values.items()]
    return "\n".join(["# Written by Troth at each start; changes belong into troth.toml.", *lines]) + (
        f"\ninclude_if_exists = {quoted(str(role_file))}\n"
    )


def quoted(value: str | float) -> str:
    """Write a value as PostgreSQL's configuration has it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int | float):
        return str(value)
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def access_conf() -> str:
    """Give `pg_hba.conf`: the users of the map `node` and nobody else, over the UNIX socket alone."""
    return f"local all {ADMIN_ROLE},{APP_ROLE} peer map=node\nlocal replication {ADMIN_ROLE} peer map=node\nlocal all all reject\n"


def identity_conf(users: tuple[str, ...]) -> str:
    """Give `pg_ident.conf`: which users of the system are which roles."""
    return "".join(f'node "{user}" {role}\n' for user in dict.fromkeys(users) for role in (ADMIN_ROLE, APP_ROLE))


def conninfo(socket_folder: Path, *, role: str = APP_ROLE, database: str = DATABASE) -> str:
    """Give what libpq needs to connect over the socket in a folder."""
    from psycopg.conninfo import make_conninfo

    return make_conninfo(
        host=str(socket_folder), port=PORT, user=role, dbname=database, connect_timeout=5, application_name="troth"
    )
