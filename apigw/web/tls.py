"""
The TLS contexts of a listener: which certificate a client sees, and whether it must show one itself.

They are made anew when what files hold changes; connections keep those they began with.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import time
from typing import Any

from attrs import frozen
from OpenSSL import SSL
from OpenSSL.crypto import X509
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from zope.interface import implementer

from apigw.config.certificates import CertificateFiles, KeyPair, load_pair, stamp
from apigw.config.files import certificates, read
from apigw.config.stapling import Staple, load_staple
from apigw.policy.client_auth import ClientAuth, ClientAuths

CIPHERS = b":".join(
    [
        b"ECDHE-ECDSA-AES128-GCM-SHA256",
        b"ECDHE-RSA-AES128-GCM-SHA256",
        b"ECDHE-ECDSA-AES256-GCM-SHA384",
        b"ECDHE-RSA-AES256-GCM-SHA384",
        b"ECDHE-ECDSA-CHACHA20-POLY1305",
        b"ECDHE-RSA-CHACHA20-POLY1305",
    ]
)
"""For TLS 1.2: Mozilla's "intermediate" of 2024 without finite fields; the client chooses. TLS 1.3 needs no list."""

OP_NO_RENEGOTIATION = 1 << 30
"""Of OpenSSL's ssl.h; pyOpenSSL has no name for it."""

MODE_RELEASE_BUFFERS = 0x10
"""An idle connection keeps no buffers: 34 KiB less of it."""

VERIFY = {
    "none": SSL.VERIFY_NONE,
    "optional": SSL.VERIFY_PEER,
    "required": SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT,
}

WARN_BEFORE = 14 * 86400.0
"""Seconds before a certificate expires from which on that is told; who renews by program does so a month before."""

LOOK_EVERY = 5.0
"""Seconds between looks at the files; a look costs some 10 us a file."""

Stamp = tuple[Any, ...]


@frozen
class _Shown:
    """A certificate in use. :ivar contexts: one for each way to ask for the client's; made when needed."""

    stamp: Stamp
    pair: KeyPair
    staple: Staple | None
    contexts: dict[ClientAuth, SSL.Context]


@frozen
class _Authorities:
    stamp: Stamp
    certificates: list[Any]


@frozen
class Files:
    """What the files of a listener hold."""

    authorities: dict[str, _Authorities]
    shown: dict[Path, _Shown]

    @property
    def stamps(self) -> list[tuple[Path | str, Stamp]]:
        every: list[tuple[Path | str, _Shown | _Authorities]] = [*self.authorities.items(), *self.shown.items()]
        return [(path, one.stamp) for path, one in every]


