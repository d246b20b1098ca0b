"""What GraphQL requests may ask for: bounds on documents, and who may use which fields."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING

from attrs import field, frozen

from apigw.policy.graphql.asked import Asked
from apigw.policy.graphql.refused import Refused, over

if TYPE_CHECKING:
    from apigw.policy.graphql.document import Document, Operation

KEPT = 100_000
"""Selections of all documents that are remembered: some 25 MiB at most."""

ROOTS = {"query": "Query", "mutation": "Mutation", "subscription": "Subscription"}

INTROSPECTION_LISTS = 2
"""Source: graphql-js, MaxIntrospectionDepthRule."""


@frozen
class FieldRoles:
    """
    One of the roles is needed.

    :ivar type: ``Query``, ``Mutation`` or ``Subscription`` for a field that an operation begins with; ``*`` for a field
        anywhere.
    :ivar name: of the field, ``*`` for all.
    """

    type: str
    name: str
    roles: tuple[str, ...]


@frozen
class Rules:
    """
    What is allowed at most.

    :ivar depth: fields inside each other. :ivar cost: see :meth:`~apigw.policy.graphql.document.Operation.cost`; for a
        batch in all.
    :ivar length: bytes of a document.
    :ivar batch: operations in a batch, 0 for no batches.
    :ivar introspection: True, False, or roles of which one is needed.
    :ivar apq: a document may be named by its hash, once it was seen.
    :ivar only: the documents that there are, by name and by SHA-256; None for any.
    """

    depth: int = 10
    cost: int = 5000
    aliases: int = 15
    duplicates: int = 15
    directives: int = 20
    tokens: int = 1000
    length: int = 32 * 1024
    batch: int = 0
    introspection: bool | frozenset[str] = False
    fields: tuple[FieldRoles, ...] = ()
    apq: bool = False
    only: Mapping[str, str] | None = None


@frozen
class Judged:
    """
    What a request asks for, once it is known that it may.

    :ivar name: of the operation, empty for none.
    :ivar kind: ``query``, ``mutation`` or ``subscription``; ``batch`` for several.
    :ivar queries: for each operation the document that the service doesn't know and that has to be put in; None where
        there is nothing to put in.
    """

    name: str
    kind: str
    cost: int
    queries: tuple[str | None, ...] = field(default=(None,), repr=False)


class Firewall:
    """
    Judges requests; remembers what documents ask for.

    :param kept: selections of all documents together that are remembered.
    """

    def __init__(self, rules: Rules, kept: int = KEPT) -> None:
        self.rules = rules
        self._kept = kept
        self._size = 0
        self._documents: OrderedDict[str, Document] = OrderedDict()
        self._texts = {} if rules.only is None else {digest(text): text for text in rules.only.values()}

    def judge(self, asked: Asked | list[Asked], roles: Collection[str] | None, reads: bool = False) -> Judged:
        """
        :param roles: of who asks, None for a guest.
        :param reads: nothing but queries may be asked for, for the method is safe.
        :raises Refused: it may not be.
        """
        try:
            if isinstance(asked, list):
                return self._batch(asked, roles)
            judged = self._one(asked, roles, reads)
        except RecursionError:
            raise over("depth", "The document is nested too deeply.") from None
        self._check_cost(judged.cost)
        return judged

    def _batch(self, asked: list[Asked], roles: Collection[str] | None) -> Judged:
        most = self.rules.batch
        if not most:
            raise Refused("batch", "Batches are not allowed.")
        if len(asked) > most:
            raise Refused("batch", f"A batch may have {most} operations.")
        judged = [self._one(one, roles, False) for one in asked]
        cost = sum(one.cost for one in judged)
        self._check_cost(cost)
        if len(judged) == 1:
            return judged[0]
        return Judged("", "batch", cost, tuple(one.queries[0] for one in judged))

    def _check_cost(self, cost: int) -> None:
        if cost > self.rules.cost:
            raise over("cost", f"The request costs {cost}, and may cost {self.rules.cost}.")

    def _one(self, asked: Asked, roles: Collection[str] | None, reads: bool) -> Judged:
        document, put_in = self._document(asked)
        operation = document.chosen(asked.operation)
        if reads and operation.kind == "mutation":
            raise Refused("safe-method", "A mutation is asked for by POST.", status=405)
        self._check(document, operation)
        self._check_roles(document, operation, roles)
        return Judged(operation.name, operation.kind, operation.cost(asked.variables), (put_in,))

    # -- the document --------------------------------------------------------------------------------------------------

    def _document(self, asked: Asked) -> tuple[Document, str | None]:
        """:return: the document, and its text if the service has to be told."""
        text = asked.query
        if self.rules.only is not None:
            return self._listed(asked)
        if asked.id and not (asked.hashed and self.rules.apq):
            raise Refused(
                "persisted",
                "PersistedQueryNotSupported",
                well_formed=True,
                legacy="PERSISTED_QUERY_NOT_SUPPORTED",
            )
        if text is None:
            known = self._known(asked.id)
            if known is None:
                raise Refused(
                    "persisted", "PersistedQueryNotFound", well_formed=True, legacy="PERSISTED_QUERY_NOT_FOUND"
                )
            return known, None
        key = digest(text)
        if asked.id and asked.id != key:
            raise Refused("persisted", "The hash is not that of the query.")
        return self._known(key) or self._read(key, text), None

    def _listed(self, asked: Asked) -> tuple[Document, str | None]:
        assert self.rules.only is not None
        if asked.query is not None:
            key = digest(asked.query)
            if asked.id and key not in (asked.id, digest(self.rules.only.get(asked.id, ""))):
                raise Refused("persisted", "The name is not that of the query.")
            put_in = None
        else:
            text = self.rules.only.get(asked.id)
            key = asked.id if text is None else digest(text)
            put_in = self._texts.get(key)
        if key not in self._texts:
            raise over("persisted", "The query is not one of those allowed.")
        return self._known(key) or self._read(key, self._texts[key]), put_in

    def _known(self, key: str) -> Document | None:
        document = self._documents.get(key)
        if document is not None:
            self._documents.move_to_end(key)
        return document

    def _read(self, key: str, text: str) -> Document:
        from apigw.policy.graphql.document import read  # graphql-core need not be installed

        if len(text.encode()) > self.rules.length:
            raise over("length", f"The document is longer than {self.rules.length} bytes.")
        document = read(text, self.rules.tokens)
        self._documents[key] = document
        self._size += document.size
        while self._size > self._kept and len(self._documents) > 1:
            self._size -= self._documents.popitem(last=False)[1].size
        return document

    # -- the rules -----------------------------------------------------------------------------------------------------

    def _check(self, document: Document, operation: Operation) -> None:
        rules, selection = self.rules, operation.selection
        for rule, found, most, what in (
            ("depth", selection.depth, rules.depth, "fields inside each other"),
            ("aliases", selection.aliases, rules.aliases, "aliases"),
            ("duplicates", document.duplicates, rules.duplicates, "fields more than once"),
            ("directives", document.directives, rules.directives, "directives"),
        ):
            if found > most:
                raise over(rule, f"The document has more than {most} {what}.")
        if selection.introspected > INTROSPECTION_LISTS:
            raise over("introspection", "The introspection is nested too deeply.")

    def _check_roles(self, document: Document, operation: Operation, roles: Collection[str] | None) -> None:
        rules = self.rules
        if document.introspects and rules.introspection is not True:
            if rules.introspection is False:
                raise over("introspection", "Introspection is not allowed.")
            self._need("introspection", roles, rules.introspection, "Introspection")
        root = ROOTS[operation.kind]
        for one in rules.fields:
            if one.type == "*":
                there = one.name in document.names
            else:
                there = one.type == root and (one.name == "*" or one.name in operation.roots)
            if there:
                self._need("forbidden", roles, one.roles, f"{one.type}.{one.name}")

    @staticmethod
    def _need(rule: str, roles: Collection[str] | None, needed: Collection[str], what: str) -> None:
        if roles is None or not set(roles) & set(needed):
            raise Refused(rule, f"{what} needs a role.", status=401 if roles is None else 403)


def digest(text: str) -> str:
    """SHA-256 in hexadecimal digits, as APQ names documents."""
    return sha256(text.encode()).hexdigest()
