"""Endpoints that change how the device talks and connects: transitions, diagnostics, backup, Wi-Fi."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.errors import BadRequest, DutFailure
from harness.instruments.api_answers import Params
from harness.instruments.api_errors import Shadowed, shown
from harness.instruments.api_fields import Answer, flag, maybe, part, real, rows, text, whole
from harness.instruments.api_transport import ApiTransport


class Interval(Answer):
    """Something that repeats every ``interval_ms``."""

    enabled = flag()
    interval_ms = whole()


class TransitionSettings(Answer):
    """``/api/transitions/config``. The owner's firmware ignores bad values without a word."""

    enabled = flag()
    default_type = text()
    default_duration_ms = whole()
    default_easing = text()


class Transition(Answer):
    """``/api/transitions/status``; all but ``active`` only while one runs. ``progress`` 0 to 1."""

    active = flag()
    progress = maybe(real(0, 1))
    from_pattern_id = maybe(text())
    to_pattern_id = maybe(text())
    duration_ms = maybe(whole())
    elapsed_ms = maybe(whole())


class Backup(Answer):
    """``/api/config/backup``."""

    version = text()
    parameters = part(Answer)
    current_pattern = whole(0, 255)
    uptime_s = maybe(whole(key="uptime_seconds"))


class Link(Answer):
    """``/api/wifi/status``; the network's name is a credential and has no attribute."""

    rssi_dbm = real(-200, 50, key="rssi")
    ip = text()
    mac = text()


class Radio(Answer):
    """``/api/wifi/metrics``."""

    rssi_dbm = real(-200, 50)
    tx_power_dbm = real()
    connected = flag()


class LinkOptions(Answer):
    """``/api/wifi/link-options``."""

    force_bg_only = flag()
    force_ht20 = flag()


class Seen(Answer):
    """A network of a scan; its name is a credential of somebody and has no attribute."""

    rssi_dbm = real(-200, 50)


class Scan(Answer):
    """``/api/wifi/scan/results/json``: ``status`` pending, complete or idle."""

    status = text()
    results = rows(Seen)


