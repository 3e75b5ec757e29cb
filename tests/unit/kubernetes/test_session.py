"""When settings are read again, and when connections are made anew."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from multus import errors
from multus.kubernetes import session
from multus.kubernetes.access import Access, Endpoint, Identity, Pem
from multus.kubernetes.credentials import Fixed
from multus.kubernetes.transport import Response

if TYPE_CHECKING:
    from pathlib import Path

OK, UNAUTHORIZED = Response(200, {}, b""), Response(401, {}, b"")


class Opened:
    """A transport."""

    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        """Noted."""
        self.closed = True


def access(ca: str = "") -> Access:
    """New settings each time."""
    return Access(Endpoint("h", 1, "here", ca=Pem(file=ca)), Fixed(Identity()))


def replace(path: Path, text: str) -> None:
    """Another file under that name."""
    path.with_suffix(".new").write_text(text)
    os.replace(path.with_suffix(".new"), path)


def connections() -> session.Connections[Opened]:
    """That count for nothing."""
    return session.Connections(lambda endpoint, identity: Opened())


def test_refused_credentials_are_read_again() -> None:
    """Once; the second refusal is the answer."""
    settings = session.Settings(access)
    seen: list[Access] = []

    def exchange(current: Access) -> Response:
        seen.append(current)
        return UNAUTHORIZED

    assert settings.authorized(exchange) is UNAUTHORIZED
    assert len(seen) == 2
    assert seen[0] is not seen[1]
    assert settings.access is seen[1]


def test_accepted_credentials_stay() -> None:
    """Nothing is read."""
    settings = session.Settings(access)
    before = settings.access
    assert settings.authorized(lambda current: OK) is OK
    assert settings.access is before


def test_server_that_is_no_longer_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CA in the settings may have been replaced, unless they have just been read."""
    settings = session.Settings(access)
    before = settings.access

    def exchange(current: Access) -> Response:
        if current is before:
            raise errors.Denied("not trusted")
        return OK

    with pytest.raises(errors.Denied):
        settings.authorized(exchange)
    monkeypatch.setattr(session, "FRESH", -1.0)
    assert settings.authorized(exchange) is OK


def test_connections_are_kept() -> None:
    """As long as nothing that belongs to them changes; a token does not."""
    made, settings = connections(), access()
    first = made.to(settings, Identity((("Authorization", "one"),)))
    assert made.to(settings, Identity((("Authorization", "two"),))) is first


@pytest.mark.parametrize("which", ["ca", "certificate", "key"])
def test_replaced_file(tmp_path: Path, which: str) -> None:
    """A certificate that was renewed under the same name is presented, a CA trusted, from the next request on."""
    names = {name: tmp_path / name for name in ("ca", "certificate", "key")}
    for path in names.values():
        path.write_text("old")
    settings = access(str(names["ca"]))
    identity = Identity((), Pem(file=str(names["certificate"])), Pem(file=str(names["key"])))
    made = connections()
    first = made.to(settings, identity)
    assert made.to(settings, identity) is first
    replace(names[which], "new")
    assert made.to(settings, identity) is not first
    assert first.closed


def test_other_settings_or_certificate() -> None:
    """Need another connection; the old one is closed."""
    made, settings = connections(), access()
    first = made.to(settings, Identity())
    second = made.to(access(), Identity())
    third = made.to(settings, Identity((), Pem(b"c"), Pem(b"k")))
    assert len({id(one) for one in (first, second, third)}) == 3
    assert [one.closed for one in (first, second, third)] == [True, True, False]
    made.close()
    assert third.closed


def test_file_that_is_missing_is_left_to_the_connection(tmp_path: Path) -> None:
    """Which says what is wrong with it."""
    made, settings = connections(), access(str(tmp_path / "none"))
    assert made.to(settings, Identity()) is made.to(settings, Identity())


def test_half_replaced_certificates(tmp_path: Path) -> None:
    """The old ones serve until the new ones can be used; where there are none, it is an error."""
    path = tmp_path / "certificate"
    path.write_text("old")
    failures = [errors.InvalidConfig("certificate and key")]

    def connect(endpoint: Endpoint, identity: Identity) -> Opened:
        if path.read_text() == "half":
            raise failures[0]
        return Opened()

    made: session.Connections[Opened] = session.Connections(connect)
    settings, identity = access(), Identity((), Pem(file=str(path)), Pem(b"k"))
    first = made.to(settings, identity)
    replace(path, "half")
    assert made.to(settings, identity) is first
    assert not first.closed
    with pytest.raises(errors.InvalidConfig):
        made.to(access(), identity)
    replace(path, "new!")
    assert made.to(settings, identity) is not first
