"""A warning that comes with every batch is logged once a second, and loses no count."""

from types import SimpleNamespace

import pytest
import structlog

from services.claim.warning import SeldomWarning


def test_it_is_said_once_a_second_with_what_was_kept_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = 100.0
    monkeypatch.setattr("services.claim.warning.time", SimpleNamespace(monotonic=lambda: now_s))
    away = SeldomWarning("gate away")
    with structlog.testing.capture_logs() as logged:
        for _ in range(5):
            away.say(fault="refused")
        now_s += 1.0
        away.say(fault="refused")
    assert [(line["event"], line["kept_back"]) for line in logged] == [
        ("gate away", 0),
        ("gate away", 4),
    ]
