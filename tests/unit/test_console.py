"""Console, telemetry and API client over a scripted port: cursors, errors, secrets, commands, rate limits."""

import gzip

import httpx
import pytest

from harness.errors import DutFailure, RigFault
from harness.instruments.api import ApiError, BadAnswer, DeviceApi, RateLimited
from harness.instruments.console import Console, ConsoleTimeout
from harness.instruments.telemetry import CommandRefused, Telemetry
from harness.wire.telemetry import encode_sentence


class Script:
    """A port and a clock in one: time is what the script says, and an answer is a function of what was written."""

    def __init__(self, answer=None):
        self.time_ns = 1_000_000_000
        self.coming = []
        self.written = b""
        self.answer = answer

    def at(self, ns, data):
        self.coming.append((ns, data))

    def now_ns(self):
        return self.time_ns

    def wait(self, condition, timeout_s, *, stop=None):
        end = self.time_ns + round(timeout_s * 1e9)
        while not condition():
            if self.time_ns >= end:
                return False
            self.time_ns = min([end, *(ns for ns, _ in self.coming if ns > self.time_ns)])
        return True

    def sleep_until(self, host_ns):
        self.time_ns = max(self.time_ns, host_ns)

    def read_stamped(self):
        now = [(ns, data) for ns, data in self.coming if ns <= self.time_ns]
        self.coming = [c for c in self.coming if c not in now]
        return now

    def write(self, data):
        self.written += data
        if self.answer is not None:
            for delay_ns, reply in self.answer(data):
                self.at(self.time_ns + delay_ns, reply)
        return len(data)


def frame(seq):
    return encode_sentence("FRM", [seq, seq * 6000, 800, 100, 4860, 200_000, 0, 3, 0, 1])


def test_lines_are_stamped_and_telemetry_stays_out_of_the_text(tmp_path):
    port = Script()
    console = Console(port, port, tmp_path / "console.log")
    telemetry = Telemetry(console)
    port.at(5, b"boot\r\nhal")
    port.at(6, b"f\n" + frame(1) + frame(2)[:9])
    port.at(7, frame(2)[9:] + b"\x1b[31mred\x1b[0m\r\n")
    console.pump()
    assert [(line.host_ns, line.text) for line in console.lines] == [(5, "boot"), (6, "half"), (7, "red")]
    frames = telemetry.frames()
    assert frames["seq"].tolist() == [1, 2] and frames["host_ns"].tolist() == [6, 7]
    console.close()
    assert (tmp_path / "console.log").read_bytes() == b"boot\r\nhalf\n" + frame(1) + frame(
        2
    ) + b"\x1b[31mred\x1b[0m\r\n"


def test_two_cursors_do_not_steal_from_each_other():
    port = Script()
    console = Console(port, port)
    one, two = console.cursor(), console.cursor()
    port.at(2_000_000_000, b"abc 42 def\nnext")
    assert one.expect(r"(\d+)", 5).group(1) == "42"
    assert one.expect("next", 5) and two.expect("abc", 0.0).start() == 0
    assert two.read() == b" 42 def\nnext"
    assert two.read() == b""
    port.at(3_000_000_000, b" more\n")
    assert two.read(timeout_s=5) == b" more\n"
    assert port.time_ns == 3_000_000_000  # woken by the bytes, not by the time-out


def test_a_cursor_moves_by_bytes_whatever_they_are():
    port = Script()
    console = Console(port, port)
    cursor = console.cursor()
    port.at(1, b"\xff\xfe \xc3\xbc ok tail\n")
    assert cursor.expect("ok", 1)
    assert cursor.read() == b" tail\n"


def test_a_failed_expect_shows_pattern_tail_and_log(tmp_path):
    port = Script()
    console = Console(port, port, tmp_path / "console.log")
    cursor = console.cursor()
    port.at(1, b"\x1b[31mGuru Meditation\x1b[0m \x07\r\n")
    with pytest.raises(ConsoleTimeout) as caught:
        cursor.expect("Ready!", 2.0)
    text = str(caught.value)
    assert "Ready!" in text and "Guru Meditation ." in text and "console.log" in text and "\x1b" not in text
    assert port.time_ns == 3_000_000_000
    assert cursor.read() == b"\x1b[31mGuru Meditation\x1b[0m \x07\r\n"  # a failed expect consumes nothing


def test_credentials_never_reach_the_log(tmp_path):
    secret = "Tr0ub4dor"
    port = Script(
        lambda data: [
            (10, b"[00:00:01.000] INFO  [W] pass Tr0ub"),
            (20, b"4dor!\n" + encode_sentence("ACK", ["wifi", ""])),
        ]
    )
    console = Console(port, port, tmp_path / "console.log")
    Telemetry(console).command(f"wifi MyNetwork {secret}")
    assert port.written == f"wifi MyNetwork {secret}\n".encode()
    console.close()
    log = (tmp_path / "console.log").read_text()
    assert secret not in log and "MyNetwork" not in log and ">>> wifi *** ***" in log
    assert not any(secret in line.text for line in console.lines)


