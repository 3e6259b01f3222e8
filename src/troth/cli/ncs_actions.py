"""What each line of the incumbent's grammar does."""

from __future__ import annotations

from troth.cli import output

_CHOICE = "devicemgmt|pubnet|system|user"


def list_certificates(given: dict[str, str]) -> int:
    """Print the list as the incumbent does, byte for byte; what it never showed only where asked."""
    if "--json" in given:
        from troth.cli.main import main

        return main(["list", "--json"])
    from troth.cli.listed import listed
    from troth.formats import dump_listcerts

    found = [each for each in listed() if each.state == "active" and each.pins]
    if "--fingerprints" not in given:
        output.block(dump_listcerts([(each.key, each.slash) for each in found]))
        return 0
    text = dump_listcerts([(each.key, each.slash) for each in found]).splitlines()
    banner, entries = text[: len(text) - len(found)], text[len(text) - len(found) :]
    for line in banner:
        output.say(line)
    for line, each in zip(entries, found, strict=True):
        output.say(f"{line};  fingerprint= {each.fingerprint}  pin= {each.kind}  domain= {each.domain}")
    return 0


def delete_certificate(given: dict[str, str]) -> int:
    """Forget one entry, by its key."""
    import difflib

    from troth import manage
    from troth.cli import common
    from troth.errors import BadInput, NotFound
    from troth.model.endpoint import PROTOCOLS
    from troth.model.fingerprint import Fingerprint

    key, protocol = given["host_port"], given.get("--starttls")
    if protocol is not None and protocol not in PROTOCOLS:
        raise BadInput(f"Troth does not speak {protocol!a}.", why="known are " + ", ".join(PROTOCOLS))
    host, underscore, port = key.rpartition("_")
    if not underscore or not port.isdigit() or (":" in host.rpartition("]")[2] and "[" in host):
        raise BadInput(
            f"{ascii(key)[:80]} is no entry key.",
            why="a key is HOST_PORT, as listcerts prints it",
            next_command="ncs certvalidation tofu-certs listcerts",
        )
    successor = Fingerprint.parse(given["--next"]) if "--next" in given else None
    with common.store() as opened:
        try:
            found = manage.resolve(opened, key, protocol=protocol)
            entry = manage.delete(opened, found, successor)
        except NotFound as error:
            near = difflib.get_close_matches(key, [each.key for each in opened.listing()], n=3)
            raise NotFound(
                error.what,
                why=f"near to it: {', '.join(near)}" if near else "",
                next_command="ncs certvalidation tofu-certs listcerts",
            ) from None
    output.say(f"deleted {entry.endpoint.key}")
    output.note(
        f"at the next connection, only {successor} is trusted without approval"
        if successor
        else f"its next certificate waits for approval: troth approve {entry.endpoint} --expect FINGERPRINT"
    )
    return 0


def certificate_check(given: dict[str, str]) -> int:
    """Set a truststore's check mode; the incumbent's `enable` is Troth's `ca`."""
    from troth import manage
    from troth.cli import common
    from troth.model.entry import CheckMode, Override
    from troth.store.authorities import authorities, follows_system

    word, domain = given["disable|trust-on-first-use|enable"], given[_CHOICE]
    mode = {"disable": CheckMode.DISABLE, "trust-on-first-use": CheckMode.TOFU, "enable": CheckMode.CA}[word]
    with common.store() as opened:
        manage.set_domain(opened, domain, Override(mode=mode))
        empty = mode is CheckMode.CA and not authorities(opened, domain) and not follows_system(opened, domain)
    output.say(f"certificate-check {word} for {domain}")
    if mode is CheckMode.DISABLE:
        output.note(f"nothing is checked in {domain} any more: everybody in the middle is trusted")
    if empty:
        output.note(
            f"{domain} trusts no CA yet, so every host is rejected: ncs certvalidation trusted-ca-store importcacert"
            f" alias ALIAS repository defaultRepo FILE truststore {domain}"
        )
    return 0


def import_ca(given: dict[str, str]) -> int:
    """Trust a CA, from a PEM file in a repository."""
    from troth import repository
    from troth.cli import common
    from troth.store.authorities import add_authority, read_authority
    from troth.store.paths import default_path

    with common.store() as opened:
        # Beside a store of the user's own, and in the home of a node, whose store lies elsewhere.
        text = repository.read(default_path().parent, given["repository"], given["file"])
        view = read_authority(text, given["file"])
        add_authority(opened, given[_CHOICE], given["alias"], view)
        late = not view.valid_at(opened.now())
    output.say(f"imported {given['alias']}  {view.fingerprint}  {view.subject}")
    if late:
        output.note("it is outside its dates, so it vouches for nobody")
    return 0


def list_cas(given: dict[str, str]) -> int:
    """List the CAs of a truststore."""
    from troth.cli import common
    from troth.store.authorities import authorities, follows_system
    from troth.trust.explain import moment

    with common.store() as opened:
        found = authorities(opened, given[_CHOICE])
        follows = follows_system(opened, given[_CHOICE])
    for each in found:
        output.say(f"alias={each.alias};  subject= {each.view.subject_slash}")
        output.say(f"  {each.view.fingerprint}  valid to {moment(each.view.not_after)}")
    if follows:
        output.say("and the operating system's CAs (auto-ca-update is enabled)")
    elif not found:
        output.note(f"{given[_CHOICE]} trusts no CA")
    return 0


def delete_ca(given: dict[str, str]) -> int:
    """Trust a CA no more."""
    from troth.cli import common
    from troth.store.authorities import delete_authority

    with common.store() as opened:
        delete_authority(opened, given[_CHOICE], given["alias"])
    output.say(f"deleted {given['alias']}")
    return 0


def auto_ca_update(given: dict[str, str]) -> int:
    """Follow the operating system's CAs, or not."""
    from troth.cli import common
    from troth.store.authorities import set_follows_system

    with common.store() as opened:
        set_follows_system(opened, given[_CHOICE], given["enable|disable"] == "enable")
    output.say(f"auto-ca-update {given['enable|disable']} for {given[_CHOICE]}")
    return 0


def ocsp_enable(given: dict[str, str]) -> int:
    """Ask the custom responders."""
    return _ocsp(given, enable=True)


def ocsp_disable(given: dict[str, str]) -> int:
    """Ask the responder that a certificate names."""
    return _ocsp(given, enable=False)


def ocsp_set(given: dict[str, str]) -> int:
    """Set a custom responder."""
    return _responder(given["url1|url2"], given["url"])


def ocsp_clear(given: dict[str, str]) -> int:
    """Clear a custom responder."""
    return _responder(given["url1|url2"], "")


def _ocsp(given: dict[str, str], *, enable: bool) -> int:
    from troth.cli import common
    from troth.store.authorities import set_custom_responders

    del given
    with common.store() as opened:
        set_custom_responders(opened, enable)
    output.say(f"custom-ocsp-responder {'enable' if enable else 'disable'}")
    return 0


def _responder(slot: str, url: str) -> int:
    from troth.cli import common
    from troth.store.authorities import set_responder

    with common.store() as opened:
        set_responder(opened, slot, url)
    output.say(f"custom-ocsp-responder {slot} {url or 'cleared'}")
    return 0
