import pytest

from apigw.config.founding import enabled, route, services, switch


def test_services_of_the_environment():
    environ = {
        "USER_SERVICE_URL": "http://a",
        "MUSIC_LIB_SERVICE_URL": "http://b",
        "EMPTY_SERVICE_URL": " ",
        "_SERVICE_URL": "http://c",
        "X__SERVICE_URL": "http://d",
        "user_SERVICE_URL": "http://e",
        "USER_SERVICE_URLS": "http://f",
        "APIGW__SERVICE_USER__URLS": "http://g",
        "A" * 70 + "_SERVICE_URL": "http://h",
    }
    assert services(environ) == {"music-lib": "MUSIC_LIB_SERVICE_URL", "user": "USER_SERVICE_URL"}


@pytest.mark.parametrize(
    ("text", "on"), [("", True), ("true", True), ("1", True), ("false", False), ("FALSE", False), ("0", False)]
)
def test_services_may_be_left_out(text, on):
    assert enabled("USER_SERVICE_URL", {"USER_SERVICE_ENABLED": text}) is on


def test_a_switch_is_on_unless_it_is_set():
    assert enabled("USER_SERVICE_URL", {})
    assert switch("MUSIC_LIB_SERVICE_URL") == "MUSIC_LIB_SERVICE_ENABLED"


def test_a_switch_is_one_of_two():
    with pytest.raises(ValueError, match="'maybe' is neither true nor false"):
        enabled("USER_SERVICE_URL", {"USER_SERVICE_ENABLED": "maybe"})


def test_the_route_of_a_service():
    assert route("music-lib") == {"path": "/api/v1/music-lib", "service": "music-lib", "rewrite": "/api/music-lib"}