def test_commands():
    def answer(data):
        verb = data.split()[0].decode()
        replies = {"telemetry": ["ACK", "telemetry", "on"], "select": ["NAK", "select", "unknown_pattern"]}
        if verb == "sync":
            return [
                (400_000, encode_sentence("SYN", ["stale", 1])),
                (900_000, encode_sentence("SYN", [data.split()[1].decode(), 77])),
            ]
        if verb == "param":
            return [(5, encode_sentence("ACK", ["param", "speed=0.250000"]))]
        return [(5, encode_sentence(replies[verb][0], replies[verb][1:]))] if verb in replies else []

    port = Script(answer)
    telemetry = Telemetry(Console(port, port))
    telemetry.on()
    assert telemetry.param("speed", 0.25) == 0.25
    with pytest.raises(CommandRefused) as refused:
        telemetry.select("nope")
    assert refused.value.reason == "unknown_pattern"
    pair = telemetry.sync_pairs(1)[0]
    assert (pair.t_us, pair.rtt_ns) == (77, 900_000)
    with pytest.raises(DutFailure, match="no answer to the command 'reboot'"):
        telemetry.command("reboot", 1.0)


def test_streams_since_a_mark():
    port = Script()
    telemetry = Telemetry(Console(port, port))
    port.at(1, frame(1) + encode_sentence("BEAT", [5, 120, 0.5]))
    mark = telemetry.mark()
    port.at(2, frame(2) + encode_sentence("ONS", [9, 0.25]))
    assert telemetry.frames(mark)["seq"].tolist() == [2]
    assert telemetry.events(mark) == [{"kind": "onset", "t_us": 9, "strength": 0.25, "host_ns": 2}]
    telemetry.forget()
    assert telemetry.frames()["seq"].size == 0 and telemetry.pixel_rows()["rgb"].shape == (0, 160, 3)


def api_of(handler, clock):
    client = httpx.Client(base_url="http://device", transport=httpx.MockTransport(handler))
    return DeviceApi(client, clock)


def test_a_rate_limit_is_waited_out_on_the_rigs_clock():
    clock = Script()
    start = clock.time_ns
    answers = [
        httpx.Response(429, headers={"X-RateLimit-NextAllowedMs": "750"}, json={"error": "rate_limited"}),
        httpx.Response(429, headers={"X-RateLimit-NextAllowedMs": "nonsense"}, json={"error": "rate_limited"}),
        httpx.Response(200, json={"status": "ok", "uptime_ms": 5, "fps": 166.0}),
    ]
    api = api_of(lambda request: answers.pop(0), clock)
    assert api.health()["fps"] == 166.0
    assert api.limited == 2 and clock.time_ns - start == 950_000_000


def test_a_rate_limit_without_end_is_an_error():
    api = api_of(lambda request: httpx.Response(429, json={"error": "rate_limited"}), Script())
    with pytest.raises(RateLimited) as caught:
        api.params()
    assert (caught.value.status, caught.value.code) == (429, "rate_limited")


def test_errors_are_typed():
    def handler(request):
        return {
            "/api/select": httpx.Response(404, json={"error": "pattern_not_found", "status": 404}),
            "/api/health": httpx.Response(200, text="<html>"),
            "/api/device/info": httpx.Response(200, json={"device": "K1"}),
        }[request.url.path]

    api = api_of(handler, Script())
    with pytest.raises(ApiError) as caught:
        api.select("nope")
    assert caught.value.code == "pattern_not_found"
    with pytest.raises(BadAnswer, match="JSON"):
        api.health()
    with pytest.raises(BadAnswer, match="lacks mac"):
        api.info()


def test_lost_connections_are_typed():
    def refuse(request):
        raise httpx.ConnectError("refused")

    def hang(request):
        raise httpx.ReadTimeout("")

    with pytest.raises(RigFault, match="no connection"):
        api_of(refuse, Script()).health()
    with pytest.raises(DutFailure, match="no sound answer"):
        api_of(hang, Script()).health()


def test_posts_always_carry_json():
    seen = []

    def handler(request):
        seen.append((request.headers.get("content-type"), request.content))
        return httpx.Response(200, json={"brightness": 1.0})

    api_of(handler, Script()).reset_params()
    assert seen == [("application/json", b"{}")]


# ---- answers without end


class Drip(httpx.SyncByteStream):
    """A body that comes piece by piece; between two pieces time passes on the rig's clock."""

    def __init__(self, clock, pieces, size, every_s):
        self.clock, self.pieces, self.size, self.every_s = clock, pieces, size, every_s
        self.given = 0

    def __iter__(self):
        for _ in range(self.pieces):
            self.clock.time_ns += round(self.every_s * 1e9)
            self.given += 1
            yield b" " * self.size


def test_a_body_too_large_is_not_read_to_its_end():
    clock = Script()
    body = Drip(clock, 10_000, 1 << 16, 0.0)
    with pytest.raises(BadAnswer, match="answers without end"):
        api_of(lambda request: httpx.Response(200, stream=body), clock).health()
    assert body.given <= 1 + (4 << 20) // (1 << 16)


def test_an_answer_that_drips_ends_in_time():
    clock = Script()
    body = Drip(clock, 10_000, 1, 4.0)
    with pytest.raises(DutFailure, match="does not end"):
        api_of(lambda request: httpx.Response(200, stream=body), clock).health()
    assert body.given <= 7


def test_a_packed_answer_is_unpacked_once():
    packed = gzip.compress(b'{"status": "ok", "uptime_ms": 5, "fps": 166.0}')
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json", "X-Other": "kept"}
    api = api_of(lambda request: httpx.Response(200, headers=headers, content=packed), Script())
    assert api.health()["fps"] == 166.0
    assert api.request("GET", "/api/health").headers["x-other"] == "kept"
