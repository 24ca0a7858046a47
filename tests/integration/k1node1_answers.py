"""Routes of the modelled K1.node1 firmware in the order it registers them (contract §1.2), defects included."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from k1node1_state import BACKUP, DEFAULTS, HEAP_FREE, HEAP_TOTAL, IDS, Node1

SSID = "TheOwnersNet"
RECENT_MOST, RECENT_FILTERED_MOST, DUMP_MOST = 26, 25, 41  # trap 5: what the JSON documents hold
RGB_MOST = 127  # §1.2 leds/frame
ARRAYS_MOST = 32  # §1.2 audio/arrays: the 2 KB document holds 16 bins easily and 64 not
PARAMS_SENT = 20  # §1.2: GET leaves custom_param_* out
KEYFRAMES = [7] * 31 + [6, 6]  # 33 palettes, 229 keyframes

Answer = Callable[[Node1, dict[str, Any]], Any]


class Route(NamedTuple):
    method: str
    path: str
    window_ms: int
    answer: Answer


def _memory(device: Node1) -> dict[str, Any]:
    used = 1 - HEAP_FREE / HEAP_TOTAL
    # Trap 7: "cpu" is the used share of the heap times 45; it has nothing to do with work.
    return {"cpu_percent": used * 45, "memory_free_kb": HEAP_FREE, "memory_total_kb": HEAP_TOTAL}


def health(device: Node1, _: dict[str, Any]) -> Any:
    wifi = {"ssid": SSID, "rssi": -58, "ip": "10.0.0.7"}
    return {"status": "ok", "uptime_ms": device.ms, "fps": device.fps, **_memory(device), "connected": True,
            "wifi": wifi}  # fmt: skip


def info(device: Node1, _: dict[str, Any]) -> Any:
    # Trap 8: constants and the uptime; no version, commit, image, reset reason or boot count.
    build = {"platformio_platform": "espressif32@6.12.0", "framework": "arduino@3.20017.241212"}
    return {"device": "K1.reinvented", "uptime_ms": device.ms, "ip": "10.0.0.7", "mac": "34:85:18:00:00:01",
            "build": build}  # fmt: skip


def _stages(device: Node1) -> dict[str, float]:
    # Trap 6: rmt_wait is never counted. Trap 3: in silence nothing is quantised or sent.
    sent = not device.quiet
    return {"render": 1100.0, "quantize": 130.0 if sent else 0.0, "rmt_wait": 0.0, "rmt_tx": 4980.0 if sent else 0.0}


def performance(device: Node1, _: dict[str, Any]) -> Any:
    stages = _stages(device)
    return {"fps": device.fps, "frame_time_us": sum(stages.values()),
            **{f"{name}_avg_us": value for name, value in stages.items()}, **_memory(device),
            "memory_percent": (1 - HEAP_FREE / HEAP_TOTAL) * 100, "beat_queue_depth": 0, "beat_queue_capacity": 128,
            "beat_overflows_total": 0, "fps_history": [device.fps] * 16}  # fmt: skip


def frame_metrics(device: Node1, _: dict[str, Any]) -> Any:
    stages = _stages(device)
    written = min(64, device.frames)
    row = {f"{name}_us": round(value) for name, value in stages.items()}
    row |= {"total_us": sum(row.values()), "heap_free": HEAP_FREE * 1024, "fps": device.fps}
    empty = dict.fromkeys(row, 0)
    # §1.2: mis-indexed until 64 frames exist: reading starts at the write position, where nothing was written yet.
    slots = [dict(row) if i < written else empty for i in range(64)]
    start = device.frames % 64
    frames = [slots[(start + i) % 64] for i in range(written)]
    return {"frame_count": written, "buffer_size": 64,
            **{f"avg_{name}_us": value for name, value in stages.items()}, "avg_total_us": sum(stages.values()),
            "frames": frames}  # fmt: skip


def text_metrics(device: Node1, _: dict[str, Any]) -> Any:
    figures = {"k1_fps": device.fps, "k1_frame_time_us": 6210.0, "k1_cpu_percent": _memory(device)["cpu_percent"],
               "k1_memory_free_kb": HEAP_FREE, "k1_beat_events_count": 0, "k1_tempo_confidence": 0.31}  # fmt: skip
    return "".join(f"{name} {value}\n" for name, value in figures.items())


def _row(index: int) -> dict[str, Any]:
    return {"index": index, "name": IDS[index].title(), "id": IDS[index], "description": "",
            "audio_reactive": 3 <= index <= 20}  # fmt: skip


def patterns(device: Node1, _: dict[str, Any]) -> Any:
    return {"patterns": [_row(i) for i in range(len(IDS))], "current_pattern": device.pattern}


def current(device: Node1, _: dict[str, Any]) -> Any:
    row = _row(device.pattern)
    return {"index": row["index"], "id": row["id"], "name": row["name"], "is_audio_reactive": row["audio_reactive"]}


def select(device: Node1, fields: dict[str, Any]) -> Any:
    if "index" in fields:
        # §1.2: out of range or negative becomes 0 without a word.
        index = fields["index"] if 0 <= fields["index"] < len(IDS) else 0
    elif "id" in fields:
        if fields["id"] not in IDS:
            return 404, "pattern_not_found"
        index = IDS.index(fields["id"])
    else:
        return 400, "missing_field"
    if fields.get("transition"):
        # §1.2: a busy transition or the same pattern again is 404; the answer still shows the old pattern.
        if index == device.pattern or device.us < device.transition_until_us:
            return 404, "pattern_not_found"
        old, device.pattern, device.transition_until_us = device.pattern, index, device.us + 1_000_000
        return {"current_pattern": old, "id": IDS[old], "name": IDS[old].title()}
    device.pattern = index
    return {"current_pattern": index, "id": IDS[index], "name": IDS[index].title()}


def params(device: Node1, _: dict[str, Any]) -> Any:
    return dict(list(device.params.items())[:PARAMS_SENT])


def set_params(device: Node1, fields: dict[str, Any]) -> Any:
    device.take_params(fields)
    return dict(device.params)


def reset(device: Node1, _: dict[str, Any]) -> Any:
    device.params = dict(DEFAULTS)
    return dict(device.params)


def audio_config(device: Node1, _: dict[str, Any]) -> Any:
    return dict(device.audio)


def set_audio_config(device: Node1, fields: dict[str, Any]) -> Any:
    if not 0.5 <= fields.get("microphone_gain", 1.0) <= 2.0 or not 0.5 <= fields.get("vu_floor_pct", 0.9) <= 0.98:
        return 400, "invalid_value"
    device.audio |= {name: fields[name] for name in fields.keys() & device.audio.keys()}
    return {"microphone_gain": device.audio["microphone_gain"], "active": device.audio["active"]}


def tempo(device: Node1, _: dict[str, Any]) -> Any:
    bins = [{"idx": 134 - i, "bpm": 50 + (134 - i) * 0.5208, "magnitude": 0.8 - i / 10, "phase": 0.3,
             "beat": math.sin(0.3)} for i in range(5)]  # fmt: skip
    # Trap 10: the validation layer is never called: lock, locked tempo and the four measures keep their zeros.
    measures = dict.fromkeys(("peak_ratio", "entropy", "temporal_stability", "combined"), 0)
    return {"tempo_confidence": 0.31, "tempi_power_sum": 3.2, "silence_detected": not device.sound,
            "silence_level": 0.0 if device.sound else 1.0, "max_tempo_range": 1.0, "snapshot_valid": True,
            "confidence_metrics": measures, "tempo_lock_state": "UNLOCKED", "time_in_state_ms": device.ms,
            "locked_tempo_bpm": 0, "top_bins": bins}  # fmt: skip


def snapshot(device: Node1, _: dict[str, Any]) -> Any:
    level = 0.41 if device.sound else 0.0
    return {"vu_level": level, "vu_level_raw": level, "tempo_confidence": 0.31, "update_counter": device.audio_steps,
            "timestamp_us": device.u32(device.audio_at), "is_valid": device.audio["active"]}  # fmt: skip


def audio_metrics(device: Node1, _: dict[str, Any]) -> Any:
    return {"fps": device.fps, "frame_time_us": 6210.0, "cpu_percent": _memory(device)["cpu_percent"],
            "memory_free_kb": HEAP_FREE, "beat_events_count": 0, "tempo_confidence": 0.31,
            "audio_update_counter": device.audio_steps, "audio_timestamp_us": device.u32(device.audio_at)}  # fmt: skip


def arrays(device: Node1, query: dict[str, Any]) -> Any:
    count = min(64, max(4, int(query.get("count", 16))))
    offset, stride = int(query.get("offset", 0)), int(query.get("stride", 64 // count))
    full = {"spectrogram": [round(((offset + i * stride) % 64) / 64, 3) for i in range(count)],
            "tempi": [0.1] * count, "count": count, "offset": offset, "stride": stride, "source_bins": 64,
            "source_tempi": 192, "history": int(query.get("history", 0)), "include_chromagram": 0}  # fmt: skip
    if query.get("include_chromagram") in ("1", "true"):
        full |= {"include_chromagram": 1, "chromagram": [0.2] * 12}
    if count > ARRAYS_MOST or full["history"]:
        # §1.2: the document overflows and silently loses its tail.
        return {"spectrogram": full["spectrogram"], "tempi": full["tempi"][: count // 2]}
    return full


def leds(device: Node1, query: dict[str, Any]) -> Any:
    limit = min(160, max(1, int(query.get("n", 160))))
    # Trap 3: the buffer of the last show(); stale in silence, and nothing says so.
    data: list[Any] = list(device.shown[:limit])
    told = "hex"
    if "fmt" in query:
        told = "\x03\x10"  # §1.2: a dangling pointer
        if query["fmt"] == "rgb":
            data = [[int(c[i : i + 2], 16) for i in (0, 2, 4)] for c in data][:RGB_MOST]
    return {"count": 160, "limit": limit, "format": told, "data": data}


def beats(device: Node1, _: dict[str, Any]) -> Any:
    # Trap 4: the main loop empties the queue every 5 ms.
    return {"count": 0, "capacity": 128, "events": []}


def led_tx(most: int) -> Answer:
    def answer(device: Node1, query: dict[str, Any]) -> Any:
        numbers = {name: int(query[name]) for name in ("limit", "since_us", "until_us") if name in query}
        found = [t for t in device.led_tx if numbers.get("since_us", 0) <= t <= numbers.get("until_us", 1 << 32)]
        # Trap 5: of the first 64 that pass, oldest first; so the newest are never seen. Comparing is not wrap-safe.
        found = found[:64]
        filtered = "since_us" in numbers or "until_us" in numbers
        room = RECENT_FILTERED_MOST if filtered and most == RECENT_MOST else most
        found = found[: min(min(64, numbers.get("limit", 16)) if most == RECENT_MOST else 64, room)]
        order = query.get("order", "desc")
        if order == "asc":  # trap 5: the label is the wrong way round
            found = found[::-1]
        return {"count": len(device.led_tx), "capacity": 256, **numbers, "order": order,
                "events": [{"timestamp_us": t} for t in found]}  # fmt: skip

    return answer


def probe(device: Node1, _: dict[str, Any]) -> Any:
    # §7: last_latency_ms is the time the tempo code takes, nothing that can be heard or seen.
    return {"active": True, "last_latency_ms": 1.8, "timestamp_us": device.u32(device.audio_at),
            "last_led_tx_us": device.u32(device.last_tx), "label": "audio_step"}  # fmt: skip


def align(device: Node1, query: dict[str, Any]) -> Any:
    if "t_us" not in query:
        return 400, "invalid_param"
    asked = int(query["t_us"])
    # Trap 9: plain differences of wrapped stamps.
    nearest = min(device.led_tx, key=lambda t: abs(t - asked), default=0)
    return {"count": len(device.led_tx), "capacity": 256, "t_us": asked, "nearest_timestamp_us": nearest,
            "delta_us": nearest - asked, "found": bool(device.led_tx)}  # fmt: skip


def rmt(device: Node1, _: dict[str, Any]) -> Any:
    # Trap 6: the probe has not been started since the firmware changed its LED driver.
    channel = {"empty": 0, "maxgap_us": 0, "trans_done": 0, "last_empty_us": 0}
    return {"wait_timeouts": 0, "ch1": channel, "ch2": dict(channel)}


def backup(device: Node1, _: dict[str, Any]) -> Any:
    return {"version": "1.0", "device": "K1.reinvented", "timestamp": device.ms, "uptime_seconds": device.ms // 1000,
            "parameters": {name: device.params[name] for name in BACKUP}, "current_pattern": device.pattern,
            "device_info": {"ip": "10.0.0.7", "mac": "34:85:18:00:00:01", "firmware": "v4.4.7"}}  # fmt: skip


def restore(device: Node1, fields: dict[str, Any]) -> Any:
    if not isinstance(fields.get("parameters"), dict) or "version" not in fields:
        return 400, "invalid_backup_format"
    device.take_params(fields["parameters"])
    device.scramble_unsaved()
    device.pattern = fields.get("current_pattern", device.pattern)
    return {"success": True, "parameters_restored": True, "pattern_restored": True, "timestamp": device.ms}


def echo(name: str, *known: str) -> Answer:
    """Settings that are taken as they come and told back."""

    def answer(device: Node1, fields: dict[str, Any]) -> Any:
        store: dict[str, Any] = getattr(device, name)
        store |= {key: fields[key] for key in fields.keys() & set(known)}
        return dict(store)

    return answer


def fixed(**told: Any) -> Answer:
    return lambda device, fields: dict(told)


def _palettes() -> list[dict[str, Any]]:
    colours = [{"position": 0, "r": 1, "g": 2, "b": 3}] * 7
    return [{"id": i, "name": f"Palette {i}", "keyframes": n, "colors": colours[:n]} for i, n in enumerate(KEYFRAMES)]


G, P = "GET", "POST"
ROUTES = (
    Route(G, "/api/test-connection", 200, lambda d, _: {"status": "ok", "timestamp": d.ms}),
    Route(G, "/api/health", 200, health),
    Route(G, "/api/device/info", 1000, info),
    Route(G, "/api/device-info", 1000, info),
    Route(G, "/api/device/performance", 500, performance),
    Route(G, "/api/device-performance", 500, performance),
    Route(G, "/api/frame-metrics", 500, frame_metrics),
    Route(G, "/metrics", 200, text_metrics),
    Route(G, "/api/metrics", 200, text_metrics),
    Route(G, "/api/patterns", 1000, patterns),
    Route(G, "/api/pattern/current", 200, current),
    Route(P, "/api/select", 200, select),
    Route(G, "/api/palettes", 2000, lambda d, _: {"palettes": _palettes()}),
    Route(G, "/api/params", 150, params),
    Route(P, "/api/params", 300, set_params),
    Route(G, "/api/params/bounds", 200, fixed(brightness={"min": 0, "max": 1, "step": 0.01})),  # never reached: trap 2
    Route(P, "/api/reset", 1000, reset),
    Route(G, "/api/audio-config", 500, audio_config),
    Route(P, "/api/audio-config", 300, set_audio_config),
    Route(P, "/api/audio/noise-calibrate", 1000, fixed(status="started", frames=512)),
    Route(G, "/api/audio/tempo", 200, tempo),
    Route(G, "/api/audio/snapshot", 300, snapshot),
    Route(G, "/api/audio/metrics", 200, audio_metrics),
    Route(G, "/api/audio/arrays", 200, arrays),
    Route(G, "/api/leds/frame", 200, leds),
    Route(G, "/api/beat-events/info", 200, fixed(count=0, capacity=128)),
    Route(G, "/api/beat-events/recent", 300, beats),
    Route(G, "/api/beat-events/dump", 500, beats),
    Route(G, "/api/led-tx/info", 200, lambda d, _: {"count": len(d.led_tx), "capacity": 256}),
    Route(G, "/api/led-tx/recent", 300, led_tx(RECENT_MOST)),
    Route(G, "/api/led-tx/dump", 500, led_tx(DUMP_MOST)),
    Route(G, "/api/latency/probe", 200, probe),
    Route(G, "/api/latency/align", 200, align),
    Route(G, "/api/rmt", 200, rmt),
    Route(P, "/api/rmt/reset", 500, rmt),
    Route(G, "/api/diag", 200, lambda d, _: {**d.diag, "probe_logging": False}),
    Route(P, "/api/diag", 300, echo("diag", "enabled", "interval_ms")),
    Route(G, "/api/realtime/config", 200, lambda d, _: dict(d.realtime)),
    Route(P, "/api/realtime/config", 300, echo("realtime", "enabled", "interval_ms")),
    Route(P, "/api/realtime/preset", 300,
          lambda d, f: {"enabled": True, "interval_ms": 150 if f.get("name") == "stress-low" else 250}),
    Route(G, "/api/transitions/config", 500, lambda d, _: dict(d.transitions)),
    Route(P, "/api/transitions/config", 300,
          echo("transitions", "enabled", "default_type", "default_duration_ms", "default_easing")),
    Route(G, "/api/transitions/status", 200, lambda d, _: {"active": d.us < d.transition_until_us}),
    Route(G, "/api/config/backup", 2000, backup),
    Route(P, "/api/config/restore", 2000, restore),
    Route(G, "/api/wifi/status", 500, fixed(ssid=SSID, rssi=-58, ip="10.0.0.7", mac="34:85:18:00:00:01",
                                            firmware="v4.4.7", force_bg_only=True, force_ht20=True)),
    Route(G, "/api/wifi/link-options", 500, lambda d, _: dict(d.link)),
    Route(P, "/api/wifi/link-options", 300, echo("link", "force_bg_only", "force_ht20")),
    Route(G, "/api/wifi/credentials", 500, fixed(ssid=SSID, password_len=12)),
    Route(P, "/api/wifi/credentials", 1500, lambda d, f: {"success": True, "ssid": f["ssid"], "password_len": 12}),
    Route(P, "/api/wifi/scan", 5000, fixed(status="scan_initiated", message="see serial")),
    Route(G, "/api/wifi/scan/results", 0, fixed(status="complete", message="see serial")),
    Route(G, "/api/wifi/scan/results/json", 5000, fixed(status="idle", results=[], count=0)),  # never reached: trap 2
    Route(G, "/api/wifi/ap-mode", 500, fixed(ap_mode=False)),
    Route(P, "/api/wifi/reassociate", 500, fixed(success=True)),
    Route(P, "/api/wifi/tx-power", 500, lambda d, f: {"applied_dbm": min(19.5, max(8, f["power_dbm"]))}),
    Route(P, "/api/wifi/power-save", 500, lambda d, f: {"power_save": f["enable"]}),
    Route(G, "/api/wifi/metrics", 500, fixed(ssid=SSID, rssi_dbm=-58, tx_power_dbm=19.5, connected=True)),
    Route(P, "/api/wifi/channel", 500, lambda d, f: {"channel": f["channel"]}),
    Route(P, "/api/wifi/band-steering", 500, lambda d, f: {"enabled": f["enable"]}),
)  # fmt: skip
