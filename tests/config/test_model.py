import pytest
from attrs import fields
from attrs.exceptions import FrozenInstanceError

from apigw.config.draft import KINDS
from apigw.config.loader import load
from apigw.config.model import GatewayConfig


def test_nothing_can_be_changed():
    config = load(None, {})
    with pytest.raises(FrozenInstanceError):
        config.gateway = config.gateway
    with pytest.raises(FrozenInstanceError):
        config.gateway.max_body = 1


def test_values_can_stand_in_sets():
    config = load(None, {"USER_SERVICE_URL": "http://a"})
    assert {config.services[0], config.services[0]} == {config.services[0]}
    assert hash(config.gateway) == hash(load(None, {}).gateway)


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.kind)
def test_each_section_has_a_place_and_says_what_it_is_for(kind):
    assert kind.attribute in {attribute.name for attribute in fields(GatewayConfig)}
    assert kind.cls.__doc__
    assert kind.named == any(attribute.name == "name" for attribute in fields(kind.cls))


def test_defaults_that_users_rely_on():
    gateway = load(None, {}).gateway
    assert (gateway.drain_timeout, gateway.max_header_size, gateway.max_body) == (30.0, 16 * 1024, 1024**2)
    assert (gateway.header_timeout, gateway.body_idle_timeout) == (10.0, 30.0)
    assert (gateway.keepalive_timeout, gateway.write_idle_timeout) == (60.0, 60.0)
    assert (gateway.error_format, gateway.access_log, gateway.log_query) == ("problem", "-", "redacted")
    service = load(None, {"USER_SERVICE_URL": "http://a"}).services[0]
    assert (service.max_connections, service.max_queue, service.queue_timeout) == (100, 200, 1.0)
    timeout = service.timeout
    assert (timeout.connect, timeout.first_byte, timeout.idle, timeout.total) == (2.0, 15.0, 60.0, 30.0)
    assert service.preserve_host
