"""From ``[graphql]`` to what its requests pass."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IReactorTime

from apigw.config.graphql import GraphqlSection
from apigw.pipeline import Stage
from apigw.policy.graphql.rules import Firewall
from apigw.reload import CannotStart
from apigw.stages.body_limit import BodyLimit
from apigw.stages.events import EventStreams
from apigw.stages.graphql import GraphqlEnds, GraphqlErrors, GraphqlFirewall, NoMultipart
from apigw.streams import Streams
from apigw.telemetry.graphql import GraphqlMetrics
from apigw.wiring.edge import Edge

if TYPE_CHECKING:
    from apigw.policy.graphql.rules import Rules


def rules_of(section: GraphqlSection) -> Rules | None:
    """
    By what the firewall decides; None where there is none.

    :raises CannotStart: the file of documents can't be used any more.
    """
    if section.service is None or not section.reads:
        return None
    try:
        return section.rules()
    except ValueError as error:
        raise CannotStart(f"[graphql] persisted: {error}") from None


def graphql_stages(
    section: GraphqlSection,
    edge: Edge,
    streams: Streams,
    let_in: list[Stage],
    firewall: Firewall | None,
    metrics: GraphqlMetrics | None,
    cap: int,
    reactor: IReactorTime,
) -> list[Stage]:
    """
    :param let_in: what finds out who asks.
    :param cap: of bodies, 0 for none.
    """
    before, after = edge.graphql(section)
    by_cost = section.cost_unit is not None
    stages = [*before, *([] if section.multipart else [NoMultipart()]), *let_in, *([] if by_cost else after)]
    stages += edge.upgrades(section, streams)
    if cap:
        stages.append(BodyLimit(cap))
    if firewall is not None:
        asked = None if metrics is None else metrics.asked
        stages.append(GraphqlFirewall(firewall, section.max_body, asked, section.multipart))
        if metrics is not None:
            stages.append(GraphqlEnds(metrics.ended))
    if by_cost:
        stages += after
    return [*stages, EventStreams(streams, reactor, monotonic, section.events.heartbeat), GraphqlErrors()]
