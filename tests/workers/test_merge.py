"""Metrics and views of several workers, as one."""

from __future__ import annotations

from apigw.workers.merge import Ledger, merge, parse


def text(requests: int, active: int, up: int, healthy: int, cpu: float) -> str:
    return (
        "# HELP http_requests_total Requests.\n# TYPE http_requests_total counter\n"
        f'http_requests_total{{route="a"}} {requests}\n'
        "# HELP took_seconds Time.\n# TYPE took_seconds histogram\n"
        f'took_seconds_bucket{{le="+Inf"}} {requests}\ntook_seconds_sum {cpu}\n'
        "# HELP active Now.\n# TYPE active gauge\n"
        f"active {active}\n"
        "# HELP apigw_upstream_up Up.\n# TYPE apigw_upstream_up gauge\n"
        f'apigw_upstream_up{{service="s"}} {up}\n'
        "# HELP apigw_upstream_peer_healthy Healthy.\n# TYPE apigw_upstream_peer_healthy gauge\n"
        f'apigw_upstream_peer_healthy{{peer="p"}} {healthy}\n'
        "# HELP process_cpu_seconds_total CPU.\n# TYPE process_cpu_seconds_total counter\n"
        f"process_cpu_seconds_total {cpu}\n"
    )


def lines(ledger: Ledger, numbers: dict[int, int]) -> set[str]:
    return {line for line in ledger.text(numbers).splitlines() if not line.startswith("#")}


def test_counts_are_added_and_states_are_not() -> None:
    ledger = Ledger()
    ledger.see(100, text(3, 1, 0, 1, 0.5))
    ledger.see(101, text(4, 2, 1, 0, 0.25))
    assert lines(ledger, {100: 0, 101: 1}) == {
        'http_requests_total{route="a"} 7',
        'took_seconds_bucket{le="+Inf"} 7',
        "took_seconds_sum 0.75",
        "active 3",
        'apigw_upstream_up{service="s"} 1',
        'apigw_upstream_peer_healthy{peer="p"} 0',
        'process_cpu_seconds_total{worker="0"} 0.5',
        'process_cpu_seconds_total{worker="1"} 0.25',
    }


def test_what_the_supervisor_says_itself_is_left_out() -> None:
    ledger = Ledger()
    for process in (100, 101):
        ledger.see(
            process,
            "# TYPE apigw_config_reloads_total counter\napigw_config_reloads_total 3\n"
            "# TYPE apigw_redis_up gauge\napigw_redis_up 1\n"
            "# TYPE apigw_redis_instances gauge\napigw_redis_instances 4\n"
            "# TYPE apigw_upstream_breaker_state gauge\n"
            f'apigw_upstream_breaker_state{{state="open"}} {process - 100}\n',
        )
    assert lines(ledger, {100: 0, 101: 1}) == {
        "apigw_redis_up 1",
        "apigw_redis_instances 4",
        'apigw_upstream_breaker_state{state="open"} 1',
    }


def test_what_a_worker_has_counted_outlives_it() -> None:
    ledger = Ledger()
    ledger.see(100, text(3, 1, 1, 1, 0.5))
    ledger.forget(100)
    ledger.see(102, text(2, 0, 1, 1, 0.1))
    found = lines(ledger, {102: 0})
    assert 'http_requests_total{route="a"} 5' in found
    assert "took_seconds_sum 0.6" in found
    assert "active 0" in found
    assert 'process_cpu_seconds_total{worker="0"} 0.1' in found


def test_each_family_has_its_head_once() -> None:
    ledger = Ledger()
    for process in (1, 2):
        ledger.see(process, text(1, 1, 1, 1, 1.0))
    assert ledger.text({1: 0, 2: 1}).count("# TYPE active gauge\n") == 1


def test_the_text_is_read_as_it_is_written() -> None:
    families = parse(text(3, 1, 1, 1, 0.5))
    assert families["took_seconds"].samples == {'took_seconds_bucket{le="+Inf"}': 3.0, "took_seconds_sum": 0.5}
    assert families["active"].kind == "gauge"


def peer(name: str, active: int, breaker: str, ejected: bool) -> dict[str, object]:
    return {"name": name, "active": active, "breaker": breaker, "ejected": ejected, "transitions": {"open": active}}


def test_views_are_brought_together_by_names() -> None:
    ones = [
        {"services": [{"name": "s", "status": "up", "waiting": 1, "peers": [peer("p", 1, "closed", False)]}]},
        {"services": [{"name": "s", "status": "degraded", "waiting": 2, "peers": [peer("p", 2, "open", True)]}]},
    ]
    assert merge(ones) == {
        "services": [{"name": "s", "status": "degraded", "waiting": 3, "peers": [peer("p", 3, "open", True)]}]
    }


def test_numbers_are_added_where_they_are_the_same_too() -> None:
    assert merge([{"waiting": 2, "port": 80}, {"waiting": 2, "port": 80}]) == {"waiting": 4, "port": 80}


def test_peers_of_the_same_name_belong_to_their_services() -> None:
    ones = [{"peers": [{"service": "a", "name": "p", "active": 1}, {"service": "b", "name": "p", "active": 5}]}] * 2
    assert [one["active"] for one in merge(ones)["peers"]] == [2, 10]
    breakers = [{"service": "a", "peer": "p", "trips": 1}, {"service": "a", "peer": "q", "trips": 2}]
    assert [one["trips"] for one in merge([breakers, breakers])] == [2, 4]