class Settings(ApiTransport):
    """See the module. Every method raises what :meth:`ApiTransport.call` does."""

    def _post(self, path: str, **values: Any) -> Answer:
        return self.read(Answer, path, method="POST", payload=values)

    def diag(self, *, enabled: bool | None = None, interval_ms: int | None = None) -> Interval:
        """``/api/diag``: reads, or sets what is given; kept over restarts."""
        return self._interval("/api/diag", enabled, interval_ms)

    def realtime(self, *, enabled: bool | None = None, interval_ms: int | None = None) -> Interval:
        """``/api/realtime/config``: the WebSocket's broadcast, every 100 to 5000 ms; kept over restarts.

        With the default radio settings the device sends every 300 to 315 ms whatever stands here.
        """
        return self._interval("/api/realtime/config", enabled, interval_ms)

    def _interval(self, path: str, enabled: bool | None, interval_ms: int | None) -> Interval:
        given = {"enabled": enabled, "interval_ms": interval_ms}
        values = {name: value for name, value in given.items() if value is not None}
        return self.read(Interval, path, method="POST" if values else "GET", payload=values)

    def realtime_preset(self, name: str) -> Interval:
        """``/api/realtime/preset``: ``stress-low`` is 150 ms, anything else 250 ms; not kept."""
        return self.read(Interval, "/api/realtime/preset", method="POST", payload={"name": name})

    def transitions(self, **values: bool | int | str) -> TransitionSettings:
        """``/api/transitions/config``: reads, or sets the given values.

        Raises:
            DutFailure: a value was not taken.
        """
        path, method = "/api/transitions/config", "POST" if values else "GET"
        taken = self.read(TransitionSettings, path, method=method, payload=values)
        wrong = [name for name, value in values.items() if taken.get(name) != value]
        if wrong:
            raise DutFailure(f"{method} {path} did not take {', '.join(wrong)}", expected=str(values), got=shown(taken))
        return taken

    def transition(self) -> Transition:
        """``/api/transitions/status``."""
        return self.read(Transition, "/api/transitions/status")

    def backup(self) -> Backup:
        """``/api/config/backup``: 12 of the 23 parameters, and the pattern."""
        return self.read(Backup, "/api/config/backup")

    def restore(self, backup: Mapping[str, Any]) -> Answer:
        """``/api/config/restore``, and a look at what it did.

        Raises:
            BadRequest: a backup without version or parameters.
            DutFailure: a parameter that is not in the backup has changed (the owner's firmware fills those from
                memory nobody set), or one that is in it was not taken.
        """
        wanted = backup.get("parameters")
        if "version" not in backup or not isinstance(wanted, Mapping):
            raise BadRequest("not a backup", expected="version and parameters", got=shown(backup))
        before = self.read(Params, "/api/params")
        answer = self.read(Answer, "/api/config/restore", method="POST", payload=dict(backup))
        after = self.read(Params, "/api/params")
        changed = {name: value for name, value in after.items() if value != wanted.get(name, before.get(name))}
        if changed:
            raise DutFailure(
                "restoring left parameters that nobody asked for", expected=shown({n: before.get(n) for n in changed}),
                got=shown(changed), remedy="POST /api/reset, then set the parameters one by one",
            )  # fmt: skip
        return answer

    # ---- Wi-Fi -------------------------------------------------------------------------------------

    def wifi(self) -> Link:
        """``/api/wifi/status``."""
        return self.read(Link, "/api/wifi/status")

    def radio(self) -> Radio:
        """``/api/wifi/metrics``."""
        return self.read(Radio, "/api/wifi/metrics")

    def wifi_options(self, **values: bool) -> LinkOptions:
        """``/api/wifi/link-options``: ``force_bg_only``, ``force_ht20``. A change cuts the network for seconds."""
        method = "POST" if values else "GET"
        return self.read(LinkOptions, "/api/wifi/link-options", method=method, payload=values)

    def set_wifi_credentials(self, ssid: str, password: str) -> None:
        """``/api/wifi/credentials``; kept over restarts, cuts the network for seconds.

        Raises:
            BadRequest: a name or password no network can have. Neither is ever shown.
        """
        if not 1 <= len(ssid.encode()) <= 63 or len(password.encode()) > 63:
            raise BadRequest("these cannot be credentials", expected="a name of 1 to 63 bytes, a password of 0 to 63")
        self._post("/api/wifi/credentials", ssid=ssid, password=password)

    def wifi_password_length(self) -> int:
        """``/api/wifi/credentials``: bytes of the stored password; its network's name is not passed on."""
        return self.read(_Credentials, "/api/wifi/credentials").password_len

    def start_wifi_scan(self) -> Answer:
        """``/api/wifi/scan``: begins."""
        return self._post("/api/wifi/scan")

    def wifi_scan(self) -> Scan:
        """``/api/wifi/scan/results/json``.

        Raises:
            Shadowed: ``/api/wifi/scan/results`` answered in its place, which never holds a result.
        """
        path = "/api/wifi/scan/results/json"
        body = self.get(path)
        if "results" not in body:
            raise Shadowed(
                f"GET {path} is answered by /api/wifi/scan/results", expected="results", got=shown(body),
                remedy="this firmware tells the networks on its console only",
            )  # fmt: skip
        return Scan.of(f"GET {path}", body)

    def access_point(self) -> bool:
        """``/api/wifi/ap-mode``: whether the device is its own network."""
        return bool(self.read(_ApMode, "/api/wifi/ap-mode").ap_mode)

    def reassociate(self, reason: str = "") -> Answer:
        """``/api/wifi/reassociate``: cuts the network for seconds."""
        return self._post("/api/wifi/reassociate", **({"reason": reason} if reason else {}))

    def set_tx_power_dbm(self, power_dbm: float) -> float:
        """``/api/wifi/tx-power``: returns what the device applied, 8 to 19.5 dBm."""
        kind = _Applied
        return self.read(kind, "/api/wifi/tx-power", method="POST", payload={"power_dbm": power_dbm}).applied_dbm

    def set_power_save(self, on: bool) -> Answer:
        """``/api/wifi/power-save``."""
        return self._post("/api/wifi/power-save", enable=on)

    def set_wifi_channel(self, channel: int) -> Answer:
        """``/api/wifi/channel``: 1 to 13.

        Raises:
            BadRequest: another number.
        """
        if not 1 <= channel <= 13:
            raise BadRequest("there is no such Wi-Fi channel", expected="1 to 13", got=str(channel))
        return self._post("/api/wifi/channel", channel=channel)

    def set_band_steering(self, on: bool) -> Answer:
        """``/api/wifi/band-steering``: told back, without effect (a 2.4 GHz radio has nowhere to go)."""
        return self._post("/api/wifi/band-steering", enable=on)


class _ApMode(Answer):
    ap_mode = flag()


class _Credentials(Answer):
    password_len = whole(0, 63)


class _Applied(Answer):
    applied_dbm = real()
