"""The configuration as it is in force, with the origin of each value: what ``--check --show`` prints."""

from __future__ import annotations

from collections.abc import Iterator

from apigw.config.draft import KINDS
from apigw.config.model import GatewayConfig
from apigw.config.option import Option
from apigw.config.problems import DEFAULT
from apigw.config.substitute import MASK


def shown(config: GatewayConfig) -> Iterator[tuple[str, str, str | None, str]]:
    """
    All values that are in force.

    :return: section, key, text (:data:`MASK` for a secret, None where there is no value), origin.
    """
    for kind in KINDS.values():
        held = getattr(config, kind.attribute)
        for section in held if kind.named else (held,) if held is not None else ():
            header = f"{kind.kind}:{section.name}" if kind.named else kind.kind
            for option, value in kind.values(section):
                origin = config.origins.get((header, option.key), DEFAULT)
                yield header, option.key, _text(config, header, option, value), str(origin)


def show(config: GatewayConfig) -> str:
    """
    An INI file that says the same, its values with their origins behind them.

    Values from variables whose names tell of secrets are ``***``.
    """
    lines: list[str] = []
    for kind in KINDS.values():
        held = getattr(config, kind.attribute)
        for section in held if kind.named else (held,) if held is not None else ():
            header = f"{kind.kind}:{section.name}" if kind.named else kind.kind
            lines.append(f"[{header}]")
            for option, value in kind.values(section):
                lines.extend(_option(config, header, option, value))
            lines.append("")
    lines.extend(f"; ${name} is set, but not used by this version" for name in config.unused)
    return "\n".join(lines).rstrip("\n") + "\n"


def _text(config: GatewayConfig, header: str, option: Option, value: object) -> str | None:
    """:return: None where the option isn't given and has no default."""
    if value is None or (value == () and option.unset):
        return None
    return MASK if (header, option.key) in config.secrets else str(option.kind.render(value))


def _option(config: GatewayConfig, header: str, option: Option, value: object) -> Iterator[str]:
    origin = config.origins.get((header, option.key), DEFAULT)
    text = _text(config, header, option, value)
    if text is None:
        yield f"; {option.key}: {option.unset}  ; {origin}"
        return
    first, *more = text.replace("${", "$${").split("\n")
    yield f"{f'{option.key} = {first}'.rstrip()}  ; {origin}"
    for line in more:
        yield f"    {line}"
