"""The HTTP API of the device contract: every route the suite knows, with its fields and their types."""

NUMBER = (int, float)
ERROR = {"error": str, "timestamp": int, "status": int}

GET = {
    "/api/test-connection": {"status": str, "timestamp": int},
    "/api/health": {"status": str, "uptime_ms": int, "fps": NUMBER, "cpu_percent": NUMBER, "memory_free_kb": int,
                    "memory_total_kb": int, "connected": bool, "wifi": dict},
    "/api/device/info": {"device": str, "uptime_ms": int, "ip": str, "mac": str, "build": dict},
    "/api/device-info": {"device": str, "uptime_ms": int, "ip": str, "mac": str, "build": dict},
    "/api/device/performance": {"fps": NUMBER, "frame_time_us": NUMBER, "render_avg_us": NUMBER,
                                "quantize_avg_us": NUMBER, "rmt_tx_avg_us": NUMBER, "cpu_percent": NUMBER,
                                "memory_free_kb": int, "fps_history": list},
    "/api/frame-metrics": {"frame_count": int, "buffer_size": int, "avg_render_us": NUMBER, "frames": list},
    "/api/patterns": {"patterns": list, "current_pattern": int},
    "/api/pattern/current": {"index": int, "id": str, "name": str, "is_audio_reactive": bool},
    "/api/params": {"brightness": NUMBER, "speed": NUMBER, "palette_id": NUMBER, "mirror_mode": bool,
                    "frame_min_period_ms": NUMBER},
    "/api/params/bounds": {"brightness": dict, "frame_min_period_ms": dict},
    "/api/audio-config": {"microphone_gain": NUMBER, "vu_floor_pct": NUMBER, "active": bool},
    "/api/audio/tempo": {"tempo_confidence": NUMBER, "silence_detected": bool, "tempo_lock_state": str,
                         "top_bins": list},
    "/api/audio/snapshot": {"vu_level": NUMBER, "vu_level_raw": NUMBER, "update_counter": int, "timestamp_us": int,
                            "is_valid": bool},
    "/api/audio/arrays": {"spectrogram": list, "tempi": list, "count": int, "source_bins": int, "source_tempi": int},
    "/api/leds/frame": {"count": int, "limit": int, "format": str, "data": list},
    "/api/led-tx/info": {"count": int, "capacity": int},
    "/api/led-tx/recent": {"count": int, "capacity": int, "order": str, "events": list},
    "/api/latency/probe": {"active": bool, "last_latency_ms": NUMBER, "timestamp_us": int, "last_led_tx_us": int},
    "/api/latency/align?t_us=1": {"count": int, "capacity": int, "found": bool, "delta_us": int},
}  # fmt: skip

# Route, body, status, error word. None of these may crash the device or change anything.
BAD = {
    "select, not JSON": ("/api/select", b"{", 400, "invalid_json"),
    "select, empty body": ("/api/select", b"", 400, "invalid_json"),
    "select, an array": ("/api/select", b"[1]", 400, "invalid_json"),
    "select, nothing said": ("/api/select", b"{}", 400, "missing_field"),
    "select, number as id": ("/api/select", b'{"id":123}', 400, "invalid_value"),
    "select, null as id": ("/api/select", b'{"id":null}', 400, None),
    "select, unknown id": ("/api/select", b'{"id":"no_such"}', 404, "pattern_not_found"),
    "select, index too large": ("/api/select", b'{"index":250}', 404, "pattern_not_found"),
    "select, negative index": ("/api/select", b'{"index":-1}', 400, "invalid_value"),
    "select, huge index": ("/api/select", b'{"index":1e99}', 400, "invalid_value"),
    "select, very long id": ("/api/select", b'{"id":"' + b"x" * 900 + b'"}', 404, "pattern_not_found"),
    "params, text for a number": ("/api/params", b'{"brightness":"bright"}', 400, "invalid_value"),
    "params, deep nesting": ("/api/params", b'{"a":' * 200 + b"1" + b"}" * 200, 400, "invalid_json"),
    "params, bad escapes": ("/api/params", b'{"brightness\\u12":1}', 400, "invalid_json"),
    "params, NUL bytes": ("/api/params", b"\0" * 64, 400, "invalid_json"),
    "params, not UTF-8": ("/api/params", b'{"\xff\xfe":1}', None, None),
    "audio gain out of range": ("/api/audio-config", b'{"microphone_gain":99}', 400, "invalid_value"),
    "audio gain as text": ("/api/audio-config", b'{"microphone_gain":"2"}', 400, "invalid_value"),
}

BAD_QUERIES = {
    "/api/latency/align": 400,
    "/api/latency/align?t_us=abc": 400,
    "/api/latency/align?t_us=99999999999": 400,
    "/api/leds/frame?n=0": 400,
    "/api/leds/frame?n=161": 400,
    "/api/leds/frame?n=-1": 400,
    "/api/leds/frame?fmt=%s%s%s": 400,
    "/api/audio/arrays?count=1000000": 400,
    "/api/led-tx/recent?limit=0": 400,
    "/api/led-tx/recent?order=sideways": 400,
    "/api/nothing": 404,
    "/api/patterns/extra": 404,
    "/../../etc/passwd": 404,
}
