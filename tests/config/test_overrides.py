import pytest

from apigw.config.draft import section_kind
from apigw.config.overrides import Overrides


def problems(environ, *headers):
    sections = {header: section_kind(header) for header in headers}
    return [str(error) for error in Overrides(environ).problems(sections)]


def test_a_variable_is_found_by_section_and_key():
    overrides = Overrides({"APIGW__SERVICE_MUSIC_LIB__TIMEOUT_CONNECT": "5s", "apigw__gateway__max_body": "1"})
    assert overrides.get("service:music-lib", "timeout.connect") == (
        "APIGW__SERVICE_MUSIC_LIB__TIMEOUT_CONNECT",
        "5s",
    )
    assert overrides.get("gateway", "max_body") == ("apigw__gateway__max_body", "1")
    assert overrides.get("gateway", "workers") is None


def test_what_fits_is_no_problem():
    assert problems({"APIGW__GATEWAY__MAX_BODY": "1", "PATH": "/bin", "APIGW_X": "y"}, "gateway") == []


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("APIGW__GATEWAY", "$APIGW__GATEWAY: names no section and key, write APIGW__SECTION__KEY"),
        ("APIGW__GATEWAY_", "$APIGW__GATEWAY_: names no section and key, write APIGW__SECTION__KEY"),
        (
            "APIGW__ROUTE_USRES__HOST",
            "$APIGW__ROUTE_USRES__HOST: no section is spelled ROUTE_USRES, did you mean ROUTE_USERS?",
        ),
        (
            "APIGW__ELEPHANT__HOST",
            "$APIGW__ELEPHANT__HOST: no section is spelled ELEPHANT; a variable only changes sections that are there",
        ),
        (
            "APIGW__GATEWAY__MAX_BODDY",
            "$APIGW__GATEWAY__MAX_BODDY: [gateway] max_boddy: unknown key, did you mean max_body?",
        ),
        (
            "APIGW__ROUTE_USERS__STAGE",
            "$APIGW__ROUTE_USERS__STAGE: [route:users] stage: unknown key, did you mean stages?",
        ),
    ],
)
def test_what_fits_nothing(variable, said):
    assert problems({variable: "x"}, "gateway", "route:users") == [said]


def test_two_sections_may_be_spelled_the_same():
    environ = {"APIGW__ROUTE_A_B__HOST": "x"}
    assert problems(environ, "route:a-b", "route:a.b") == [
        "$APIGW__ROUTE_A_B__HOST: may mean [route:a-b] or [route:a.b], rename one of the two"
    ]
    assert problems({}, "route:a-b", "route:a.b") == []


def test_two_variables_may_be_the_same():
    environ = {"APIGW__GATEWAY__MAX_BODY": "1", "apigw__gateway__max_body": "2"}
    assert problems(environ, "gateway") == [
        "$APIGW__GATEWAY__MAX_BODY: is set as apigw__gateway__max_body too, unset one of the two"
    ]


def test_a_name_may_hold_two_underscores():
    assert problems({"APIGW__ROUTE_A__B__HOST": "x"}, "route:a__b") == []
    assert Overrides({"APIGW__ROUTE_A__B__HOST": "x"}).get("route:a__b", "host") == ("APIGW__ROUTE_A__B__HOST", "x")
