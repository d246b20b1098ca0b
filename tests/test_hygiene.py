"""The checks of tests/hygiene, each on a test that it must fail and on one that it must leave alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hygiene.leftovers import BOUND

ROOT = Path(__file__).parent.parent

CONFTEST = """
from tests.hygiene import leftovers
leftovers.BOUND = {bound}
pytest_plugins = ["tests.hygiene.time_limit", "tests.hygiene.leftovers", "tests.hygiene.log_errors"]
"""

PREAMBLE = """
import gc, time
import pytest, pytest_twisted
from hypothesis import given, settings, strategies as st
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.protocol import Factory, Protocol, ProcessProtocol
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
"""


@pytest.fixture
def outcomes(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    """Run these tests in a session of their own; its result."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeini("[pytest]\naddopts = --strict-markers -p no:cacheprovider")

    def run(tests: str, bound: float = BOUND) -> pytest.RunResult:
        pytester.makeconftest(CONFTEST.format(bound=bound))
        pytester.makepyfile(PREAMBLE + tests)
        return pytester.runpytest_subprocess("-v", timeout=25)

    return run


def test_each_way_to_hang_is_cut(outcomes):
    result = outcomes(
        """
pytestmark = pytest.mark.timeout(0.2)

def test_busy():
    while True:
        pass

def test_asleep():
    time.sleep(60)

async def test_waiting():
    await Deferred()

async def test_deaf_to_cancellation():
    try:
        await Deferred()
    except CancelledError:
        await Deferred()

async def test_busy_after_waiting():
    await deferLater(reactor, 0)
    while True:
        pass

def test_returning_a_deferred():
    return Deferred()

@given(st.integers())
def test_busy_example(number):
    while True:
        pass

@given(st.integers())
@settings(deadline=None)
async def test_waiting_example(number):
    await Deferred()

@pytest_twisted.async_fixture
async def stuck():
    await Deferred()

def test_with_a_stuck_fixture(stuck):
    pass

@pytest_twisted.async_yield_fixture
async def stuck_at_the_end():
    yield
    await Deferred()

def test_whose_fixture_never_ends(stuck_at_the_end):
    pass

def test_blocking_on_a_deferred():
    pytest_twisted.blockon(Deferred())

def test_that_swallows_the_interrupt():
    while True:
        try:
            time.sleep(60)
        except BaseException:
            time.sleep(60)
"""
    )
    result.assert_outcomes(failed=10, errors=2, passed=1)
    result.stdout.fnmatch_lines(["*not done after 0.2 s*"])
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


def test_a_limit_reached_shows_where_the_test_waited(outcomes):
    result = outcomes(
        """
@pytest.mark.timeout(0.5)
async def test_waiting():
    never = Deferred()
    await never  # here
"""
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*await never  # here*", "*not done after 0.5 s*"])


def test_after_a_limit_was_reached_the_next_tests_run(outcomes):
    outcomes(
        """
@pytest.mark.timeout(0.5)
def test_stuck():
    while True:
        pass

@pytest.mark.timeout(0.5)
async def test_waiting():
    await Deferred()

async def test_next():
    await deferLater(reactor, 0)
"""
    ).assert_outcomes(failed=2, passed=1)


def test_a_coroutine_test_runs_without_decorator(outcomes):
    outcomes(
        """
async def test_wrong():
    assert False

@given(st.integers())
async def test_wrong_example(number):
    assert False

async def test_right():
    await deferLater(reactor, 0)

@pytest_twisted.ensureDeferred
async def test_right_with_decorator():
    await deferLater(reactor, 0)
"""
    ).assert_outcomes(failed=2, passed=2)


def test_what_stays_in_the_reactor_is_named(outcomes):
    result = outcomes(
        """
def later(): pass

def test_call():
    reactor.callLater(60, later)

def test_port():
    reactor.listenTCP(0, Factory.forProtocol(Protocol), interface="127.0.0.1")

async def test_connection():
    connected = Deferred()
    class Client(Protocol):
        def connectionMade(self):
            connected.callback(None)
    port = reactor.listenTCP(0, Factory.forProtocol(Protocol), interface="127.0.0.1")
    from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
    await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port), Client())
    await connected
    await port.stopListening()

def test_process():
    reactor.spawnProcess(ProcessProtocol(), "/bin/sleep", ["sleep", "60"])

def test_none_of_it_is_found_again():
    pass
""",
        bound=0.2,
    )
    result.assert_outcomes(passed=5, errors=4)
    result.stdout.fnmatch_lines(
        [
            "*call pending: *later*",
            "*still open: *Port*",
            "*still open: *Client*",
            "*still running: process *",
        ]
    )


def test_what_ends_by_itself_soon_or_was_there_before_is_no_leftover(outcomes):
    outcomes(
        """
@pytest.fixture(scope="module")
def port():
    port = reactor.listenTCP(0, Factory.forProtocol(Protocol), interface="127.0.0.1")
    clock = LoopingCall(lambda: None)
    clock.start(0.01)
    yield port
    clock.stop()
    pytest_twisted.blockon(port.stopListening())

def test_soon():
    reactor.callLater(0.05, lambda: None)

async def test_closing(port):
    port = reactor.listenTCP(0, Factory.forProtocol(Protocol), interface="127.0.0.1")
    port.stopListening()

async def test_module_fixture(port):
    await deferLater(reactor, 0.05)

def test_process():
    reactor.spawnProcess(ProcessProtocol(), "/bin/true", ["true"])

@pytest.fixture
def closed_late():
    call = reactor.callLater(60, lambda: None)
    yield
    call.cancel()

def test_fixtures_close_first(closed_late):
    pass
"""
    ).assert_outcomes(passed=5)


def test_errors_of_the_log_fail_the_test_unless_taken_out(outcomes):
    result = outcomes(
        """
log = Logger()

def failing():
    raise ValueError("lost")

def test_logged():
    try:
        failing()
    except ValueError:
        log.failure("went wrong")

def test_lost():
    fail(ValueError("nobody looked"))

def test_lost_in_a_cycle():
    cycle = [fail(ValueError("nobody looked at the cycle"))]
    cycle.append(cycle)

def test_in_the_reactor():
    reactor.callLater(0, failing)

def test_taken_out(logged_errors):
    fail(ValueError("looked at"))
    [event] = logged_errors.flush(ValueError)
    assert event["log_failure"].value.args == ("looked at",)

def test_another_taken_out(logged_errors):
    fail(ValueError("still there"))
    assert logged_errors.flush(KeyError) == []

def test_warning():
    log.warn("nothing bad")
"""
    )
    result.assert_outcomes(passed=7, errors=5)
    result.stdout.fnmatch_lines(
        [
            "*went wrong*",
            "*ValueError: nobody looked*",
            "*ValueError: nobody looked at the cycle*",
            "*ValueError: lost*",
            "*ValueError: still there*",
        ]
    )


def test_errors_lost_with_a_fixture_fail_the_last_test_of_the_file(outcomes):
    result = outcomes(
        """
class Holder: pass

@pytest.fixture
def holder():
    holder = Holder()
    holder.itself = holder
    return holder

def test_lost(holder):
    holder.failed = fail(ValueError("held by a fixture"))

def test_last():
    pass
"""
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_last*", "*ValueError: held by a fixture*"])


def test_a_failed_test_is_not_failed_again(outcomes):
    outcomes(
        """
def test_wrong():
    reactor.callLater(60, print)
    fail(ValueError("lost"))
    assert False

def test_next():
    pass
"""
    ).assert_outcomes(failed=1, passed=1)
