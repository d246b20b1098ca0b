"""Who may come in: tokens, API keys, and what services are told of who it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from apigw.config import GatewayConfig
from apigw.keys.key_file import KeyFile
from apigw.pipeline import Stage
from apigw.policy.cors import Cors
from apigw.stages.api_key import ApiKey
from apigw.stages.cross_site import CrossSite
from apigw.stages.identity import Identity
from apigw.stages.jwt import Jwt

if TYPE_CHECKING:
    from apigw.keys.build import Tokens


class Entry:
    """
    The stages that find out who asks.

    :param tokens: verifies them; None where nobody issues any. :param key_file: who has API keys.
    """

    def __init__(
        self, config: GatewayConfig, tokens: Tokens | None, key_file: KeyFile | None, epoch: Callable[[], float]
    ) -> None:
        self._config = config
        self._tokens = tokens
        self._key_file = key_file
        self._epoch = epoch

    def stages(
        self, auth: str, roles: tuple[str, ...] = (), scopes: tuple[str, ...] = (), enforce: bool = True
    ) -> list[Stage]:
        """The stages for who asks: none where the route doesn't want to know."""
        if auth == "none":
            return []
        required = auth == "required"
        way: Stage | None = None
        checks: list[Stage] = []
        if self._tokens is not None:
            way = Jwt(self._tokens.authority, self._tokens.source, required, roles, scopes)
            checks = self._cross_site(self._tokens.source.cookie, enforce)
        section = self._config.api_keys
        if section is not None and self._key_file is not None:
            way = ApiKey(self._key_file.keys, section.field.lower().encode(), required, roles, scopes, way)
        if way is None:
            return []
        return [*checks, way, self._identity()]

    def _cross_site(self, cookie: bytes, enforce: bool) -> list[Stage]:
        """For routes that a cookie opens."""
        config = self._config
        if not cookie or config.jwt is None:
            return []
        origins = list(config.jwt.token.cookie_origins)
        if config.cors is not None and config.cors.credentials:
            origins += config.cors.origins
        return [CrossSite(cookie, Cors(origins).allows, enforce)]

    def _identity(self) -> Identity:
        section = self._config.identity
        if section is None:
            return Identity(b"", self._epoch)
        return Identity(section.secret, self._epoch, [(one.name.encode(), one.claim) for one in section.claims])
