from apigw.config.problems import DEFAULT, ConfigError, ConfigErrors, Origin, did_you_mean


def test_an_error_names_its_place():
    error = ConfigError(Origin("gw.ini", 41), "route:users", "timout", "unknown key, did you mean timeout?")
    assert str(error) == "gw.ini:41: [route:users] timout: unknown key, did you mean timeout?"


def test_an_error_of_a_section_has_no_key():
    assert str(ConfigError(Origin("gw.ini", 4), "rout", "", "unknown section")) == "gw.ini:4: [rout]: unknown section"


def test_an_error_of_a_file_has_neither_line_nor_section():
    assert str(ConfigError(Origin("gw.ini"), "", "", "is a directory")) == "gw.ini: is a directory"


def test_an_error_from_the_environment_names_the_variable():
    error = ConfigError(Origin(variable="APIGW__ROUTE_USERS__AUTH"), "route:users", "auth", "is no word")
    assert str(error) == "$APIGW__ROUTE_USERS__AUTH: [route:users] auth: is no word"


def test_a_default_says_so():
    assert str(DEFAULT) == "default"


def test_errors_are_in_the_order_of_lines_and_the_environment_is_last():
    errors = ConfigErrors(
        [
            ConfigError(Origin(variable="PORT"), "", "", "d"),
            ConfigError(Origin("f", 10), "", "", "c"),
            ConfigError(Origin("f", 9), "", "", "b"),
            ConfigError(Origin(variable="HOME"), "", "", "e"),
            ConfigError(Origin("f"), "", "", "a"),
        ]
    )
    assert str(errors) == "f: a\nf:9: b\nf:10: c\n$HOME: e\n$PORT: d"
    assert [error.message for error in errors.errors] == ["a", "b", "c", "e", "d"]


def test_only_a_close_word_is_suggested():
    assert did_you_mean("serivce", ["service", "route"]) == ", did you mean service?"
    assert did_you_mean("elephant", ["service", "route"]) == ""
