"""`ncs key`: what the incumbent's commands for keys do, over the node's own identity and the `system` truststore."""

from __future__ import annotations

from troth.cli import asking, ncs_actions, output

_SYSTEM = {"devicemgmt|pubnet|system|user": "system"}


def genkey(given: dict[str, str]) -> int:
    """Make a key and a request: the six questions, then the one that the incumbent forgot."""
    from troth import repository
    from troth.cli import common, key_actions
    from troth.identity.names import usual_names
    from troth.node import home

    found = key_actions.identity()
    found.current()
    place = repository.path(home.find(), given["repository"], given["file"])
    who = asking.subject({})
    names = asking.names(usual_names(found.names, who))
    with common.new_file(place) as file:
        text = found.request(who, names)
        file.write(text)
    made = next(each for each in found.generations() if each.request == text)
    output.say(f"wrote {given['file']} to {given['repository']}")
    output.note(f"key  {made.spki}, for {', '.join(made.names)}")
    output.note(f"then: ncs key importsignedcert FILE repository {given['repository']}")
    return 0


def import_signed(given: dict[str, str]) -> int:
    """Take a CA's answer; as with the incumbent, it comes into force at the next start."""
    return _import(_read(given, "file"), None, None)


def import_key(given: dict[str, str]) -> int:
    """Take a key that was made elsewhere, and its certificate; they come into force at the next start."""
    from troth.cli import key_actions

    key = _read(given, "key")
    return _import(_read(given, "cert"), key, key_actions.unlock(key, given["key"], None))


def import_ca(given: dict[str, str]) -> int:
    """Trust a CA, as `trusted-ca-store importcacert` does for `system`."""
    return ncs_actions.import_ca({**given, **_SYSTEM})


def list_cas(given: dict[str, str]) -> int:
    """List the CAs of `system`."""
    return ncs_actions.list_cas({**given, **_SYSTEM})


def delete_ca(given: dict[str, str]) -> int:
    """Trust a CA of `system` no more."""
    return ncs_actions.delete_ca({**given, **_SYSTEM})


def _read(given: dict[str, str], which: str) -> bytes:
    from troth import repository
    from troth.node import home

    return repository.read_bytes(home.find(), given["repository"], given[which])


def _import(data: bytes, key: bytes | None, secret: bytes | None) -> int:
    from troth.cli import key_actions, key_output

    found = key_actions.identity()
    change = key_actions.take(found, data, key, secret)
    found.schedule()
    output.say(f"imported {key_output.fingerprint(change.generation)}")
    output.note("it comes into force at the next start: ncs stop, ncs start; or at once: troth key activate")
    return 0
