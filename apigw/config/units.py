"""Durations, sizes, rates, percentages, numbers and switches: as people write them, and as seconds and bytes inside."""

from __future__ import annotations

import os
import re
from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network, ip_network

from attrs import frozen

from apigw.config.kind import Kind

SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}
BYTES = {"b": 1, "kib": 1024, "mib": 1024**2, "gib": 1024**3}

_NUMBER = r"[0-9]{1,12}(?:\.[0-9]{1,9})?"
_DURATION = re.compile(rf"({_NUMBER})(ms|s|m|h|d)").fullmatch
_SIZE = re.compile(rf"({_NUMBER})\s*([A-Za-z]*)").fullmatch
_RATE = re.compile(r"([0-9]{1,9})/((?:[0-9]{1,9})?)(ms|s|m|h|d)(?:\s+burst\s+([0-9]{1,9}))?").fullmatch
_PERCENT = re.compile(rf"({_NUMBER})%").fullmatch
_INTEGER = re.compile(r"[0-9]{1,12}").fullmatch
_BARE = re.compile(_NUMBER).fullmatch

YES = ("yes", "on", "true")
NO = ("no", "off", "false")


# -- durations -----------------------------------------------------------------------------------------------------


def parse_duration(text: str) -> float:
    """:return: seconds, more than none."""
    match = _DURATION(text)
    if match is None:
        if _BARE(text):
            raise ValueError(f"{text!r} has no unit, write {text}s for seconds or {text}ms for milliseconds")
        if _DURATION(text.lower()):
            raise ValueError(f"{text!r} has its unit in capitals, write {text.lower()}")
        raise ValueError(f"{text!r} is not a duration, write a number with ms, s, m, h or d, such as 30s")
    seconds = float(Decimal(match[1]) * SECONDS[match[2]])
    if not seconds:
        raise ValueError(f"{text!r} is no time at all, write a duration of 1ms or more")
    return seconds


def render_duration(seconds: float) -> str:
    """In the largest unit of which it is a whole number, but seconds up to two minutes."""
    exact = Decimal(repr(seconds))
    units = ["d", "h", "m", "s"] if seconds >= 120 else ["s"]
    for unit in units:
        number = exact / SECONDS[unit]
        if number == number.to_integral_value():
            return f"{number:.0f}{unit}"
    number = exact / SECONDS["ms"]
    return f"{number.normalize():f}ms"


DURATION: Kind[float] = Kind("duration", parse_duration, render_duration)


def parse_milliseconds(text: str) -> float:
    """As the founding variables have durations. :return: seconds."""
    if not _INTEGER(text) or not int(text):
        raise ValueError(f"{text!r} is not a number of milliseconds, such as 30000")
    return int(text) / 1000.0


# -- sizes ---------------------------------------------------------------------------------------------------------


def parse_size(text: str) -> int:
    """:return: bytes."""
    match = _SIZE(text)
    unit = match[2].lower() if match else ""
    if match is None or (unit and unit not in BYTES and unit not in ("k", "m", "g", "kb", "mb", "gb")):
        raise ValueError(f"{text!r} is not a size, write bytes or a number with KiB, MiB or GiB, such as 64KiB")
    if unit and unit not in BYTES:
        letter = unit[0]
        power = {"k": 1, "m": 2, "g": 3}[letter]
        raise ValueError(
            f"{text!r} may be multiples of 1000 or of 1024, write {match[1]}{letter.upper()}iB"
            f" or {Decimal(match[1]) * 1000**power:f}"
        )
    size = Decimal(match[1]) * BYTES[unit or "b"]
    if size != size.to_integral_value():
        raise ValueError(f"{text!r} is not a whole number of bytes, write {size:.0f}")
    return int(size)


