"""What waits for a start comes into force with it; what cannot keeps no node from starting."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path

import pytest

from tests.identity.making import CA, NAMES, now
from troth.identity import Identity, Subject
from troth.node.run import take_up
from troth.node.serving import Served


def test_a_scheduled_certificate_is_served_after_the_start(tmp_path: Path) -> None:
    """Only what was scheduled is taken up, and a running server takes up the rest without a start."""
    node = Identity(tmp_path / "identity", now)
    node.create(NAMES)
    coming = node.create(NAMES)
    take_up(node)
    assert node.current().number == 1
    node.schedule()
    served = Served(node)
    take_up(node)
    assert node.current().number == coming.number
    assert served.refresh()
    assert not served.refresh()


def test_one_that_cannot_come_is_logged_and_no_more(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Expired meanwhile, or damaged: the node starts with what it has, and says why."""
    offset = timedelta()
    node, ca = Identity(tmp_path / "identity", lambda: now() + offset), CA("Example Root")
    node.create(NAMES)
    node.import_signed(ca.sign(node.request(Subject(cn="node"), NAMES)) + ca.pem)
    node.schedule()
    offset = timedelta(days=400)
    with caplog.at_level(logging.ERROR, logger="troth.node"):
        take_up(node)
        (tmp_path / "identity" / "generations" / "000003" / "meta.json").write_text("{")
        take_up(node)
    assert node.current().number == 1
    assert ["expired" in caplog.messages[0], "damaged" in caplog.messages[1]] == [True, True]
