"""Structured logs: one JSON object a line on stderr, without secrets."""

import logging
import re
import sys
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_REDACTED = "[redacted]"
_SECRET_KEYS = frozenset(
    {"authorization", "cookie", "password", "secret", "token", "pass", "code", "jwt", "master_key"}
)
_SECRET_TEXT = re.compile(
    r"eyJ[\w-]{5,}\.[\w-]*\.?[\w-]*"  # a JWT, whole or cut off
    r"|(?i:bearer)\s+[^\s\"']+"
    r"|(?<=://)[^\s/@]{1,256}(?=@)"  # the credentials of a URL
)
_TEXT_LENGTH_MAX = 20_000
_UVICORN_LOGGERS = ("uvicorn", "uvicorn.error", "uvicorn.asgi")


def configure_logging(
    service: str, *, level: int = logging.INFO, stream: TextIO | None = None
) -> None:
    """Send every logger of this process, uvicorn's too, through one JSON handler.

    Called once, by the process's entry point; uvicorn must be started with `log_config=None`.
    """

    def name_service(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["service"] = service
        return event

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        name_service,
    ]
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                redact,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in _UVICORN_LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
    # The edge logs each request itself, without the query string.
    access = logging.getLogger("uvicorn.access")
    access.handlers = []
    access.propagate = False
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Blank values under secret names and whatever looks like a credential inside a text."""
    for key, value in event.items():
        if key.lower() in _SECRET_KEYS:
            event[key] = _REDACTED
        elif isinstance(value, str):
            event[key] = _SECRET_TEXT.sub(_REDACTED, value[:_TEXT_LENGTH_MAX])
    return event
