"""Which peers an upstream has: those of the configuration, which stay, and those that sources find."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from apigw.upstream.discovery.source import Found
from apigw.upstream.peer import Peer
from apigw.upstream.upstream import Upstream


class Registry:
    """
    Compares new lists with the peers there are. A peer that stays keeps its connections, its breaker and what is known
    of its health; one that goes drains: no request goes there any more, and those under way end as they would.

    :param fixed: peers that are there until :meth:`fix` says otherwise.
    :param make: a new peer for an address.
    :param dropped: told of each peer that has gone.
    """

    def __init__(
        self,
        upstream: Upstream,
        fixed: Sequence[Peer],
        make: Callable[[Found], Peer],
        dropped: Callable[[Peer], object],
    ) -> None:
        self._upstream = upstream
        self.fixed = tuple(fixed)
        self._make = make
        self._dropped = dropped
        self._lists: dict[object, Sequence[Found]] = {}
        self._peers: dict[object, Peer] = {}
        upstream.replace(self.fixed)

    def fix(self, peers: Sequence[Peer]) -> None:
        """Have these instead of those that were there before any was found."""
        before, self.fixed = self.fixed, tuple(peers)
        wanted = self._wanted(self._lists)
        found = {key: self._peers.get(key) or self._make(one) for key, one in wanted.items()}
        gone = [*before, *self._peers.values()]
        self._peers = found
        self._upstream.replace([*self.fixed, *found.values()])
        for peer in set(gone) - set(self._upstream.peers):
            self._dropped(peer)
        self._upstream.freed()

    def changed(self, source: object, found: Sequence[Found]) -> None:
        """
        All that one source has found; the lists of others stay as they are.

        :param source: hashable, stands for the source.

        Whatever ``make`` raises is raised, and nothing has changed then.
        """
        lists = {**self._lists, source: found}
        wanted = self._wanted(lists)
        peers = {key: self._peers.get(key) or self._make(one) for key, one in wanted.items()}
        before, self._lists, self._peers = self._peers, lists, peers
        for key, one in wanted.items():
            peers[key].candidate.weight = one.weight
        self._upstream.replace([*self.fixed, *peers.values()])
        for key, peer in before.items():
            if key not in peers:
                self._dropped(peer)
        for key in peers:
            if key not in before:
                self._upstream.freed()  # one that waits for a connection may find it here

    def _wanted(self, lists: dict[object, Sequence[Found]]) -> dict[object, Found]:
        """
        :return: by what makes them the same peer; each address once, for peers are told apart by it in logs, metrics
            and cookies: what is fixed comes first, then one that is no backup.
        """
        taken = {peer.label for peer in self.fixed}
        wanted: dict[object, Found] = {}
        for one in sorted((one for found in lists.values() for one in found), key=lambda one: one.backup):
            if one.label not in taken:
                taken.add(one.label)
                wanted[one.key] = one
        return wanted
