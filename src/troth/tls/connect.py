"""The plain connection under TLS: addresses, time limit, proxy."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from troth.errors import Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable

    from troth.model.endpoint import Endpoint
    from troth.tls.deadline import Deadline

    # Given an address and a port, raises if nothing may be said to it.
    Permit = Callable[[str, int], None]


def connect(endpoint: Endpoint, deadline: Deadline, permit: Permit | None = None) -> socket.socket:
    """Connect to the first of the host's addresses that answers.

    Args:
        endpoint: Where.
        deadline: The limit of the whole attempt.
        permit: Asked about each address that is about to be connected to: the name may lead elsewhere than it did.

    Raises:
        Unreachable: None does.
        TimedOut: The limit ran out first.
        NotAllowed: `permit` refused an address.
    """
    failure: OSError | None = None
    for family, kind, protocol, _, address in _addresses(endpoint):
        if permit is not None:
            permit(str(address[0]), endpoint.port)
        candidate = socket.socket(family, kind, protocol)
        try:
            candidate.settimeout(deadline())
            candidate.connect(address)
            candidate.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except TimeoutError:
            candidate.close()
            raise deadline.error() from None
        except OSError as error:
            candidate.close()
            failure = error
        except BaseException:
            candidate.close()
            raise
        else:
            return candidate
    raise Unreachable(
        f"{endpoint} could not be reached.",
        why=(failure.strerror or str(failure)) if failure else "it has no address",
        next_command=f"troth check {endpoint} --timeout 30, after a look at the network and the port",
        details={"endpoint": str(endpoint)},
    )


def _addresses(endpoint: Endpoint) -> list[tuple[int, int, int, str, tuple[object, ...]]]:
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise Unreachable(
            f"The name {endpoint.host} has no address.",
            why=reason,
            next_command=f"getent hosts {endpoint.host}",
            details={"endpoint": str(endpoint)},
        ) from None
    return found  # type: ignore[return-value]  # the address's shape depends on the family
