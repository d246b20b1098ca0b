"""What a route has changed of requests and answers."""

from __future__ import annotations

from collections.abc import Sequence

from apigw.config.model import RouteSection
from apigw.config.transforming import RouteRequest, RouteResponse, statuses
from apigw.messages import Field
from apigw.pipeline import Stage
from apigw.policy.field_changes import FieldChanges
from apigw.policy.fields import FOLD
from apigw.stages.codings import available
from apigw.stages.compression import Compression
from apigw.stages.json_body import OF_THE_SERVICE
from apigw.stages.transform import RequestFields, ResponseFields


def transformed(route: RouteSection) -> list[Stage]:
    """Stands last, for on the way up it sees what the service has said before anybody else adds to it."""
    stages: list[Stage] = []
    request, response = route.request, route.response
    sent = [(one.name, one.value) for one in (*request.set, *request.add) if one.value.variables]
    if sent:
        stages.append(RequestFields(sent))
    told = [(one.name, one.value) for one in (*response.set, *response.add)]
    changes = _changes(response)
    if told or changes or response.status:
        stages.append(ResponseFields(changes, told, statuses(response.status)))
    return stages


def changed(route: RouteSection, less: Sequence[bytes] = (), more: Sequence[Field] = ()) -> FieldChanges | None:
    """What the service gets of the fields of a client, and what it gets besides; None for all of them."""
    request = route.request
    fixed = [one for one in (*request.set, *request.add) if not one.value.variables]
    added = [*more] + [(one.name.encode("ascii"), one.value.parts[0].encode()) for one in fixed]
    whole = route.response.body.changes
    if whole and (b"Accept-Encoding", b"identity") not in added:
        added.append((b"Accept-Encoding", b"identity"))
    return _changes(request, (*less, *(OF_THE_SERVICE if whole else ())), added) or None


def compression(route: RouteSection) -> list[Stage]:
    """Stands first, for it comes last on the way up; it reads the request, but has no say in it."""
    if route.compression == "off":
        return []
    own = route.compress
    return [Compression(available(), own.types, own.min_size, route.compression == "public")]


def _changes(
    own: RouteRequest | RouteResponse, removed: Sequence[bytes] = (), added: Sequence[Field] = ()
) -> FieldChanges:
    names = [*own.remove, *(one.name for one in own.set)]
    renamed = {one.old.lower().encode("ascii").translate(FOLD): one.new.encode("ascii") for one in own.rename}
    return FieldChanges([*(name.encode("ascii").translate(FOLD) for name in names), *removed], renamed, added)
