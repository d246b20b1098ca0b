"""Why a GraphQL request isn't passed on."""

from __future__ import annotations


class Refused(ValueError):
    """
    Its text is for the client.

    :ivar rule: stable, in lower case.
    :ivar well_formed: it is a GraphQL request, only one that isn't executed (GraphQL over HTTP, section 6.4.1): with
        ``application/json`` such a request is answered with 200.
    :ivar status: with any other media type.
    :ivar legacy: a code that clients know from Apollo's servers, empty for none.
    """

    def __init__(self, rule: str, text: str, *, status: int = 400, well_formed: bool = False, legacy: str = "") -> None:
        super().__init__(text)
        self.rule = rule
        self.status = status
        self.well_formed = well_formed
        self.legacy = legacy


def over(rule: str, text: str) -> Refused:
    """For a document that could be executed, and may not."""
    return Refused(rule, text, well_formed=True)
