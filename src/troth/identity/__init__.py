"""A node's own identity: its keys, its certificates, and every way from one to the next."""

from troth.identity.identity import Identity
from troth.identity.keys import Algorithm
from troth.identity.lint import Finding, Severity
from troth.identity.names import Subject
from troth.identity.records import Change, ContextFiles, Fingerprints
from troth.identity.state import Role

__all__ = [
    "Algorithm",
    "Change",
    "ContextFiles",
    "Finding",
    "Fingerprints",
    "Identity",
    "Role",
    "Severity",
    "Subject",
]
