"""The gateways that take part, to be started by another twistd than usual, such as one that is watched."""

import functools
from collections.abc import Callable

from benchmarks.contender import Running
from benchmarks.contenders import gateway, gateway_full

START: dict[str, Callable[..., Running]] = {
    "gateway": gateway.launch,
    "gateway-interpreted": functools.partial(gateway.launch, code=gateway.interpreted),
    "gateway-full-interpreted": functools.partial(gateway_full.start, sign=False, code=gateway.interpreted),
    "gateway-full": functools.partial(gateway_full.start, sign=False),
    "gateway-full-signed": functools.partial(gateway_full.start, sign=True),
}
"""By the names of contenders; each takes a place, the upstream and ``program``, the command line of twistd."""
