"""
How a client is told of its limits.

Sources: draft-ietf-httpapi-ratelimit-headers-10 (RateLimit, RateLimit-Policy, as structured fields by RFC 9651); the
triple X-RateLimit-*, as GitHub and express-rate-limit send it, with the reset in seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import ceil

from apigw.policy.gcra import Quota, Standing, remaining

_UP = 1.0 - 1e-6
"""Makes of ``int`` what rounds up."""


def whole_seconds(wait: float) -> int:
    """What Retry-After says: rounded up, and never 0 (RFC 9110 section 10.2.3)."""
    return max(1, ceil(wait - 1e-6))


def policy_item(quota: Quota) -> bytes:
    """A quota's item in RateLimit-Policy: what may come at once, and the seconds in which all of that comes back."""
    return b'"%b";q=%d;w=%d' % (quota.name.encode("ascii"), quota.burst, whole_seconds(quota.window))


def draft(standings: Sequence[Standing]) -> bytes:
    """Both fields, as lines."""
    numbers: list[int] = []
    quotas: list[Quota] = []
    for quota, reset in standings:
        quotas.append(quota)
        left = int((quota.reach - reset) / quota.interval)  # as remaining(), which would be a call for each
        numbers += left if left > 0 else 0, int(reset + _UP)
    return _template(tuple(quotas)) % tuple(numbers)


@lru_cache(1024)
def _template(quotas: tuple[Quota, ...]) -> bytes:
    """Both fields, with places for what is left of each quota and for the seconds until it is whole again."""
    policies = b", ".join([policy_item(quota) for quota in quotas])
    left = b", ".join([b'"%b";r=%%d;t=%%d' % quota.name.encode("ascii").replace(b"%", b"%%") for quota in quotas])
    return b"RateLimit-Policy: %b\r\nRateLimit: %b\r\n" % (policies.replace(b"%", b"%%"), left)


def legacy(standings: Sequence[Standing], epoch: float) -> bytes:
    """
    The triple, of the quota of which the least is left.

    :param epoch: seconds since 1970.
    """
    tightest = min(standings, key=_share)
    quota, reset = tightest
    return b"X-RateLimit-Limit: %d\r\nX-RateLimit-Remaining: %d\r\nX-RateLimit-Reset: %d\r\n" % (
        quota.burst,
        remaining(tightest),
        ceil(epoch + reset),
    )


def _share(standing: Standing) -> tuple[float, float]:
    quota, reset = standing
    return remaining(standing) / quota.burst, -reset
