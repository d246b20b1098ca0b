"""The section about stages that come from elsewhere: what they are called, and what they are made of."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from inspect import Parameter, signature
from typing import Any

from attrs import frozen

from apigw.config.kind import Kind, list_of
from apigw.config.names import parse_name
from apigw.config.option import OTHERS, option
from apigw.config.problems import did_you_mean
from apigw.config.units import SWITCH

_USE = re.compile(r"([A-Za-z_][\w.]*):([A-Za-z_]\w*)").fullmatch

STAGES: Kind[tuple[str, ...]] = list_of(Kind("name", parse_name), "names of `[stage:NAME]` sections", at_least=1)

ARGUMENT: Kind[Any] = Kind("text", str, lines=True)
"""Of one argument; the option holds the names and values of all."""


def find(use: str) -> Callable[..., Any]:
    """
    :param use: ``module:name``.
    :raises ValueError: there is nothing of that name, or nothing that could be called.
    """
    match = _USE(use)
    if match is None:
        raise ValueError(f"{use!r} is not module:name, write for example acme_geo.stages:Country")
    module, name = match.groups()
    try:
        found = getattr(import_module(module), name, None)
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise ValueError(f"{module} can't be imported ({said}), install it or add its folder to PYTHONPATH") from None
    if found is None:
        there = [one for one, value in vars(import_module(module)).items() if isinstance(value, type)]
        raise ValueError(f"{module} has no {name}{did_you_mean(name, there)}")
    if not callable(found):
        raise ValueError(f"{use} is a {type(found).__name__}, name a class of stages or a function that makes one")
    return found  # type: ignore[no-any-return]


def _parse_use(text: str) -> str:
    find(text)
    return text


_READERS: Mapping[str, Callable[[str], object]] = {"int": int, "float": float, "bool": SWITCH.parse}


@frozen
class StageSection:
    """
    A stage from a package of yours, for the routes that name it in `stages`. Its other keys are arguments: a key
    `database` is the parameter `database` of what `use` names. docs/extending.md tells how to write one.
    """

    name: str
    use: str = option(
        Kind("`module:name`", _parse_use),
        example="apigw.extension:Stage",
        help="What is called to make the stage. The module is imported when the configuration is read.",
    )
    given: tuple[tuple[str, str], ...] = option(
        ARGUMENT,
        key=OTHERS,
        default=(),
        unset="what the parameters have by themselves",
        example="value",
        help="An argument. A parameter that is annotated as `int`, `float` or `bool` gets that.",
    )

    def arguments(self) -> dict[str, object]:
        """
        What the stage is made with.

        :raises ValueError: by what is wrong with an argument, in :meth:`problems` told too.
        """
        return {key: self._read(key, text) for key, text in self.given}

    def problems(self) -> Iterator[tuple[str, str]]:
        """:return: keys and messages."""
        parameters = self._parameters()
        if parameters is None:
            return
        known = [name for name, one in parameters.items() if one.kind not in _MANY]
        open_ended = any(one.kind is Parameter.VAR_KEYWORD for one in parameters.values())
        given = dict(self.given)
        for key in given:
            if key not in known and not open_ended:
                there = f", there are {', '.join(known)}" if known else ", it takes none"
                yield key, f"{self.use} has no such parameter{did_you_mean(key, known) or there}"
                continue
            try:
                self._read(key, given[key])
            except ValueError as error:
                yield key, str(error)
        for name in known:
            if name not in given and parameters[name].default is Parameter.empty:
                yield "use", f"{self.use} needs {name}, write for example {name} = value"

    def _parameters(self) -> Mapping[str, Parameter] | None:
        """None where nobody knows, as for what is written in C."""
        try:
            return signature(find(self.use)).parameters
        except (TypeError, ValueError):
            return None

    def _read(self, key: str, text: str) -> object:
        parameters = self._parameters() or {}
        annotation = parameters[key].annotation if key in parameters else str
        kind = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
        read = _READERS.get(kind)
        if read is None:
            return text
        try:
            return read(text)
        except ValueError as error:
            said = str(error) if kind == "bool" else f"{text!r} is not of the type {kind}"
            raise ValueError(said) from None


_MANY = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
