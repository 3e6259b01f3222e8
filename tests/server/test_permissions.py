"""Who may do what: every operation, asked for by every role and by nobody. Generated from the operations themselves."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest

from tests.server.office import NAME, OPERATION, PASSWORD, Office
from troth.accounts.roles import GRANTS, Permission, Role
from troth.server.operations import Operation

_VALUES = {"domain": "user", "number": "999999", "endpoint": "192.0.2.1:1"}
OPERATIONS = list(OPERATION.values())
COOKIE = "__Host-troth"


def place(operation: Operation) -> str:
    """Give a path that means nothing that is there."""
    return "/api/v1" + re.sub(r"\{(\w+)\}", lambda found: _VALUES.get(found[1], "nobody"), operation.path)


def ask(office: Office, operation: Operation, token: str | None) -> Any:
    """Ask for an operation, with a body that says nothing."""
    head = {"Authorization": f"Bearer {token}"} if token else {}
    body = (
        {"content": b"[]", "headers": {**head, "Content-Type": "application/json"}}
        if operation.body
        else {"headers": head}
    )
    return office.client.request(operation.method, place(operation), **body)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
def test_each_role_may_do_what_it_is_granted(office: Office, operation: Operation, role: Role) -> None:
    """What it is not granted is refused before anything else about the call is looked at."""
    answer = ask(office, operation, office.tokens[role.value])
    if operation.permission is None or operation.permission in GRANTS[role]:
        assert answer.status_code not in (401, 403)
    else:
        assert (answer.status_code, answer.json()["code"]) == (403, "TROTH-611")
        assert answer.json()["permission"] == operation.permission.value
    office.require_promised(operation, answer)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
def test_nobody_does_nothing(office: Office, operation: Operation) -> None:
    """Without a token, with a wrong one and with a wrong cookie alike; only the way in is open."""
    for token in (None, "troth_nonsense", "x" * 4000):
        answer = ask(office, operation, token)
        if operation.permission is None:
            assert operation.name == "logIn"
        else:
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Bearer")


def test_who_reads_changes_nothing() -> None:
    """Every operation that a viewer is granted reads, or is about the viewer's own account."""
    granted = [each for each in OPERATIONS if each.permission in GRANTS[Role.VIEWER]]
    assert {each.method for each in granted if each.permission is Permission.READ} == {"GET"}
    assert not [
        each
        for each in OPERATIONS
        if each.method == "GET" and each.permission not in GRANTS[Role.VIEWER] | {Permission.USERS}
    ]


def test_the_settings_are_the_administrators() -> None:
    """An operator works with entries; users, policies, CAs, keys, channels, servers and imports are beyond that."""
    beyond = {each.name for each in OPERATIONS if each.permission and each.permission not in GRANTS[Role.OPERATOR]}
    assert {"addUser", "setDomainPolicy", "setEntryPolicy", "addAuthority", "activateCertificate"} <= beyond
    assert {"setChannel", "testChannel", "addIseServer", "importTrust", "setResponders", "generateKey"} <= beyond
    assert not beyond & {"check", "pin", "approve", "replace", "announce", "deleteEntry", "revoke", "testIseServer"}


def test_a_token_is_no_more_than_its_user(office: Office) -> None:
    """A token of less is less; one of more is not made; and one of a user who is disabled is nothing."""
    asked = {"label": "x", "role": "administrator"}
    assert office.call("makeToken", by="operator", expect=403, **asked).json()["code"].startswith("TROTH-6")
    office.call("makeToken", by="operator", expect=422, label="x", user="administrator", role="viewer")
    office.call("addUser", name="temp", password="some pass phrase here", role="operator")
    office.tokens["temp"] = office.call("makeToken", label="x", user="temp", days=1, role="viewer").json()["token"]
    office.call("listEntries", by="temp")
    office.call("check", by="temp", expect=403, hosts=["192.0.2.1"])
    office.call("changeUser", {"name": "temp"}, enabled=False)
    office.call("listEntries", by="temp", expect=401)
    office.call("changeUser", {"name": "temp"}, enabled=True)
    office.call("listEntries", by="temp")
    office.call("deleteUser", {"name": "temp"})
    office.call("listEntries", by="temp", expect=401)


