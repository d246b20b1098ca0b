"""
How the model declares its options: each once, with all that the loader, the documentation and ``--show`` need.

A section is a frozen attrs class. Its options are attributes made by :func:`option`; options that share a prefix, such
as ``timeout.connect``, are a class of their own, held by a :func:`group`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, TypeVar, cast, overload

from attrs import NOTHING, evolve, field, fields, frozen

from apigw.config.kind import Kind
from apigw.config.names import spelled

T = TypeVar("T")
D = TypeVar("D")

_OPTION = "apigw.option"
_GROUP = "apigw.group"
_SECTION = "apigw.section"

OTHERS = "*"
"""The key of an option that holds the keys which no other option has, each with its value."""


@frozen
class Variable:
    """
    An environment variable of the founding system that an option takes its value from where the file says nothing.

    :ivar name: ``{NAME}`` in it stands for the section's name.
    :ivar parse: from the variable's text to the option's value; as :attr:`Kind.parse`.
    """

    name: str
    parse: Callable[[str], Any]

    @property
    def each(self) -> bool:
        """Each section has its own."""
        return "{NAME}" in self.name

    def spelled_for(self, section: str) -> str:
        """The variable of the section of that name."""
        return self.name.replace("{NAME}", spelled(section))


@frozen(kw_only=True)
class Option:
    """
    :ivar key: as in the INI file.
    :ivar path: attribute names from the section to the value.
    :ivar default: ``NOTHING`` where the option must be given; None where leaving it out has a meaning of its own.
    :ivar unset: that meaning, for the documentation.
    :ivar help: what it does, a sentence or two; Markdown.
    :ivar example: a value as text, needed where there is no default to show.
    :ivar refers_to: the kind of section whose name the value is, or, of a list, the ``service`` of each item.
    :ivar usual: the reference file has the example as its value, although it may be left out.
    """

    kind: Kind[Any]
    default: Any
    help: str
    key: str = ""
    path: tuple[str, ...] = ()
    example: str = ""
    unset: str = ""
    variable: Variable | None = None
    refers_to: str = ""
    usual: bool = False

    @property
    def required(self) -> bool:
        return self.default is NOTHING

    @property
    def sample(self) -> str:
        """Text that would be right."""
        return self.example or str(self.kind.render(self.default))

    def referred(self, value: Any) -> tuple[str, ...]:
        """The names of sections in a value of an option that refers to some."""
        if value is None:
            return ()
        return (value,) if isinstance(value, str) else tuple(item.service for item in value)

    def of(self, section: object) -> Any:
        """The value in ``section``."""
        for name in self.path:
            section = getattr(section, name)
        return section


@overload
def option(kind: Kind[T], *, help: str, **more: Any) -> T: ...
@overload
def option(kind: Kind[T], *, help: str, default: D, **more: Any) -> T | D: ...
def option(kind: Kind[Any], *, help: str, default: Any = NOTHING, **more: Any) -> Any:
    """
    Declare an option.

    :param more: see :class:`Option`; ``key`` is the attribute's name unless it is given here.
    """
    declared = Option(kind=kind, help=help, default=default, **more)
    return field(default=default, metadata={_OPTION: declared})


def group(cls: type[T]) -> T:
    """Declare options whose keys begin with the attribute's name and a dot; ``cls`` holds them."""
    made: T = field(factory=cls, metadata={_GROUP: cls})
    return made


@cache
def options(cls: type) -> Mapping[str, Option]:
    """The options of a section or a group, by key, in the order of their declaration."""
    found: dict[str, Option] = {}
    for attribute in fields(cast(Any, cls)):
        declared: Option | None = attribute.metadata.get(_OPTION)
        inner: type | None = attribute.metadata.get(_GROUP)
        if declared is not None:
            key = declared.key or attribute.name
            found[key] = evolve(declared, key=key, path=(attribute.name,))
        elif inner is not None:
            for key, below in options(inner).items():
                key = f"{attribute.name}.{key}"
                found[key] = evolve(below, key=key, path=(attribute.name, *below.path))
    return found


@frozen
class SectionKind:
    """
    :ivar kind: what stands in the brackets, before the colon where there is one.
    :ivar attribute: of the configuration.
    :ivar cls: the class of its values; its docstring is its documentation.
    :ivar example: a name for one of them, where there may be several: ``[service:NAME]``.
    :ivar optional: without it the configuration holds None.
    """

    kind: str
    attribute: str
    cls: type
    example: str
    optional: bool = False

    @property
    def named(self) -> bool:
        return bool(self.example)

    @property
    def options(self) -> Mapping[str, Option]:
        return options(self.cls)

    def values(self, section: object) -> Iterator[tuple[Option, Any]]:
        """Each option with its value in ``section``."""
        for option in self.options.values():
            value = option.of(section)
            if option.key == OTHERS:
                yield from ((evolve(option, key=key), text) for key, text in value)
            else:
                yield option, value

    def option(self, key: str) -> Option | None:
        """What a key is."""
        return self.options.get(key) or self.options.get(OTHERS)

    @property
    def heading(self) -> str:
        return f"[{self.kind}:NAME]" if self.named else f"[{self.kind}]"


def section(kind: str, cls: type[T]) -> T:
    """Declare a kind of section of which there is one, with its defaults where the file has none."""
    made: T = field(factory=cls, metadata={_SECTION: (kind, cls, "")})
    return made


def optional_section(kind: str, cls: type[T]) -> T | None:
    """Declare a kind of section of which there may be one; what it is for is off where the file has none."""
    made: T | None = field(default=None, metadata={_SECTION: (kind, cls, "")})
    return made


def sections(kind: str, cls: type[T], example: str) -> tuple[T, ...]:
    """Declare a kind of section of which there may be several; ``cls`` has a ``name``, for example ``example``."""
    made: tuple[T, ...] = field(default=(), metadata={_SECTION: (kind, cls, example)})
    return made


@cache
def section_kinds(cls: type) -> Mapping[str, SectionKind]:
    """The kinds of sections of a configuration, in the order of their declaration."""
    found: dict[str, SectionKind] = {}
    for attribute in fields(cast(Any, cls)):
        declared: tuple[str, type, str] | None = attribute.metadata.get(_SECTION)
        if declared is not None:
            kind, inner, example = declared
            optional = attribute.default is None
            found[kind] = SectionKind(kind, attribute.name, inner, example, optional)
    return found


def build(cls: type[T], values: Mapping[tuple[str, ...], Any], **more: Any) -> T:
    """
    Make a section.

    :param values: by :attr:`Option.path`; what isn't there gets its default.
    :param more: attributes that are no options.
    """
    arguments = dict(more)
    for attribute in fields(cast(Any, cls)):
        inner: type | None = attribute.metadata.get(_GROUP)
        if inner is not None:
            arguments[attribute.name] = build(
                inner, {path[1:]: v for path, v in values.items() if path[0] == attribute.name}
            )
        elif (attribute.name,) in values:
            arguments[attribute.name] = values[attribute.name,]
    return cls(**arguments)
