"""Words that commands offer before any value is made of them: kept apart, so that offering them costs no import."""

from __future__ import annotations

DOMAINS = ("system", "devicemgmt", "pubnet", "user")
DEFAULT_DOMAIN = "system"

PROTOCOLS = ("tls", "smtp", "imap", "pop3", "ftp", "ldap", "xmpp", "postgres", "mysql", "sieve", "nntp")
