import os
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apigw.config.units import (
    DURATION,
    NETWORK,
    PERCENT,
    RATE,
    SIZE,
    SWITCH,
    WORKERS,
    Rate,
    integer,
    parse_body_parser_size,
    parse_milliseconds,
    size_between,
)


def wrong(kind, text):
    """What is said of ``text``."""
    with pytest.raises(ValueError) as caught:
        kind.parse(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("2s", 2.0), ("5m", 300.0), ("1h", 3600.0), ("7d", 604800.0), ("1.5s", 1.5), ("0.1ms", 0.0001)],
)
def test_durations(text, seconds):
    assert DURATION.parse(text) == seconds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("30", "'30' has no unit, write 30s for seconds or 30ms for milliseconds"),
        ("5S", "'5S' has its unit in capitals, write 5s"),
        ("0s", "'0s' is no time at all, write a duration of 1ms or more"),
        ("soon", "'soon' is not a duration, write a number with ms, s, m, h or d, such as 30s"),
        ("-1s", "'-1s' is not a duration, write a number with ms, s, m, h or d, such as 30s"),
        ("1s 2s", "'1s 2s' is not a duration, write a number with ms, s, m, h or d, such as 30s"),
        ("9" * 5000 + "s", "not a duration"),
        ("٣s", "not a duration"),
    ],
)
def test_what_is_no_duration(text, said):
    assert said in wrong(DURATION, text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "250ms"), (60.0, "60s"), (90.0, "90s"), (300.0, "5m"), (3600.0, "1h"), (86400.0, "1d"), (0.0005, "0.5ms")],
)
def test_durations_are_written_in_the_unit_that_fits(seconds, text):
    assert DURATION.render(seconds) == text


@given(st.integers(1, 10**12), st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_durations_come_back_the_same(number, unit):
    seconds = DURATION.parse(f"{number % 10**9 + 1}{unit}")
    assert DURATION.parse(DURATION.render(seconds)) == seconds


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("500", 500), ("64KiB", 65536), ("1MiB", 1048576), ("1.5gib", 1610612736), ("12B", 12)]
)
def test_sizes(text, size):
    assert SIZE.parse(text) == size


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("4KB", "'4KB' may be multiples of 1000 or of 1024, write 4KiB or 4000"),
        ("2m", "'2m' may be multiples of 1000 or of 1024, write 2MiB or 2000000"),
        ("1.5GB", "write 1.5GiB or 1500000000"),
        ("1XB", "'1XB' is not a size, write bytes or a number with KiB, MiB or GiB, such as 64KiB"),
        ("large", "is not a size"),
        ("0.3KiB", "'0.3KiB' is not a whole number of bytes, write 307"),
    ],
)
def test_what_is_no_size(text, said):
    assert said in wrong(SIZE, text)


def test_sizes_within_bounds():
    kind = size_between(1024, 1024**2)
    assert kind.parse("1KiB") == 1024
    assert kind.parse("1MiB") == 1024**2
    assert wrong(kind, "1023") == "'1023' is not from 1KiB to 1MiB"
    assert wrong(kind, "2MiB") == "'2MiB' is not from 1KiB to 1MiB"


@given(st.integers(0, 10**12 - 1) | st.integers(0, 999).map(lambda n: n * 1024**3))
def test_sizes_come_back_the_same(size):
    assert SIZE.parse(SIZE.render(size)) == size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1mb", 1048576),
        ("100kb", 102400),
        ("1.5 MB", 1572864),
        ("512", 512),
        ("10b", 10),
        ("0.1kb", 102),
        ("1GB", 2**30),
    ],
)
def test_sizes_of_body_parser(text, size):
    assert parse_body_parser_size(text) == size


def test_what_is_no_size_of_body_parser():
    with pytest.raises(ValueError, match="'1MiB' is not a size, write bytes or a number with kb, mb or gb"):
        parse_body_parser_size("1MiB")


