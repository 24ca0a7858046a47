"""Tells people: one message to an incoming webhook (Slack-compatible JSON), whose address is a secret."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from harness.errors import BadRequest, RigFault

ENV = "K1HIL_ALERT_URL"
TIMEOUT_S = 10.0
MAX_TEXT = 3000
SEVERITIES = ("info", "warning", "critical")


@dataclass(frozen=True)
class Sent:
    """Whether a message went out; ``why`` it did not."""

    sent: bool
    why: str = ""


def alert(title: str, text: str, severity: str = "warning", *, url: str | None = None) -> Sent:
    """Sends a message.

    Args:
        title, text: what happened; longer ones are cut.
        severity: info, warning or critical.
        url: default ``K1HIL_ALERT_URL``; without one nothing is sent, and said so.

    Raises:
        BadRequest: no http(s) address, an unknown severity, or the address refuses the message.
        RigFault: nobody answers there.
    """
    if severity not in SEVERITIES:
        raise BadRequest("unknown severity", expected=", ".join(SEVERITIES), got=repr(severity[:40]))
    where = os.environ.get(ENV, "") if url is None else url
    if not where:
        return Sent(False, f"no address: {ENV} is not set")
    if urlsplit(where).scheme not in ("http", "https"):
        raise BadRequest(f"{ENV} is no web address", expected="http:// or https://")
    host = str(urlsplit(where).hostname)
    message = f"[{severity}] {title[:200]}\n{text[:MAX_TEXT]}".strip()
    try:
        answer = httpx.post(where, json={"text": message}, timeout=TIMEOUT_S, follow_redirects=False)
    except httpx.HTTPError as error:
        # The path of such an address is the secret: only the host is ever named.
        raise RigFault("the alert cannot be sent", got=type(error).__name__, evidence=host) from None
    if answer.status_code >= 500 or answer.status_code == 429:
        raise RigFault("the alert was not taken", got=str(answer.status_code), evidence=host)
    if not answer.is_success:
        raise BadRequest("the alert was refused", got=str(answer.status_code), evidence=host)
    return Sent(True)
