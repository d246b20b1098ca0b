"""The environment's ``APIGW__SECTION__KEY`` variables, which override any key of a section that is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from apigw.config.draft import unknown_key
from apigw.config.names import spelled
from apigw.config.option import SectionKind
from apigw.config.problems import ConfigError, Origin, did_you_mean

PREFIX = "APIGW__"


class Overrides:
    """
    Names are compared without case; what isn't a letter or a digit in a section or a key is ``_`` in a variable.

    :param environ: all of it.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._variables: dict[str, list[str]] = {}
        for variable in sorted(environ):
            if variable.upper().startswith(PREFIX):
                self._variables.setdefault(variable.upper(), []).append(variable)

    def get(self, header: str, key: str) -> tuple[str, str] | None:
        """:return: variable and value."""
        variables = self._variables.get(f"{PREFIX}{spelled(header)}__{spelled(key)}")
        return (variables[0], self._environ[variables[0]]) if variables else None

    def problems(self, sections: Mapping[str, SectionKind]) -> Iterator[ConfigError]:
        """
        What is wrong with their names.

        :param sections: all that there are, by header.
        """
        for upper, variables in self._variables.items():
            origin = Origin(variable=variables[0])
            if len(variables) > 1:
                yield ConfigError(origin, "", "", f"is set as {variables[1]} too, unset one of the two")
            # A name may hold two underscores in a row, so each way to cut the variable in two is tried.
            rest = upper.removeprefix(PREFIX)
            cuts = [(rest[:i], rest[i + 2 :]) for i in range(1, len(rest) - 2) if rest.startswith("__", i)]
            meant = [(header, key) for section, key in cuts for header in sections if spelled(header) == section]
            if not cuts:
                yield ConfigError(origin, "", "", f"names no section and key, write {PREFIX}SECTION__KEY")
            elif not meant:
                close = did_you_mean(cuts[0][0], map(spelled, sections))
                hint = close or "; a variable only changes sections that are there"
                yield ConfigError(origin, "", "", f"no section is spelled {cuts[0][0]}{hint}")
            else:
                yield from self._key_problem(origin, [(header, sections[header], key) for header, key in meant])

    @staticmethod
    def _key_problem(origin: Origin, meant: list[tuple[str, SectionKind, str]]) -> Iterator[ConfigError]:
        hits = [header for header, kind, key in meant if key in map(spelled, kind.options)]
        if len(hits) > 1:
            yield ConfigError(origin, "", "", f"may mean {' or '.join(f'[{h}]' for h in hits)}, rename one of the two")
        elif not hits:
            header, kind, key = meant[0]
            known = {spelled(known): known for known in kind.options}
            key = known.get(key, key.lower())
            yield ConfigError(origin, header, key, unknown_key(kind, key))
