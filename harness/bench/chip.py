"""The chip as the board sees it: off, in its ROM loader, booting, or running an application; never a thread of its own.

Whoever owns it calls :meth:`Chip.advance` with host time. Everything here happens under the board's lock.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import NamedTuple

import numpy as np

from harness.bench import boot, link, nvs
from harness.bench.app import Counts, RunningApp
from harness.bench.clock import DeviceClock, HostClock
from harness.bench.config import BoardConfig
from harness.bench.console import ConsoleLine
from harness.bench.draws import Draws
from harness.bench.efuse import Efuse
from harness.bench.events import EventLog
from harness.bench.flash import NorFlash
from harness.bench.mic import Air, MicFaults, Microphone, Sound
from harness.bench.net import Network, board_ip
from harness.bench.payload import PayloadStore
from harness.bench.rom import Action, Loader
from harness.bench.slots import SlotWriter
from harness.errors import HarnessFault
from harness.wire.partitions import TABLE_BYTES, TABLE_OFFSET, PartitionError, parse_table

_NVS_DEFAULT = (0x9000, 0x5000)
_NO_APP_RETRY_NS = 1_000_000_000  # a chip that finds nothing to boot prints its complaint again and again


class Power(Enum):
    """What the chip is doing."""

    OFF = "off"
    LOADER = "loader"
    BOOTING = "booting"
    RUNNING = "running"
    NO_APP = "no app"


class ResetReason(IntEnum):
    """``hal::ResetReason``."""

    UNKNOWN = 0
    POWER_ON = 1
    EXTERNAL = 2
    SOFTWARE = 3
    PANIC = 4
    INT_WATCHDOG = 5
    TASK_WATCHDOG = 6
    BROWNOUT = 7
    USB = 8


class LightFrame(NamedTuple):
    """One transmission on both strip wires: host ns of its first bit, latch pause, RGB bytes as sent."""

    start_ns: int
    latch_us: int
    rgb_a: bytes
    rgb_b: bytes


@dataclass
class LightFaults:
    """Switchable while the board lives."""

    dead: frozenset[int] = frozenset()
    drop: float = 0.0


class Chip:
    """One ESP32-S3 with its flash, microphone and strips."""

    def __init__(
        self, *, host: HostClock, flash: NorFlash, efuse: Efuse, mac: bytes, draws: Draws, config: BoardConfig,
        console: ConsoleLine, network: Network, events: EventLog, skew_ppm: float,
    ) -> None:  # fmt: skip
        self.host = host
        self.flash = flash
        self.mac = mac
        self.config = config
        self.console = console
        self.network = network
        self.events = events
        self.skew_ppm = skew_ppm
        self.power = Power.OFF
        self.app: RunningApp | None = None
        self.clock = DeviceClock(host.now_ns, skew_ppm)
        self.loader = Loader(flash, efuse)
        self.light: deque[LightFrame] = deque(maxlen=config.light_tap_frames)
        self.light_lost = 0
        self.light_sink: Callable[[LightFrame], None] | None = None  # who else sees the light
        self.light_faults = LightFaults(frozenset(config.faults.dead_leds), config.faults.drop_frames)
        self.mic: Microphone | None = None
        self.mic_faults = MicFaults(config.faults.mute_mic, config.faults.unplug_mic)
        self.sounds: list[Sound] = []
        self.air: Air | None = None
        self.network_wanted = config.network and not config.faults.network_down
        self.cost_model = ""
        self.boots = 0
        self._boot_key = (0, 0)
        self._payloads = PayloadStore()
        self._draws = draws
        self._drop_draws = draws.stream("light drops")
        self._wake_ns = 0
        self._reason = ResetReason.POWER_ON
        self._next_app: boot.AppToRun | None = None
        self._slots: SlotWriter | None = None
        self._nvs: nvs.NvsStore | None = None
        self._reading = (False, 0)

    # ---- power and reset

    def power_off(self) -> None:
        """EN low."""
        self._end_app()
        self.power = Power.OFF

    def enter_loader(self) -> None:
        """EN released with the boot strap low."""
        self._end_app()
        self.power = Power.LOADER
        self.loader.reset()
        self.events.add(self.host.now_ns, "loader")
        self.console.emit_now(self.host.now_ns, self.loader.boot_text().encode())

    def start_boot(self, reason: ResetReason) -> None:
        """EN released, or a reset from inside: ROM and boot loader run, the application starts after ``boot_ms``."""
        self._end_app()
        self._boot_key = (self.host.epoch, self._boot_key[1] + 1 if self._boot_key[0] == self.host.epoch else 1)
        self.boots += 1
        self._reason = reason
        decision = boot.decide(self.flash, reason)
        now = self.host.now_ns
        boot_ns = round(self.config.boot_ms * 1e6)
        self.console.emit(now + boot_ns // 4, decision.text.encode())
        self._next_app = decision.app
        self.events.add(now, "boot", reason=reason.name, runs=None if decision.app is None else decision.app.slot)
        if decision.app is None:
            self.power = Power.NO_APP
            self._wake_ns = now + _NO_APP_RETRY_NS
        else:
            self.power = Power.BOOTING
            phase = self._stream("boot phase").uniform(0.0, 0.05)  # no two boots take exactly as long
            self._wake_ns = now + boot_ns + round(phase * boot_ns)

    def _stream(self, name: str, *keys: int) -> np.random.Generator:
        return self._draws.stream(name, *self._boot_key, *keys)

    def _end_app(self) -> None:
        if self.app is not None:
            self.app.stop()
            self.app = None
            self.network.power_off()
        self.mic = None

    def close(self) -> None:
        self.power_off()
        self._payloads.close()

    # ---- time

    def advance(self, target_ns: int, stop_mask: int = 0) -> None:
        """Runs to ``target_ns`` of host time, or less when the application stopped early as asked."""
        while self.host.now_ns < target_ns:
            if self.power is Power.RUNNING:
                if self._grant(target_ns, stop_mask):
                    return
            elif self.power is Power.BOOTING and self._wake_ns <= target_ns:
                self.host.advance_to(self._wake_ns)
                self._start_app()
            elif self.power is Power.NO_APP and self._wake_ns <= target_ns:
                self.host.advance_to(self._wake_ns)
                self.start_boot(ResetReason.INT_WATCHDOG)
            else:
                self.host.advance_to(target_ns)

    def _grant(self, target_ns: int, stop_mask: int) -> bool:
        """One grant; True when it ended early."""
        app = self.app
        assert app is not None
        want = self.clock.to_device(target_ns)
        if want <= app.now_ns:  # less than a device nanosecond to go
            self.host.advance_to(target_ns)
            return False
        reached = app.advance(want, stop_mask)
        if app.reset is not None:
            self.host.advance_to(self.clock.to_host(app.reset.at_ns))
            try:
                reason = ResetReason(app.reset.reason)
            except ValueError:
                reason = ResetReason.UNKNOWN
            self.events.add(self.host.now_ns, "reset", reason=reason.name, device_ns=app.reset.at_ns)
            self.start_boot(reason)
            return False
        if reached >= want:
            self.host.advance_to(target_ns)
            return False
        self.host.advance_to(self.clock.to_host(reached))
        return True

    def _start_app(self) -> None:
        run = self._next_app
        assert run is not None
        self.clock = DeviceClock(self.host.now_ns, self.skew_ppm)
        draws = self._stream("application start")
        first_sample_ns = int(draws.integers(0, link.SAMPLE_NS))
        start = link.StartInfo(
            schedule_seed=int(draws.integers(0, 2**63)), reset_reason=int(self._reason), slot=run.slot,
            slot_state=run.slot_state, slot_size=run.slot_size, mac=self.mac, sha256=run.sha256,
            heap_bytes=self.config.heap_bytes, first_sample_ns=first_sample_ns,
            random_seed=int(draws.integers(0, 2**32)), ip=0, rssi_dbm=0,
        )  # fmt: skip
        self._slots = SlotWriter(self.flash, run.slot)
        self._nvs = nvs.NvsStore(self.flash, *self._nvs_region())
        self.mic = Microphone(
            clock=self.clock, first_sample_ns=first_sample_ns, noise=lambda block: self._stream("microphone", block),
            noise_rms=10.0 ** (self.config.mic_noise_dbfs / 20.0), dc_offset=self.config.mic_dc_offset,
            sounds=self.sounds, faults=self.mic_faults, air=self.air,
        )  # fmt: skip
        self.app = RunningApp(
            self._payloads.spawn(run.payload), start, self.mic, self,
            wall_deadline_s=self.config.wall_deadline_s, evidence=f"slot {run.slot}, image {run.sha256.hex()[:16]}",
        )  # fmt: skip
        self.power = Power.RUNNING
        self.cost_model = self.app.cost_model
        self.events.add(
            self.host.now_ns, "application", slot=run.slot, skew_ppm=self.skew_ppm, first_sample_ns=first_sample_ns
        )
        self.app.schedule(0, link.CONSOLE_HOST, link.host_body(*self._reading))
        if self.network_wanted:
            self._set_link(round(self.config.wifi_connect_ms * 1e6))

    def _nvs_region(self) -> tuple[int, int]:
        try:
            table = parse_table(self.flash.read(TABLE_OFFSET, TABLE_BYTES))
        except PartitionError:
            return _NVS_DEFAULT
        return next(((p.offset, p.size) for p in table if (p.type, p.subtype) == (1, 2)), _NVS_DEFAULT)

    # ---- inputs

    def add_sound(self, sound: Sound) -> None:
        """Into the air; forgets those that have ended."""
        self.sounds[:] = [s for s in self.sounds if s.end_ns > self.host.now_ns]
        self.sounds.append(sound)
        self._refresh_mic()

    def clear_sounds(self) -> None:
        self.sounds.clear()
        self._refresh_mic()

    def _refresh_mic(self) -> None:
        if self.mic is not None:
            self.mic.refresh()

    def time_jumped(self, by_ns: int) -> None:
        """Host time was moved on while nothing ran. A running application does not notice; a boot starts over."""
        if self.power is Power.RUNNING:
            self.clock = DeviceClock(self.clock.boot_ns + by_ns, self.skew_ppm)
            self.network.time_jumped(by_ns)
            self.sounds.clear()
            if self.mic is not None:
                self.mic.clock = self.clock
                self.mic.refresh()
        elif self.power in (Power.BOOTING, Power.NO_APP):
            self.start_boot(self._reason)

    def feed_loader(self, data: bytes) -> list[Action]:
        """Bytes of the host while the ROM loader or stub runs; what the chip asks of the board."""
        actions = []
        for out in self.loader.feed(data):
            if isinstance(out, bytes):
                self.console.emit_now(self.host.now_ns, out)
            else:
                actions.append(out)
        return actions

    def console_rx(self, at_ns: int, data: bytes) -> None:
        """Bytes arriving at the application's console at a host time; lost while none runs."""
        if self.app is not None:
            self.app.schedule(self.clock.to_device(at_ns), link.CONSOLE_RX, data)

    def set_reading(self, reading: bool, bytes_per_s: int) -> None:
        """The host reads the console, or has stopped."""
        if (reading, bytes_per_s) != self._reading:
            self._reading = (reading, bytes_per_s)
            if self.app is not None:
                at = self.clock.to_device(self.host.now_ns)
                self.app.schedule(at, link.CONSOLE_HOST, link.host_body(reading, bytes_per_s))

    def send_net(self, host_ns: int, kind: int, body: bytes) -> None:
        """A NET frame for the application; lost while none runs."""
        if self.app is not None:
            self.app.schedule(self.clock.to_device(host_ns), link.NET_IN, link.net_body(kind, body))

    def set_network(self, up: bool) -> None:
        """Access point there or gone."""
        self.network_wanted = up
        if self.app is None:
            return
        if up:
            self._set_link(self.app.now_ns + round(self.config.wifi_connect_ms * 1e6))
        else:
            self.network.down()
            body = struct.pack("<Ib", 0, 0)
            self.app.schedule(self.app.now_ns, link.NET_IN, link.net_body(link.NET_LINK, body))

    def _set_link(self, device_ns: int) -> None:
        assert self.app is not None
        body = struct.pack("<Ib", board_ip(self.mac), self.config.rssi_dbm)
        self.app.schedule(device_ns, link.NET_IN, link.net_body(link.NET_LINK, body))
        self.network.up_from(self.clock.to_host(device_ns))

    @property
    def counts(self) -> Counts:
        return Counts() if self.app is None else self.app.counts

    # ---- outputs of the application (AppSinks)

    def on_light(self, at_ns: int, latch_us: int, rgb_a: bytes, rgb_b: bytes) -> None:
        faults = self.light_faults
        if faults.drop and self._drop_draws.random() < faults.drop:
            self.events.add(self.clock.to_host(at_ns), "frame dropped")
            return
        if faults.dead:
            rgb_a, rgb_b = (_darken(rgb, faults.dead) for rgb in (rgb_a, rgb_b))
        if len(self.light) == self.config.light_tap_frames:
            self.light_lost += 1
        frame = LightFrame(self.clock.to_host(at_ns), latch_us, rgb_a, rgb_b)
        self.light.append(frame)
        if self.light_sink is not None:
            self.light_sink(frame)

    def on_console(self, at_ns: int, data: bytes) -> None:
        self.console.emit(self.clock.to_host(at_ns), data)

    def on_net(self, at_ns: int, kind: int, body: bytes) -> None:
        try:
            self.network.on_out(self.clock.to_host(at_ns), kind, body)
        except struct.error as e:
            raise HarnessFault("the firmware process broke the board link", got=f"NET kind {kind}: {e}") from e

    def on_call(self, op: int, body: bytes) -> tuple[bool, bytes]:
        if op in (link.KV_GET, link.KV_SET, link.KV_ERASE):
            return self._kv_call(op, body)
        slots = self._slots
        if slots is None:
            return False, b""
        if op == link.SLOT_BEGIN and len(body) == 4:
            return bool(slots.begin(int.from_bytes(body, "little"))), b""
        if op == link.SLOT_WRITE and len(body) >= 4:
            return bool(slots.write(int.from_bytes(body[:4], "little"), body[4:])), b""
        if op == link.SLOT_FINISH:
            return bool(slots.finish()), b""
        if op == link.SLOT_ABORT:
            slots.abort()
            return True, b""
        if op == link.SLOT_CONFIRM:
            return bool(slots.confirm()), b""
        if op == link.SLOT_INVALID:
            return bool(slots.invalidate()), b""
        return False, b""

    def _kv_call(self, op: int, body: bytes) -> tuple[bool, bytes]:
        names = nvs.parse_names(body)
        if names is None or self._nvs is None:
            return False, b""
        space, key, value = names
        if op == link.KV_GET:
            found = self._nvs.get(space, key)
            return found is not None, found or b""
        if op == link.KV_SET:
            return self._nvs.set(space, key, value), b""
        return self._nvs.erase(space, key), b""


def _darken(rgb: bytes, dead: frozenset[int]) -> bytes:
    out = bytearray(rgb)
    for led in dead:
        out[3 * led : 3 * led + 3] = bytes(len(out[3 * led : 3 * led + 3]))
    return bytes(out)
