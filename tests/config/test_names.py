import pytest

from apigw.config.names import NAME, SERVER_NAME, spelled


@pytest.mark.parametrize("name", ["a", "user", "music-lib", "v1.users_2", "0", "a" * 64])
def test_names(name):
    assert NAME.parse(name) == name


@pytest.mark.parametrize("name", ["", "-a", "a-", "a b", "a/b", "é", 'a"', "a" * 65, "a\n"])
def test_what_is_no_name(name):
    with pytest.raises(ValueError, match=r"is not a name: letters, digits and, between them, \. _ - up to 64"):
        NAME.parse(name)


def test_how_variables_spell_names():
    assert spelled("route:users") == "ROUTE_USERS"
    assert spelled("music-lib") == "MUSIC_LIB"
    assert spelled("timeout.connect") == "TIMEOUT_CONNECT"


def test_a_server_name_is_no_address():
    assert SERVER_NAME.parse("User.Internal") == "user.internal"
    for text in ("10.0.0.1", "[::1]"):
        with pytest.raises(ValueError, match="is an address, write the name that stands in the certificate"):
            SERVER_NAME.parse(text)
