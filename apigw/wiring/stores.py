"""From the configuration to the Redis server that gateways share."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

from attrs import frozen

from apigw.config.limiting import LimitsSection
from apigw.redis.client import Redis, RedisSettings
from apigw.upstream.tls import client_creator


@frozen
class _Tls:
    ca: str | None
    client_cert: None = None
    server_name: None = None


def redis_of(limits: LimitsSection, instance: str, reactor: Any, seconds: Callable[[], float]) -> Redis | None:
    """
    :param instance: by what name this gateway counts as one of those that share it.
    :return: None where it is counted on this machine.
    :raises OSError: the file with its authorities can't be read.
    :raises OpenSSL.crypto.Error: that holds no certificate.
    """
    url = limits.redis
    if url is None:
        return None
    tls = partial(client_creator, settings=_Tls(limits.redis_ca))
    if url.tls:
        tls(url.hosts[0][0])  # an error now, not at each attempt to connect
    return Redis(RedisSettings(url, instance, limits.redis_deadline), reactor, seconds, Random(), tls)
