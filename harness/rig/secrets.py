"""Secrets of a device: from the environment only, never in files, logs or reports."""

from __future__ import annotations

import os
import re

from harness.errors import BadRequest

API_KEY_VARIABLE = "K1HIL_API_KEY"
OTA_PASSWORD_VARIABLE = "K1HIL_OTA_PASSWORD"
_KEY = re.compile(r"[A-Za-z0-9_-]{16,64}")


def ota_password() -> str:
    """Password of the device's update port; "" when the environment (K1HIL_OTA_PASSWORD) has none."""
    return os.environ.get(OTA_PASSWORD_VARIABLE, "")


def api_headers() -> dict[str, str]:
    """What every request to the device's HTTP API carries: its key, when the environment (K1HIL_API_KEY) has one.

    Raises:
        BadRequest: the variable holds something no device takes as a key. Its content is not repeated.
    """
    key = os.environ.get(API_KEY_VARIABLE, "")
    if not key:
        return {}
    if not _KEY.fullmatch(key):
        raise BadRequest(
            f"{API_KEY_VARIABLE} does not hold a key",
            expected="16 to 64 letters, digits, '-' or '_'",
            got=f"{len(key)} characters",
        )
    return {"X-API-Key": key}