def test_another_site_changes_nothing(office: Office) -> None:
    """A browser that is logged in sends its cookie along with nothing that another site asks for."""
    with office.browser() as browser:
        entered = browser.post("/api/v1/login", json={"name": "administrator", "password": PASSWORD})
        assert entered.status_code == 200
        assert re.search(
            rf"^{COOKIE}=[\w-]+; Path=/; Secure; HttpOnly; SameSite=Strict$", entered.headers["set-cookie"]
        )
        body = {"fingerprint": "00" * 32}
        for head in (
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Origin": "https://evil.example"},
        ):
            refused = browser.post("/api/v1/revocations", json=body, headers=head)
            assert (refused.status_code, refused.json()["code"]) == (403, "TROTH-630")
        # A form cannot send JSON, and a body of another type is not read.
        form = browser.post("/api/v1/revocations", data=body, headers={"Sec-Fetch-Site": "same-origin"})
        assert form.status_code == 400
        same = {"Sec-Fetch-Site": "same-origin", "Origin": f"https://{NAME}:8443"}
        assert browser.post("/api/v1/revocations", json=body, headers=same).status_code == 200


def test_no_log_in_is_planted_or_outlived(office: Office) -> None:
    """The secret is new at each log-in, the one before ends, and after the log-out it opens nothing."""
    with office.browser() as browser:
        planted = "A" * 43
        browser.cookies.set(COOKIE, planted)
        browser.post("/api/v1/login", json={"name": "viewer", "password": PASSWORD})
        first = browser.cookies.get(COOKIE, domain=NAME) or [each.value for each in browser.cookies.jar][-1]
        assert first != planted
        browser.cookies.clear()

        def who(secret: str) -> int:
            return int(browser.get("/api/v1/me", headers={"Cookie": f"{COOKIE}={secret}"}).status_code)

        assert (who(first), who(planted)) == (200, 401)
        again = browser.post(
            "/api/v1/login", json={"name": "viewer", "password": PASSWORD}, headers={"Cookie": f"{COOKIE}={first}"}
        )
        second = again.headers["set-cookie"].partition("=")[2].partition(";")[0]
        browser.cookies.clear()
        assert (who(first), who(second)) == (401, 200)
        browser.post("/api/v1/logout", headers={"Cookie": f"{COOKIE}={second}"})
        assert who(second) == 401


def test_who_guesses_waits(office: Office) -> None:
    """From one address a few wrong passwords are answered, then none; another address still gets in."""
    wrong = {"name": "operator", "password": "not the pass phrase"}
    with office.browser("192.0.2.77") as browser:
        statuses = [browser.post("/api/v1/login", json=wrong).status_code for _ in range(7)]
        assert statuses[:5] == [401] * 5
        assert statuses[-1] == 429
        refused = browser.post("/api/v1/login", json={**wrong, "password": PASSWORD})
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 0
    with office.browser("192.0.2.78") as other:
        assert other.post("/api/v1/login", json={**wrong, "password": PASSWORD}).status_code == 200


def test_the_time_of_an_answer_tells_nothing_of_a_token(office: Office) -> None:
    """What is looked up is a hash of the token: how long that takes says nothing of how much of the token was right.

    Nor is the token itself in the database, so that whoever reads that cannot use it.
    """
    token = office.tokens["viewer"]
    with office.node.database.reading() as connection:
        rows: Any = connection.execute(b"SELECT t::text, t.digest FROM api_token t").fetchall()
    assert hashlib.sha256(token.encode()).digest() in [bytes(each[1]) for each in rows]
    assert not [each for each in rows if token[-20:] in each[0]]
