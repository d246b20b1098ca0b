"""Stages from elsewhere, as the configuration names them."""

from __future__ import annotations

from typing import Any

from twisted.logger import Logger

from apigw.config.adding import StageSection, find
from apigw.pipeline import Stage

_log = Logger()


def added(section: StageSection) -> Stage:
    """
    :raises ValueError: it can't be made, or isn't a stage.
    """
    try:
        made = find(section.use)(**section.arguments())
    except Exception as error:
        raise ValueError(f"use: {section.use} failed with {type(error).__name__}: {error}") from error
    if not isinstance(made, Stage):
        raise ValueError(f"use: {section.use} makes a {type(made).__name__}, let it make an apigw.extension.Stage")
    return made


def start(stage: Stage, reactor: Any) -> None:
    """What fails here is logged: the configuration is in force already."""
    try:
        stage.start(reactor)
    except Exception:
        _log.failure("{stage} could not start", stage=type(stage).__qualname__)


def stop(stage: Stage) -> None:
    """As :func:`start`."""
    try:
        stage.stop()
    except Exception:
        _log.failure("{stage} could not stop", stage=type(stage).__qualname__)