@implementer(IOpenSSLServerConnectionCreator)
class Certificates:
    """
    :param listener: its name, for the log.
    :param protocols: for ALPN, the best first.
    :param seconds: since the epoch.
    :raises ValueError: a file can't be used.

    :ivar handshakes: how many there were, by outcome: ``done``, ``timeout``, or ``failed`` for any other end.
    """

    _log = Logger()

    def __init__(
        self,
        listener: str,
        files: CertificateFiles,
        auths: ClientAuths,
        protocols: tuple[bytes, ...] = (b"http/1.1",),
        seconds: Callable[[], float] = time,
    ) -> None:
        self.auths = auths
        self.handshakes = {"done": 0, "failed": 0, "timeout": 0}
        self._listener = listener
        self._files = files
        self._protocols = protocols
        self._seconds = seconds
        self._refused: dict[Path, Stamp] = {}
        self._told: set[tuple[str, float]] = set()
        self._looking: LoopingCall | None = None
        self._found = Files({}, {})
        self._found = self.read()
        self._index()
        self._tell_expiry()

    @property
    def expiries(self) -> dict[str, float]:
        """When the certificates in use expire, in seconds since the epoch, by the paths of their files."""
        return {shown.pair.path: shown.pair.expires for shown in self._found.shown.values()}

    def watch(self, clock: IReactorTime) -> None:
        """Look every now and then whether files have changed."""
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock
        self._looking.start(LOOK_EVERY, now=False)

    def unwatch(self) -> None:
        if self._looking is not None and self._looking.running:
            self._looking.stop()

    def _look(self) -> None:
        try:
            self.reload()
        except Exception:  # or it would never look again
            self._log.failure("[listener:{name}] certificates", name=self._listener)

    # -- files -----------------------------------------------------------------------------------------------------

    def read(self) -> Files:
        """
        All files, changed or not, to be taken later. Contexts stay where they would be the same, and with them what
        clients need to resume their sessions.

        :raises ValueError: one can't be used.
        """
        names = {auth.ca for auth in (self.auths.default, *self.auths.hosts.values()) if auth.ca is not None}
        authorities = {name: self._load_authorities(Path(name)) for name in sorted(names)}
        before = {} if self._differ(authorities) else self._found.shown
        return Files(
            authorities, {path: self._load(path, authorities, before.get(path)) for path in self._files.paths()}
        )

    def take(self, files: Files) -> None:
        """Use what :meth:`read` has found."""
        self._refused.clear()
        self._use(files)
        self._tell_expiry()

    def reload(self) -> None:
        """Take what files have changed; one that can't be used is told once, and what it held before stays in use."""
        authorities = self._changed_authorities()
        known = self._found.shown
        if self._differ(authorities):
            known = {
                path: _Shown(one.stamp, one.pair, one.staple, self._contexts(one.pair, authorities))
                for path, one in known.items()
            }
        files = Files(authorities, self._changed(known, authorities))
        if files.stamps != self._found.stamps:
            self._use(files)
        self._tell_expiry()

    def _differ(self, authorities: dict[str, _Authorities]) -> bool:
        """From those in use."""
        before = self._found.authorities
        return any(
            name not in before or before[name].certificates != one.certificates for name, one in authorities.items()
        )

    def _changed(self, known: dict[Path, _Shown], authorities: dict[str, _Authorities]) -> dict[Path, _Shown]:
        try:
            paths = self._files.paths()
        except ValueError as wrong:
            self._refuse(Path(), (str(wrong),), wrong)
            return known
        self._refused.pop(Path(), None)
        shown: dict[Path, _Shown] = {}
        for path in paths:
            one = known.get(path)
            now = stamp(path)
            if (one is None or one.stamp != now) and self._refused.get(path) != now:
                try:
                    one = self._load(path, authorities, one)
                except ValueError as wrong:
                    self._refuse(path, now, wrong)
                else:
                    self._refused.pop(path, None)
            if one is not None:
                shown[path] = one
        return shown

    def _changed_authorities(self) -> dict[str, _Authorities]:
        found = dict(self._found.authorities)
        for name, before in self._found.authorities.items():
            path = Path(name)
            now = stamp(path)
            if now in (before.stamp, self._refused.get(path)):
                continue
            try:
                found[name] = self._load_authorities(path)
            except ValueError as wrong:
                self._refuse(path, now, wrong)
            else:
                self._refused.pop(path, None)
        return found

    def _use(self, files: Files) -> None:
        before, self._found = self._found, files
        self._index()
        if files.stamps != before.stamps:
            self._log.info(
                "[listener:{name}] certificates: {paths}", name=self._listener, paths=", ".join(self.expiries)
            )

    def _refuse(self, path: Path, now: Stamp, wrong: ValueError) -> None:
        if self._refused.get(path) != now:
            self._refused[path] = now
            self._log.warn("[listener:{name}] not taken: {wrong}", name=self._listener, wrong=wrong)

    def _load(self, path: Path, authorities: dict[str, _Authorities], before: _Shown | None) -> _Shown:
        """:param before: has the contexts of the same authorities. :raises ValueError: it can't be used."""
        now = stamp(path)
        pair = load_pair(path)
        staple = self._load_staple(path, pair)
        if before is not None and before.pair.chain == pair.chain:
            return _Shown(now, before.pair, staple, before.contexts)
        try:
            return _Shown(now, pair, staple, self._contexts(pair, authorities))
        except SSL.Error as error:
            reason = error.args[0][-1][-1] if error.args and error.args[0] else str(error)
            raise ValueError(f"{path} holds a certificate that OpenSSL doesn't take: {reason}") from None

    def _load_staple(self, path: Path, pair: KeyPair) -> Staple | None:
        """A response that is of no use is told, and the certificate is shown without one."""
        try:
            return load_staple(path, pair.chain[0], self._seconds())
        except ValueError as wrong:
            self._log.warn("[listener:{name}] not stapled: {wrong}", name=self._listener, wrong=wrong)
            return None

    def _stapled(self, _: SSL.Connection, path: str | None) -> bytes:
        """What goes with the certificate in ``path`` in a handshake whose client asks for it; may be nothing."""
        staple = self._staples.get(path or "")
        return b"" if staple is None or staple.expires <= self._seconds() else staple.response

    @staticmethod
    def _load_authorities(path: Path) -> _Authorities:
        now = stamp(path)
        return _Authorities(now, certificates(path, read(path)))

    def _index(self) -> None:
        self._exact: dict[str, _Shown] = {}
        self._wild: dict[str, _Shown] = {}
        self._staples: dict[str, Staple] = {}
        for shown in self._found.shown.values():
            if shown.staple is not None:
                self._staples[shown.pair.path] = shown.staple
            for name in shown.pair.names:
                if name.startswith("*."):
                    self._wild.setdefault(name[1:], shown)
                else:
                    self._exact.setdefault(name, shown)
        self._default = next(iter(self._found.shown.values()))

    def _tell_expiry(self) -> None:
        now = self._seconds()
        for path, expires in self.expiries.items():
            if expires - now < WARN_BEFORE and (path, expires) not in self._told:
                self._told.add((path, expires))
                self._log.warn(
                    "[listener:{name}] the certificate in {path} expires in {days} days",
                    name=self._listener,
                    path=path,
                    days=max(0, int((expires - now) // 86400.0)),
                )

    # -- contexts --------------------------------------------------------------------------------------------------

    def _contexts(self, pair: KeyPair, authorities: dict[str, _Authorities]) -> dict[ClientAuth, SSL.Context]:
        return {self.auths.default: self._context(pair, self.auths.default, authorities)}

    def _context(self, pair: KeyPair, auth: ClientAuth, authorities: dict[str, _Authorities]) -> SSL.Context:
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_cipher_list(CIPHERS)
        context.set_options(SSL.OP_NO_COMPRESSION | OP_NO_RENEGOTIATION)
        context.set_mode(MODE_RELEASE_BUFFERS)
        context.use_privatekey(pair.key)
        context.use_certificate(pair.chain[0])
        for one in pair.chain[1:]:
            context.add_extra_chain_cert(one)
        context.check_privatekey()
        context.set_alpn_select_callback(self._choose_protocol)
        context.set_tlsext_servername_callback(self._named)
        context.set_session_id(b"apigw")
        context.set_ocsp_server_callback(self._stapled, pair.path)
        if self.auths.several:
            context.set_options(SSL.OP_NO_TICKET)
            context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        if auth.ca is not None:
            store = context.get_cert_store()
            assert store is not None
            for one in authorities[auth.ca].certificates:
                store.add_cert(X509.from_cryptography(one))
                context.add_client_ca(one)
        context.set_verify(VERIFY[auth.mode])
        return context

    def _choose_protocol(self, _: SSL.Connection, offered: list[bytes]) -> Any:
        for protocol in self._protocols:
            if protocol in offered:
                return protocol
        return SSL.NO_OVERLAPPING_PROTOCOLS

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """
        For ``TLSMemoryBIOFactory``: what a client gets that names no host.

        :param protocol: :class:`~apigw.web.handshake.ServerTls`; the factory makes it the connection's.
        """
        protocol.auth = self.auths.default
        return SSL.Connection(self._default.contexts[self.auths.default], None)

    def _named(self, connection: SSL.Connection) -> None:
        """The client has named a host."""
        given = connection.get_servername()
        if given is None:
            return
        name = given.decode("latin-1").lower().rstrip(".")
        auth = self.auths.of(name)
        shown = self._exact.get(name) or self._wild.get(name[name.find(".") :]) or self._default
        context = shown.contexts.get(auth)
        if context is None:
            context = shown.contexts[auth] = self._context(shown.pair, auth, self._found.authorities)
        connection.set_context(context)
        # What the connection took of its first context stays in force otherwise (SSL_set_SSL_CTX).
        connection.set_verify(VERIFY[auth.mode])
        connection.get_app_data().auth = auth
