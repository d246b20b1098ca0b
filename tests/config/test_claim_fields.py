"""Which names of fields claims may have."""

import pytest

from apigw.config.claim_fields import CLAIM_FIELDS, ClaimField, parse_claim_field


def test_fields() -> None:
    found = CLAIM_FIELDS.parse("X-User-Email: email, X-Tenant:https://example.com/org.id")
    assert found == (ClaimField("X-User-Email", "email"), ClaimField("X-Tenant", "https://example.com/org.id"))
    assert CLAIM_FIELDS.parse(CLAIM_FIELDS.render(found)) == found


@pytest.mark.parametrize("text", ["email", "X-A:", ": email", "X_A: email", "X-A: two words", "X A: email"])
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="is not a field and a claim"):
        parse_claim_field(text)


@pytest.mark.parametrize(
    "name",
    ["X-User-Id", "x-user-id-signature", "X-User-Role", "X-Request-Id", "Host", "Cookie", "Via", "X-Forwarded-For"],
)
def test_names_that_are_taken(name: str) -> None:
    with pytest.raises(ValueError, match="has a meaning of its own"):
        parse_claim_field(f"{name}: email")


def test_one_field_has_one_claim() -> None:
    with pytest.raises(ValueError, match="is here twice"):
        CLAIM_FIELDS.parse("X-A: a, x-a: b")
