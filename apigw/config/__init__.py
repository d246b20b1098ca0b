"""What the gateway is to do: from an INI file and the environment to frozen values. See :mod:`apigw.config.model`."""

from apigw.config.model import GatewayConfig
from apigw.config.problems import ConfigError, ConfigErrors

__all__ = ["ConfigError", "ConfigErrors", "GatewayConfig"]
