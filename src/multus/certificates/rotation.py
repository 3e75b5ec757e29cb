"""Keeps a node's certificate: requests the first, renews it in time, begins anew when it is no longer trusted."""

from __future__ import annotations

import os
import random
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from multus import errors, log
from multus.certificates import config, naming, pem, signing
from multus.certificates.store import Store
from multus.kubernetes import connect
from multus.kubernetes.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from multus.certificates.pem import Validity
    from multus.kubernetes.client import Client

#: Without a setting, in seconds.
DURATION = 600.0

#: How long a start waits for the first certificate.
PATIENCE = 120.0

#: One request, from the key to the certificate.
ONE_REQUEST = 60.0

#: The part of its life after which a certificate is renewed: somewhere in between, for all nodes start together.
EARLIEST, LATEST = 0.7, 0.9

#: Between two looks whether the server still trusts the certificate; often where lives are short.
LONGEST_LOOK = 300.0
SHORTEST_LOOK = 10.0

#: The kubeconfig beside the certificates where nobody names another place.
KUBECONFIG = "multus-client.kubeconfig"


class Wanted(NamedTuple):
    """What the certificate is for and where everything is; `kubeconfig` is what clients are to read."""

    node: str
    bootstrap: str
    directory: str
    kubeconfig: str
    duration: float = DURATION


def renew_at(life: Validity, part: float) -> float:
    """When to renew a certificate (Unix time); `part` is a random number from 0 to 1."""
    return life.begins + (life.ends - life.begins) * (EARLIEST + (LATEST - EARLIEST) * part)


class Rotation:
    """One node's certificate. `ensure` once, then `start`; `client` makes a client of a kubeconfig (tests)."""

    def __init__(
        self,
        wanted: Wanted,
        environ: Mapping[str, str],
        *,
        client: Callable[[str, Mapping[str, str]], Client | None] = connect.client,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Raises errors.InvalidConfig where there can be no certificate."""
        pem.check_library()
        naming.common_name(wanted.node)
        self._wanted = wanted
        self._environ = environ
        self._connect = client
        self._clock = clock
        self._store = Store(wanted.directory)
        self._part = random.random()  # noqa: S311 - spreads load

    def ensure(self, stopped: threading.Event, patience: float = PATIENCE) -> None:
        """Return when there is a certificate that the server trusts, and the kubeconfig for it; what fails is tried
        again for `patience` seconds. Raises the last errors.CniError, and errors.Unavailable when `stopped`."""
        deadline = time.monotonic() + patience
        backoff = Backoff(1.0, 5.0)
        while not stopped.is_set():
            try:
                self.turn(min(deadline, time.monotonic() + ONE_REQUEST))
                return
            except errors.CniError as error:
                pause = backoff.next()
                if time.monotonic() + pause >= deadline:
                    raise error.within("perNodeCertificate") from error
                log.warning("no certificate of this node yet, trying again", error=error)
            stopped.wait(pause)
        raise errors.Unavailable("told to end before there was a certificate")

    def start(self, stopped: threading.Event) -> None:
        """Renew in a thread of its own until `stopped`."""
        threading.Thread(target=self.keep, args=(stopped,), name="certificate", daemon=True).start()

    def keep(self, stopped: threading.Event) -> None:
        """Renew until `stopped`. What fails is tried again; nothing ends it."""
        # Each try leaves a request in the cluster, if nobody answers it.
        backoff = Backoff(2.0, max(60.0, min(600.0, self._wanted.duration / 20)))
        pause = self._look()
        while not stopped.wait(pause):
            try:
                self.turn(time.monotonic() + ONE_REQUEST)
                backoff.reset()
                pause = self._look()
            except errors.CniError as error:
                log.error("the certificate of this node can't be renewed, trying again", error=error)
                pause = backoff.next()
            except Exception as error:
                # A defect of ours; a thread that ends in silence would be worse.
                log.error("certificate: internal error, trying again", error=repr(error))
                pause = backoff.next()

    def turn(self, deadline: float) -> None:
        """Whatever is to be done now. Raises errors.CniError."""
        life = self._life()
        if life is None or not self._is_trusted(life, deadline):
            self._obtain(self._wanted.bootstrap, deadline)
        elif self._clock() >= renew_at(life, self._part):
            self._renew(deadline)
        self._write_kubeconfig()

    def _life(self) -> Validity | None:
        """Of the certificate in use; None when there is none that can be used."""
        try:
            pair = self._store.read()
            return pem.validity(pair) if pair is not None else None
        except errors.CniError as error:
            log.warning("the certificate can't be used, requesting another", error=error)
            return None

    def _is_trusted(self, life: Validity, deadline: float) -> bool:
        """Also while the server can't be asked: what is known is used until it is known to be wrong."""
        if self._clock() >= life.ends:
            log.warning("the certificate has expired, requesting another with the bootstrap credentials")
            return False
        self._write_kubeconfig()
        try:
            self._ask(deadline)
        except errors.Denied as error:
            log.warning("not trusted, requesting another certificate with the bootstrap credentials", error=error)
            return False
        except errors.ClusterError as error:
            log.warning("can't ask the API server whether it trusts the certificate", error=error)
        return True

    def _ask(self, deadline: float) -> None:
        client = self._client(self._wanted.kubeconfig)
        try:
            client.introduce(deadline)
        finally:
            client.close()

    def _renew(self, deadline: float) -> None:
        try:
            self._obtain(self._wanted.kubeconfig, deadline)
        except errors.Denied as error:
            log.warning("not renewed with the certificate itself, trying the bootstrap credentials", error=error)
            self._obtain(self._wanted.bootstrap, deadline)

    def _obtain(self, kubeconfig: str, deadline: float) -> None:
        client = self._client(kubeconfig)
        try:
            pair = signing.obtain(client, self._wanted.node, self._wanted.duration, deadline)
        finally:
            client.close()
        self._store.put(pair, self._clock())
        self._part = random.random()  # noqa: S311 - spreads load
        ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(pem.validity(pair).ends))
        log.verbose("new certificate of this node", file=self._store.current, until=ends)

    def _client(self, kubeconfig: str) -> Client:
        client = self._connect(kubeconfig, self._environ)
        assert client is not None  # A kubeconfig is named.
        return client

    def _write_kubeconfig(self) -> None:
        if config.write(self._wanted.kubeconfig, config.render(self._wanted.bootstrap, self._store.current)):
            log.verbose("kubeconfig written", file=self._wanted.kubeconfig)

    def _look(self) -> float:
        """Seconds until the next turn: not later than the renewal is due."""
        usual = min(LONGEST_LOOK, max(SHORTEST_LOOK, self._wanted.duration / 20))
        life = self._life()
        due = renew_at(life, self._part) - self._clock() if life is not None else 0.0
        return max(1.0, min(usual, due))


def wanted(node: str, bootstrap: str, directory: str, kubeconfig: str = "", duration: float = DURATION) -> Wanted:
    """The same with a place for the kubeconfig, beside the certificates where none is named."""
    return Wanted(node, bootstrap, directory, kubeconfig or os.path.join(directory, KUBECONFIG), duration)