def render_size(size: int) -> str:
    """In the largest unit of which it is a whole number."""
    for unit, factor in (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


SIZE: Kind[int] = Kind("size", parse_size, render_size)


def size_between(low: int, high: int) -> Kind[int]:
    """A size, in bytes, within bounds that are themselves allowed."""

    def parse(text: str) -> int:
        size = parse_size(text)
        if not low <= size <= high:
            raise ValueError(f"{text!r} is not from {render_size(low)} to {render_size(high)}")
        return size

    return Kind(f"size from {render_size(low)} to {render_size(high)}", parse, render_size)


def parse_body_parser_size(text: str) -> int:
    """
    As Express' body-parser has sizes: ``100kb``, ``1.5mb``, all by 1024, and bare bytes.

    Source: https://github.com/visionmedia/bytes.js, parse.
    """
    match = re.fullmatch(rf"({_NUMBER}) *(b|kb|mb|gb|)", text.lower())
    if match is None:
        raise ValueError(f"{text!r} is not a size, write bytes or a number with kb, mb or gb, such as 1mb")
    return int(Decimal(match[1]) * {"": 1, "b": 1, "kb": 1024, "mb": 1024**2, "gb": 1024**3}[match[2]])


# -- rates and shares ----------------------------------------------------------------------------------------------


@frozen
class Rate:
    """
    :ivar count: how many in ``period``.
    :ivar period: seconds.
    :ivar burst: how many may come at once.
    """

    count: int
    period: float
    burst: int


def parse_rate(text: str) -> Rate | None:
    """:return: None for ``off``: no limit."""
    if text == "off":
        return None
    match = _RATE(text)
    if match is None:
        raise ValueError(
            f"{text!r} is not a rate, write a count by a time, such as 100/m, 50/15m or 100/m burst 20, or off"
        )
    count, burst = int(match[1]), int(match[4] or match[1])
    if not count or not burst:
        raise ValueError(f"{text!r} lets nothing through, write a count of 1 or more, or off for no limit")
    return Rate(count, parse_duration((match[2] or "1") + match[3]), burst)


def render_rate(rate: Rate | None) -> str:
    if rate is None:
        return "off"
    unit = next((name for name, seconds in SECONDS.items() if float(seconds) == rate.period), "")
    text = f"{rate.count}/{unit or render_duration(rate.period)}"
    return text if rate.burst == rate.count else f"{text} burst {rate.burst}"


RATE: Kind[Rate | None] = Kind("rate", parse_rate, render_rate)


def parse_percent(text: str) -> float:
    """:return: 0.0 to 1.0."""
    match = _PERCENT(text)
    if match is None:
        if _BARE(text):
            raise ValueError(f"{text!r} has no unit, write {text}%")
        raise ValueError(f"{text!r} is not a percentage, write a number and %, such as 20%")
    share = Decimal(match[1]) / 100
    if share > 1:
        raise ValueError(f"{text!r} is more than the whole, write 100% or less")
    return float(share)


def parse_threshold(text: str) -> float:
    """A percentage as the founding variables have it, without the sign. :return: 0.0 to 1.0."""
    return parse_percent(text if text.endswith("%") else text + "%")


def render_percent(share: float) -> str:
    return f"{(Decimal(repr(share)) * 100).normalize():f}%"


PERCENT: Kind[float] = Kind("percentage", parse_percent, render_percent)


# -- numbers, switches, networks -----------------------------------------------------------------------------------


def integer(low: int, high: int) -> Kind[int]:
    """A whole number within bounds that are themselves allowed."""

    def parse(text: str) -> int:
        if not _INTEGER(text) or not low <= int(text) <= high:
            raise ValueError(f"{text!r} is not a whole number from {low} to {high}")
        return int(text)

    return Kind(f"number from {low} to {high}", parse)


def parse_switch(text: str) -> bool:
    word = text.lower()
    if word not in YES and word not in NO:
        raise ValueError(f"{text!r} is neither yes nor no, write yes, on or true, or no, off or false")
    return word in YES


SWITCH: Kind[bool] = Kind("`yes` or `no`", parse_switch, lambda on: "yes" if on else "no")


def parse_network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        inside = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            f"{text!r} is not a network, write an address or one with its mask, such as 10.0.0.0/8"
        ) from None
    raise ValueError(f"{text!r} has bits set beyond its mask, write {inside}")


NETWORK: Kind[IPv4Network | IPv6Network] = Kind("network", parse_network)


def _parse_workers(text: str) -> int:
    if text == "auto":
        return min(len(os.sched_getaffinity(0)), MAX_WORKERS)
    if not _INTEGER(text) or not 1 <= int(text) <= MAX_WORKERS:
        raise ValueError(f"{text!r} is not a number of processes, write auto, or one from 1 to {MAX_WORKERS}")
    return int(text)


MAX_WORKERS = 256

WORKERS: Kind[int] = Kind(f"a whole number from 1 to {MAX_WORKERS}, or `auto` for one a CPU", _parse_workers)
