"""Which peer gets a request: six ways to pick, and who is in the choice at all."""

from __future__ import annotations

from apigw.policy.balance.candidate import Candidate
from apigw.policy.balance.group import Group
from apigw.policy.balance.names import BALANCERS

__all__ = ["BALANCERS", "Candidate", "Group"]
