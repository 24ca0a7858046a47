"""A firmware for tests of the board alone: speaks the board link, blinks, echoes, serves a page, crashes on command.

Packed into an image as its host program and run as such. Its modelled chip is simple: a frame every 10 ms, everything
else at the instant its cause arrives.
"""

import socket
import struct

sock = socket.socket(fileno=3)
inbox = b""
call_id = 0
deferred = []


def read():
    global inbox
    while True:
        if len(inbox) >= 4:
            (n,) = struct.unpack_from("<I", inbox)
            if len(inbox) >= 4 + n:
                kind, body = inbox[4], inbox[5 : 4 + n]
                inbox = inbox[4 + n :]
                return kind, body
        got = sock.recv(65536)
        if not got:
            raise SystemExit(0)
        inbox += got


def send(kind, body=b""):
    sock.sendall(struct.pack("<IB", len(body) + 1, kind) + body)


def call(op, body):
    global call_id
    call_id += 1
    send(0x85, struct.pack("<IB", call_id, op) + body)
    while True:
        kind, reply = read()
        if kind == 7:
            assert struct.unpack_from("<I", reply)[0] == call_id
            return reply[4], reply[5:]
        deferred.append((kind, reply))


def key(name):
    return bytes([2]) + b"k1" + bytes([len(name)]) + name


def say(at, text):
    send(0x84, struct.pack("<Q", at) + text.encode())


def net(at, kind, body):
    send(0x86, struct.pack("<QB", at, kind) + body)


class Firmware:
    def __init__(self, start):
        self.reason, self.slot = start[12], start[13]
        self.mac, self.now, self.frame, self.events = start[20:26].hex(":"), 0, 0, []
        self.mic_words = 0
        self.mic_sum = 0
        _, count = call(0x10, key(b"boots"))
        self.boots = int(count or b"0") + 1
        call(0x11, key(b"boots") + str(self.boots).encode())
        self.said = False
        self.streams = {}

    def take(self, kind, body):
        if kind == 3:
            words = struct.unpack(f"<{(len(body) - 8) // 4}i", body[8:])
            assert struct.unpack_from("<Q", body)[0] == self.mic_words
            self.mic_words += len(words)
            self.mic_sum = (self.mic_sum * 31 + sum(words)) & 0xFFFFFFFF
        elif kind in (4, 5, 6):
            (at,) = struct.unpack_from("<Q", body)
            assert at >= self.now, (at, self.now)
            self.events.append((at, kind, body[8:]))
            self.events.sort(key=lambda e: e[0])

    def grant(self, until, mask):
        if not self.said:
            say(1_000_000, f"Ready! boots={self.boots} reason={self.reason} slot={self.slot} mac={self.mac}\r\n")
            net(1_000_000, 11, struct.pack("<IH", 1, 80))
            net(1_000_000, 15, struct.pack("<IH", 2, 3232))
            self.said = True
        while True:
            next_frame = self.frame * 10_000_000
            next_event = self.events[0][0] if self.events else 1 << 62
            at = min(next_frame, next_event)
            if at > until:
                self.now = until
                break
            self.now = at
            if at == next_event:
                made = self.event(*self.events.pop(0))
                if made & mask:
                    break
            else:
                rgb = bytes([self.frame & 255, self.slot, 7]) * 160
                send(0x83, struct.pack("<QIH", at, 60, 160) + rgb + rgb)
                self.frame += 1
        send(0x88, struct.pack("<QQQIII", self.now, self.now // 2, 0, 0, 200_000, 100_000))
        send(0x82, struct.pack("<Q", self.now))

    def event(self, at, kind, body):
        if kind == 4:
            return self.command(at, body.decode().strip())
        if kind == 6:
            return self.network(at, body[0], body[1:])
        if kind == 5:
            self.reading = body[0]
        return 0

    def command(self, at, line):
        if line == "crash":
            say(at, "Guru Meditation Error: Core  0 panic'ed (LoadProhibited).\r\n")
            send(0x87, struct.pack("<QB", at, 4))
            raise SystemExit(0)
        if line == "hang":
            while True:
                pass
        if line == "die":
            raise SystemExit(7)
        if line == "mic":
            line = f"{self.mic_words} {self.mic_sum:08x}"
        say(at, f"echo {line}\r\n")
        return 2

    def network(self, at, kind, body):
        handle = struct.unpack_from("<I", body)[0]
        if kind == 1:
            say(at, f"ip {handle:08x}\r\n")
            return 2
        if kind == 3:
            text = f"boots={self.boots} " + "x" * 3_000
            page = f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()
            net(at, 12, struct.pack("<I", handle) + page)
            return 1
        if kind == 7:
            ip, port = struct.unpack_from("<IH", body, 4)
            net(at, 16, struct.pack("<IIH", 2, ip, port) + b"OK")
            net(at, 14, struct.pack("<IIH", 9, ip, int(body[10:].split()[1])))
            return 1
        if kind == 5:
            net(at, 12, struct.pack("<I", handle) + b"hello host")
            net(at, 13, struct.pack("<I", handle))
            return 1
        return 0


kind, body = read()
assert kind == 1, kind
send(0x81, struct.pack("<H", 1) + b"fake")
firmware = Firmware(body)
while True:
    kind, body = deferred.pop(0) if deferred else read()
    if kind == 2:
        firmware.grant(*struct.unpack("<QB", body))
    else:
        firmware.take(kind, body)
