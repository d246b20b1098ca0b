"""
What a document asks for, read once for all the requests that have it.

What a fragment asks for is found once, however often it is spread, so that the time is that of the document's length:
fragments that double from one to the next cost no more than others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import define, field, frozen
from graphql.error import GraphQLSyntaxError
from graphql.language import parse
from graphql.language.ast import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    StringValueNode,
    ValueNode,
    VariableNode,
)
from graphql.utilities import value_from_ast_untyped

from apigw.policy.graphql.refused import over

MULTIPLIERS = frozenset(("first", "last", "limit"))
"""Arguments by which lists are cut."""

MANY = 10**9
"""What is more counts as this."""

HUGE = 10**15
"""The most that anything costs."""

INTROSPECTION = frozenset(("__schema", "__type"))

SUBGRAPH = "_service"
"""By it a service that is a part of a federated graph tells its schema."""

LISTS = frozenset(("fields", "interfaces", "possibleTypes", "inputFields"))
"""
Lists of introspection that lead back to types.

Source: graphql-js, MaxIntrospectionDepthRule, which lets two of them stand inside each other.
"""

_OF_ITSELF = 5
"""Selections whose memory a document takes besides that of its own; one takes some 230 bytes."""

_NESTED = 8
"""Objects and lists inside each other that are searched for multipliers."""

Variables = Mapping[str, Any]


@define(eq=False)
class Selection:
    """
    What a selection set asks for, with all that is in it.

    :ivar fixed: the cost of what depends on no variable.
    :ivar scaled: what does: a factor, variables that give another (and whether it is their value, or stands in it).
    :ivar depth: fields inside each other; introspection counts as one.
    :ivar lists: :data:`LISTS` inside each other.
    :ivar introspected: ``lists`` below ``__schema`` and ``__type``.
    """

    fixed: int = 0
    scaled: list[tuple[int, tuple[tuple[str, bool], ...], Selection]] = field(factory=list)
    depth: int = 0
    aliases: int = 0
    lists: int = 0
    introspected: int = 0

    def add(self, other: Selection, factor: int = 1, variables: tuple[tuple[str, bool], ...] = ()) -> None:
        """Add the cost of something inside."""
        if variables or other.scaled:
            self.scaled.append((factor, variables, other))
        else:
            self.fixed = min(self.fixed + factor * other.fixed, HUGE)

    def merge(self, other: Selection) -> None:
        """Add a fragment: its fields are ours."""
        self.add(other)
        self.depth = max(self.depth, other.depth)
        self.aliases = min(self.aliases + other.aliases, HUGE)
        self.lists = max(self.lists, other.lists)
        self.introspected = max(self.introspected, other.introspected)

    def below(self, name: str, other: Selection) -> None:
        """Add what stands below a field of ours."""
        if name in INTROSPECTION:
            self.introspected = max(self.introspected, other.lists)
        else:
            self.depth = max(self.depth, 1 + other.depth)
            self.introspected = max(self.introspected, other.introspected)
        self.aliases = min(self.aliases + other.aliases, HUGE)
        self.lists = max(self.lists, other.lists + (name in LISTS))


@frozen(eq=False)
class Operation:
    """
    :ivar kind: ``query``, ``mutation`` or ``subscription``.
    :ivar name: empty for none.
    :ivar roots: names of the fields that it begins with.
    :ivar defaults: of its variables.
    """

    kind: str
    name: str
    selection: Selection
    roots: frozenset[str]
    defaults: Variables

    def cost(self, given: Variables) -> int:
        """
        One for each field, as often as the lists have items that it stands in.

        :param given: the request's variables.
        """
        variables = {**self.defaults, **given}
        known: dict[int, int] = {}
        amounts: dict[tuple[str, bool], int] = {}

        def amount(variable: tuple[str, bool]) -> int:
            if variable not in amounts:
                name, itself = variable
                value = variables.get(name)
                amounts[variable] = _whole(value) if itself else _largest(value)
            return amounts[variable]

        def total(selection: Selection) -> int:
            there = known.get(id(selection))
            if there is None:
                there = selection.fixed
                for factor, names, other in selection.scaled:
                    most = max([factor, *map(amount, names)])
                    there = min(there + most * total(other), HUGE)
                known[id(selection)] = there
            return there

        return total(self.selection)


@frozen(eq=False)
class Document:
    """
    :ivar operations: by name; one without a name has the empty one.
    :ivar names: of all fields in it.
    :ivar directives: in all of it, for they cost time before anything is executed.
    :ivar duplicates: fields and spreads that stand in one selection set with another of the same name in the answer.
    :ivar size: selections in it, as a measure of the memory that it takes.
    """

    operations: Mapping[str, Operation]
    names: frozenset[str]
    directives: int
    duplicates: int
    size: int

    @property
    def introspects(self) -> bool:
        return not self.names.isdisjoint(INTROSPECTION) or SUBGRAPH in self.names

    def chosen(self, name: str | None) -> Operation:
        """
        The operation that a request means.

        :param name: as the request has it. Servers differ in whether an empty one is none, so one that counts both
            ways is chosen, or none at all.
        :raises Refused: there is none.
        """
        operations = self.operations
        if not name:
            if len(operations) != 1:
                raise over("operation", "The document has several operations, and the request doesn't say which.")
            return next(iter(operations.values()))
        found = operations.get(name)
        if found is None:
            raise over("operation", "The document has no operation of that name.")
        return found


def read(text: str, max_tokens: int) -> Document:
    """
    :raises Refused: it isn't one, or has more tokens, or fragments that contain themselves.
    """
    try:
        tree = parse(text, no_location=True, max_tokens=max_tokens)
        return _Reading(tree.definitions).document()
    except GraphQLSyntaxError as error:
        if "tokens" in error.message and str(max_tokens) in error.message:
            raise over("tokens", f"The document has more than {max_tokens} tokens.") from None
        raise over("syntax", error.message) from None
    except RecursionError:
        raise over("depth", "The document is nested too deeply.") from None


class _Reading:
    def __init__(self, definitions: tuple[Any, ...]) -> None:
        self._fragments: dict[str, FragmentDefinitionNode] = {}
        self._operations: list[OperationDefinitionNode] = []
        self._read: dict[str, Selection | None] = {}
        self._names: set[str] = set()
        self._directives = 0
        self._duplicates = 0
        self._size = 0
        for definition in definitions:
            if isinstance(definition, OperationDefinitionNode):
                self._operations.append(definition)
            elif isinstance(definition, FragmentDefinitionNode):
                if definition.name.value in self._fragments:
                    raise over("syntax", "Two fragments have the same name.")
                self._fragments[definition.name.value] = definition
            else:
                raise over("syntax", "The document holds definitions that can't be executed.")

    def document(self) -> Document:
        made: dict[str, tuple[OperationDefinitionNode, Selection]] = {}
        for node in self._operations:
            name = node.name.value if node.name else ""
            if name in made or (made and (not name or "" in made)):
                raise over("syntax", "Two operations have the same name, or one has none.")
            self._directives += len(node.directives or ())
            for variable in node.variable_definitions or ():
                self._directives += len(variable.directives or ())
            made[name] = (node, self._selection(node.selection_set))
        if not made:
            raise over("syntax", "The document has no operation.")
        for name in self._fragments:
            self._fragment(name)
        operations = {
            name: Operation(
                node.operation.value,
                name,
                selection,
                self._roots(node),
                {
                    variable.variable.name.value: value_from_ast_untyped(variable.default_value)
                    for variable in node.variable_definitions or ()
                    if variable.default_value is not None
                },
            )
            for name, (node, selection) in made.items()
        }
        return Document(operations, frozenset(self._names), self._directives, self._duplicates, self._size + _OF_ITSELF)

    def _roots(self, operation: OperationDefinitionNode) -> frozenset[str]:
        found: set[str] = set()
        spread: set[str] = set()
        sets = [operation.selection_set]
        while sets:
            for child in sets.pop().selections:
                if isinstance(child, FieldNode):
                    found.add(child.name.value)
                elif isinstance(child, InlineFragmentNode):
                    sets.append(child.selection_set)
                elif isinstance(child, FragmentSpreadNode) and child.name.value not in spread:
                    spread.add(child.name.value)
                    sets.append(self._fragments[child.name.value].selection_set)
        return frozenset(found)

    def _fragment(self, name: str) -> Selection:
        if name in self._read:
            known = self._read[name]
            if known is None:
                raise over("cycle", "A fragment contains itself.")
            return known
        node = self._fragments.get(name)
        if node is None:
            raise over("syntax", "A fragment is spread that the document doesn't have.")
        self._read[name] = None
        self._directives += len(node.directives or ())
        made = self._read[name] = self._selection(node.selection_set)
        return made

    def _selection(self, node: SelectionSetNode) -> Selection:
        made = Selection()
        seen: set[str] = set()
        for child in node.selections:
            self._size += 1
            self._directives += len(child.directives or ())
            if isinstance(child, FieldNode):
                key = child.alias.value if child.alias else child.name.value
                self._field(made, child)
            elif isinstance(child, FragmentSpreadNode):
                key = "..." + child.name.value
                made.merge(self._fragment(child.name.value))
            else:
                assert isinstance(child, InlineFragmentNode)
                made.merge(self._selection(child.selection_set))
                continue
            self._duplicates += key in seen
            seen.add(key)
        return made

    def _field(self, made: Selection, node: FieldNode) -> None:
        name = node.name.value
        made.fixed += 1
        made.aliases += node.alias is not None
        made.depth = max(made.depth, 1)
        self._names.add(name)
        if node.selection_set is None:
            made.lists = max(made.lists, int(name in LISTS))
            return
        below = self._selection(node.selection_set)
        factor, variables = 1, []
        for argument in node.arguments or ():
            for found in _multipliers(argument.name.value, argument.value, 0):
                if isinstance(found, int):
                    factor = max(factor, found)
                else:
                    variables.append(found)
        made.add(below, factor, tuple(dict.fromkeys(variables)))
        made.below(name, below)


def _multipliers(name: str, value: ValueNode, level: int) -> Iterator[int | tuple[str, bool]]:
    """Numbers, and variables that have or hold one."""
    cuts = name in MULTIPLIERS
    if isinstance(value, VariableNode):
        yield value.name.value, cuts
    elif cuts and isinstance(value, IntValueNode | StringValueNode):
        yield _whole(value.value)
    elif level < _NESTED and isinstance(value, ObjectValueNode):
        for inner in value.fields:
            yield from _multipliers(inner.name.value, inner.value, level + 1)
    elif level < _NESTED and isinstance(value, ListValueNode):
        for item in value.values:
            yield from _multipliers("", item, level + 1)


def _whole(value: Any) -> int:
    """What a service could take for a number of items; 1 for what is none."""
    if isinstance(value, str):
        digits = value.strip().lstrip("+-")
        if not (digits.isascii() and digits.isdigit()):
            return 1
        value = int(digits) if len(digits) < 10 else MANY
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 1
    return int(min(max(abs(value), 1), MANY))


def _largest(value: Any) -> int:
    """The largest number of a multiplier in the value of a variable."""
    most, level, values = 1, 0, [value]
    while values and level < _NESTED:
        inside: list[Any] = []
        for one in values:
            if isinstance(one, dict):
                most = max([most, *(_whole(item) for name, item in one.items() if name in MULTIPLIERS)])
                inside += one.values()
            elif isinstance(one, list):
                inside += one
        values, level = inside, level + 1
    return most