def test_milliseconds():
    assert parse_milliseconds("1500") == 1.5
    for text in ("0", "1.5", "30s", "-1"):
        with pytest.raises(ValueError, match="is not a number of milliseconds"):
            parse_milliseconds(text)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("100/s", Rate(100, 1.0, 100)),
        ("200/m", Rate(200, 60.0, 200)),
        ("50/15m", Rate(50, 900.0, 50)),
        ("1000/h", Rate(1000, 3600.0, 1000)),
        ("100/m burst 20", Rate(100, 60.0, 20)),
        ("off", None),
    ],
)
def test_rates(text, rate):
    assert RATE.parse(text) == rate
    assert RATE.render(rate) == text


@pytest.mark.parametrize("text", ["100", "100/", "/s", "100/min", "100/m burst", "100/m burst x", "100/m 20", "on", ""])
def test_what_is_no_rate(text):
    assert "is not a rate, write a count by a time, such as 100/m, 50/15m or 100/m burst 20, or off" in wrong(
        RATE, text
    )


@pytest.mark.parametrize("text", ["0/s", "5/s burst 0"])
def test_a_rate_lets_something_through(text):
    assert "lets nothing through" in wrong(RATE, text)


def test_a_rate_has_a_time():
    assert "no time at all" in wrong(RATE, "5/0s")


@given(st.integers(1, 10**9 - 1), st.integers(1, 10**6), st.sampled_from(["ms", "s", "m", "h", "d"]), st.integers(1, 9))
def test_rates_come_back_the_same(count, times, unit, burst):
    rate = RATE.parse(f"{count}/{times}{unit} burst {burst}")
    assert RATE.parse(RATE.render(rate)) == rate


def test_percentages():
    assert PERCENT.parse("20%") == 0.2
    assert PERCENT.parse("12.5%") == 0.125
    assert PERCENT.parse("100%") == 1.0
    assert PERCENT.render(0.2) == "20%"
    assert PERCENT.render(0.07) == "7%"
    assert wrong(PERCENT, "20") == "'20' has no unit, write 20%"
    assert wrong(PERCENT, "101%") == "'101%' is more than the whole, write 100% or less"
    assert wrong(PERCENT, "some") == "'some' is not a percentage, write a number and %, such as 20%"


@given(st.integers(0, 10000))
def test_percentages_come_back_the_same(hundredths):
    share = PERCENT.parse(f"{hundredths / 100}%")
    assert PERCENT.parse(PERCENT.render(share)) == share


def test_whole_numbers_within_bounds():
    kind = integer(1, 65535)
    assert kind.parse("1") == 1
    assert kind.parse("65535") == 65535
    for text in ("0", "65536", "-1", "1.0", "1e3", "", "²", "9" * 5000):
        assert "is not a whole number from 1 to 65535" in wrong(kind, text)


@pytest.mark.parametrize(("text", "on"), [("yes", True), ("On", True), ("TRUE", True), ("no", False), ("off", False)])
def test_switches(text, on):
    assert SWITCH.parse(text) is on
    assert SWITCH.parse(SWITCH.render(on)) is on


def test_what_is_no_switch():
    assert wrong(SWITCH, "1") == "'1' is neither yes nor no, write yes, on or true, or no, off or false"


def test_networks():
    assert NETWORK.parse("10.0.0.0/8") == ip_network("10.0.0.0/8")
    assert NETWORK.parse("192.168.1.7") == ip_network("192.168.1.7/32")
    assert NETWORK.parse("fd00::/8") == ip_network("fd00::/8")
    assert wrong(NETWORK, "10.1.2.3/8") == "'10.1.2.3/8' has bits set beyond its mask, write 10.0.0.0/8"
    assert "is not a network, write an address or one with its mask" in wrong(NETWORK, "localhost")


def test_workers():
    assert [WORKERS.parse(text) for text in ("1", "4", "256")] == [1, 4, 256]
    assert WORKERS.parse("auto") == len(os.sched_getaffinity(0))
    for text in ("0", "257", "all", "-1"):
        assert wrong(WORKERS, text) == f"{text!r} is not a number of processes, write auto, or one from 1 to 256"


@given(st.text(max_size=30), st.sampled_from([DURATION, SIZE, RATE, PERCENT, SWITCH, NETWORK, integer(0, 9), WORKERS]))
def test_any_text_is_read_or_refused(text, kind):
    try:
        value = kind.parse(text)
    except ValueError:
        return
    assert kind.parse(kind.render(value)) == value
