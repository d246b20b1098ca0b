"""The only reader of INI files and the environment: from their text to a configuration, or to all that is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import NOTHING, evolve

from apigw.config import founding
from apigw.config.checks import Found, check
from apigw.config.discovering import DiscoverySection
from apigw.config.draft import KINDS, BlockReader, Draft, Setting, rows_of
from apigw.config.ini import CONTROL, Row, reading
from apigw.config.kind import RowError
from apigw.config.model import GatewayConfig
from apigw.config.names import spelled
from apigw.config.option import OTHERS, Option, SectionKind, build
from apigw.config.overrides import Overrides
from apigw.config.problems import ConfigError, ConfigErrors, Origin
from apigw.config.steps import SOME, Steps, let_go, whole
from apigw.config.substitute import MASK, secret
from apigw.config.versioning import spread


def load(path: str | None, environ: Mapping[str, str]) -> GatewayConfig:
    """
    Read a configuration.

    :param path: of an INI file; None for the environment and the defaults alone.
    :raises ConfigErrors: with everything that is wrong.
    """
    return loads("" if path is None else read_text(path), path or "", environ)


def loads(text: str, name: str, environ: Mapping[str, str]) -> GatewayConfig:
    """As :func:`load`, from the text of a file that errors call ``name``."""
    return whole(loading(text, name, environ))


def loading(text: str, name: str, environ: Mapping[str, str]) -> Steps[GatewayConfig]:
    """As :func:`loads`, in steps of a few milliseconds, for who has other work to do in between."""
    return _Loader(name, environ).load(text)


def read_text(path: str) -> str:
    """
    The text of a file in UTF-8, with or without a byte order mark.

    :raises ConfigErrors: it can't be read.
    """
    data = b""
    line = 0
    try:
        data = Path(path).read_bytes()
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            message = "is UTF-16, save it as UTF-8"
        else:
            line = data.count(b"\n", 0, error.start) + 1
            message = f"holds the byte 0x{data[error.start]:02x}, which is not UTF-8, save the file as UTF-8"
    except IsADirectoryError:
        message = "is a directory, name a file"
    except OSError as error:
        message = f"can't be read: {error.strerror}"
    except ValueError:  # a NUL in the name
        message = "is not a path"
    raise ConfigErrors([ConfigError(Origin(path, line), "", "", message)])


class _Loader:
    """One run; ``_errors`` gathers what is wrong on the way."""

    def __init__(self, file: str, environ: Mapping[str, str]) -> None:
        self._file = file
        self._environ = environ
        self._overrides = Overrides(environ)
        self._errors: list[ConfigError] = []
        self._drafts: dict[str, Draft] = {}
        self._origins: dict[tuple[str, str], Origin] = {}
        self._secrets: dict[tuple[str, str], set[str]] = {}
        self._discovering = True

    def load(self, text: str) -> Steps[GatewayConfig]:
        reader = BlockReader(self._file, self._environ, self._errors.append, self._note_variable)
        found = yield from reading(text, self._file, self._errors.append)
        blocks = spread(found, self._file, self._errors.append)
        for number, block in enumerate(blocks.values()):
            if number % SOME == 0:
                yield
            draft = reader.draft(block)
            if draft is not None:
                self._drafts[draft.header] = draft
        for kind in KINDS.values():
            if not kind.named and (not kind.optional or self._founded(kind)):
                self._drafts.setdefault(kind.kind, Draft(kind, kind.kind, Origin(self._file)))
        discovery = self._build(self._drafts["discovery"])
        if isinstance(discovery, DiscoverySection):
            self._discovering = discovery.environment
        self._imply()
        if isinstance(discovery, DiscoverySection) and discovery.url is not None:
            self._imply_registry()
        sections: dict[str, object | None] = {}
        for number, (header, draft) in enumerate(self._drafts.items()):
            if number % SOME == 0:
                yield
            sections[header] = discovery if header == "discovery" else self._build(draft)
        yield from self._check(sections)
        if self._errors:
            raise ConfigErrors(map(self._mask, self._errors))
        yield
        config = self._whole(sections)
        for done in (self._drafts, found, blocks):
            yield from let_go(done)
        return config

    def _founded(self, kind: SectionKind) -> bool:
        """Whether a founding variable speaks of the section."""
        variables = [option.variable for option in kind.options.values() if option.variable is not None]
        return any(self._environ.get(variable.name, "").strip() for variable in variables)

    def _note_variable(self, header: str, key: str, variable: str) -> None:
        if secret(variable):
            self._secrets.setdefault((header, key), set()).add(self._environ[variable].strip())

    def _mask(self, error: ConfigError) -> ConfigError:
        message = error.message
        values = {value for (header, _), found in self._secrets.items() if header == error.section for value in found}
        for value in sorted(values - {""}, key=len, reverse=True):
            message = message.replace(value, MASK).replace(repr(value)[1:-1], MASK)
        return evolve(error, message=message)

    # -- sections that are not in the file -------------------------------------------------------------------------

    def _imply(self) -> None:
        """Add the services that the environment registers, their routes, and a listener where there is none."""
        if self._discovering:
            for name, variable in founding.services(self._environ).items():
                self._register(name, variable)
        if not any(draft.kind.kind == "listener" for draft in self._drafts.values()):
            self._add("listener:default", Origin(), {})

    def _imply_registry(self) -> None:
        """Let services without addresses have those that the registry knows."""
        origin = self._origins["discovery", "url"]
        for draft in self._of("service"):
            option = draft.kind.options["urls"]
            if "urls" not in draft.broken and self._setting(draft, option) is None:
                draft.settings["urls"] = Setting((Row(f"registry:{draft.name}", 0),), origin, option.kind.parse)

    def _register(self, name: str, variable: str) -> None:
        origin = Origin(variable=variable)
        try:
            if not founding.enabled(variable, self._environ):
                return
        except ValueError as error:
            switch = Origin(variable=founding.switch(variable))
            self._errors.append(ConfigError(switch, f"service:{name}", "", str(error)))
        here = next((d for d in self._of("service") if spelled(d.name) == spelled(name)), None)
        if here is None:
            self._add(f"service:{name}", origin, {})
        elif "urls" in here.settings:
            return  # the file's addresses are in force, and whether they have a route is the file's affair too
        else:
            name = here.name
        if name not in self._named("service"):
            header = f"route:{name}"
            self._add(header if header not in self._drafts else f"{header}-service", origin, founding.route(name))

    def _named(self, kind: str) -> Iterator[str]:
        """The names of sections of a kind that options refer to."""
        for draft in self._drafts.values():
            for option in draft.kind.options.values():
                if option.refers_to == kind and (setting := self._setting(draft, option)) is not None:
                    try:
                        yield from option.referred(setting.parse("\n".join(row.text for row in setting.rows)))
                    except ValueError:
                        continue  # told where all values are read

    def _of(self, kind: str) -> list[Draft]:
        return [draft for draft in self._drafts.values() if draft.kind.kind == kind]

    def _add(self, header: str, origin: Origin, texts: Mapping[str, str]) -> None:
        kind = KINDS[header.partition(":")[0]]
        settings = {key: Setting((Row(text, 0),), origin, kind.options[key].kind.parse) for key, text in texts.items()}
        self._drafts[header] = Draft(kind, header, origin, settings)

    # -- values ----------------------------------------------------------------------------------------------------

    def _build(self, draft: Draft) -> object | None:
        """:return: None where something in it is wrong."""
        self._origins[draft.header, ""] = draft.origin
        before = len(self._errors)
        values: dict[tuple[str, ...], Any] = {}
        for option in draft.kind.options.values():
            value = self._others(draft, option) if option.key == OTHERS else self._value(draft, option)
            if value is not NOTHING:
                values[option.path] = value
        if draft.broken or len(self._errors) > before:
            return None
        name = {"name": draft.name} if draft.kind.named else {}
        section: object = build(draft.kind.cls, values, **name)
        if problems := getattr(section, "problems", None):
            for key, message in problems():
                origin = self._origins.get((draft.header, key), draft.origin)
                self._errors.append(ConfigError(origin, draft.header, key, message))
        return section

    def _value(self, draft: Draft, option: Option) -> Any:
        """:return: ``NOTHING`` for the default, or where there is an error, which has been reported."""
        setting = self._setting(draft, option)
        if setting is not None:
            self._origins[draft.header, option.key] = setting.origin
            return self._parse(draft, option, setting)
        if option.required and option.key not in draft.broken:
            message = f"is missing, write for example {option.key} = {option.example}"
            self._errors.append(ConfigError(draft.origin, draft.header, option.key, message))
        return NOTHING

    def _others(self, draft: Draft, option: Option) -> Any:
        others = [evolve(option, key=key) for key in draft.settings if key not in draft.kind.options]
        return tuple((other.key, self._value(draft, other)) for other in others)

    def _setting(self, draft: Draft, option: Option) -> Setting | None:
        override = self._overrides.get(draft.header, option.key)
        if override is not None:
            draft.broken.discard(option.key)
            variable, text = override
            return Setting(rows_of(text.strip()), Origin(variable=variable), option.kind.parse)
        if option.key in draft.broken or option.key in draft.settings:
            return draft.settings.get(option.key)
        founding_variable = option.variable
        if founding_variable is None or (founding_variable.each and not self._discovering):
            return None
        variable = founding_variable.spelled_for(draft.name)
        text = self._environ.get(variable, "").strip()
        return Setting(rows_of(text), Origin(variable=variable), founding_variable.parse) if text else None

    def _parse(self, draft: Draft, option: Option, setting: Setting) -> Any:
        rows = setting.rows
        line = rows[0].line
        try:
            if not option.kind.lines:
                rows = tuple(row for row in rows if row.text) or rows[:1]
                if len(rows) > 1:
                    line = rows[1].line
                    raise ValueError(f"goes on with {rows[1].text!r}, write one line; a key begins without indentation")
            text = "\n".join(row.text for row in rows)
            if control := CONTROL(text):
                raise ValueError(f"holds the control character {control[0]!r}, remove it")
            value = setting.parse(text)
            return value if option.kind.fill is None else option.kind.fill(value, self._environ)
        except RowError as error:
            line, message = rows[error.row].line, str(error)
        except ValueError as error:
            message = str(error)
        if not any(row.text for row in rows):
            message = f"is empty, write for example {option.key} = {option.sample}"
        origin = evolve(setting.origin, line=line) if setting.origin.file else setting.origin
        self._errors.append(ConfigError(origin, draft.header, option.key, message))
        return NOTHING

    # -- the whole -------------------------------------------------------------------------------------------------

    def _check(self, sections: Mapping[str, object | None]) -> Steps[None]:
        yield
        there = {header: section for header, section in sections.items() if section is not None}
        yield
        names = {kind: {draft.name for draft in self._of(kind)} for kind in KINDS}
        for error in check(Found(there, names, self._origins)):
            if error is None:
                yield
            else:
                self._errors.append(error)
        self._errors.extend(self._overrides.problems({d.header: d.kind for d in self._drafts.values()}))

    def _whole(self, sections: Mapping[str, object | None]) -> GatewayConfig:
        arguments: dict[str, Any] = {
            kind.attribute: tuple(sections[draft.header] for draft in self._of(kind.kind))
            if kind.named
            else sections.get(kind.kind)
            for kind in KINDS.values()
        }
        limits = arguments.get("limits")
        used = None if limits is None else limits.redis_url_env
        unused = tuple(name for name in founding.UNUSED_VARIABLES if self._environ.get(name) and str(used) != name)
        return GatewayConfig(**arguments, origins=self._origins, secrets=frozenset(self._secrets), unused=unused)
