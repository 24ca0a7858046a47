"""One virtual board: the chip, the wires to it, and the clock that moves it.

In virtual time the caller's own thread moves the board (:meth:`Board.run_until`). While ports are served to outside
clients a pacing thread leads it along wall time. All state is guarded by one re-entrant lock.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import httpcore
import numpy as np
from numpy.typing import NDArray

from harness.bench import link
from harness.bench.app import Counts
from harness.bench.cable import Cable
from harness.bench.camera import VirtualCamera
from harness.bench.chip import Chip, LightFrame, Power, ResetReason
from harness.bench.clock import ClockMode, HostClock
from harness.bench.config import BoardConfig, Wiring
from harness.bench.console import ConsoleLine
from harness.bench.draws import Delays, Draws
from harness.bench.efuse import Efuse
from harness.bench.events import EventLog
from harness.bench.faults import Faults
from harness.bench.flash import NorFlash
from harness.bench.handle import Stop
from harness.bench.http_backend import VirtualBackend
from harness.bench.identity import load_mac
from harness.bench.lines import LineEvent
from harness.bench.net import Network, board_ip, ip_text
from harness.bench.port import VirtualPort
from harness.bench.rom import Action
from harness.bench.serving import Addresses, Serving
from harness.bench.sounds import Sounds
from harness.errors import HarnessFault, K1HilError

_STOP_MASK = {None: 0, "net": link.STOP_ON_NET, "console": link.STOP_ON_CONSOLE}


class Board:
    """One virtual board.

    Args:
        state_dir: folder that keeps ``flash.bin`` and ``board.json``; None: a folder that is removed by :meth:`close`.
        seed: of everything random in this run.
        mac: 6 bytes; default: the one in ``board.json``, else drawn from the seed.
        wiring: of the reset lines; default: as configured.
        config: what the board is like.

    Raises:
        BadRequest: an unusable ``state_dir``.
    """

    def __init__(
        self,
        state_dir: Path | None = None,
        *,
        seed: int,
        mac: bytes | None = None,
        wiring: Wiring | None = None,
        config: BoardConfig | None = None,
    ) -> None:
        self.config = config or BoardConfig()
        self.seed = seed
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.fault: K1HilError | None = None
        self.harness_faults: list[HarnessFault] = []
        self.on_report: Callable[[HarnessFault], None] | None = None
        self.host = HostClock()
        self._draws = Draws(seed)
        self._temporary = state_dir is None
        self.state_dir = Path(tempfile.mkdtemp(prefix="k1hil-board-")) if state_dir is None else state_dir
        self.mac = load_mac(self.state_dir, mac, self._draws)
        self.ip = board_ip(self.mac)
        self.event_log = self.state_dir / "events.jsonl"
        self.events = EventLog(self.event_log)
        self._delays = Delays(self._draws, self.config.link_jitter_ms, self.config.net_jitter_ms)
        frame_ns = round(self.config.link_frame_ms * 1e6) if self.config.console == "usb" else 0
        self.console = ConsoleLine(frame_ns, lambda: self._delays.serial.take())
        self.network = Network(lambda: self.host.outside_ns, self._to_app, self._latency)
        skew_ppm = self.config.clock_skew_ppm
        if skew_ppm is None:
            skew_ppm = float(self._draws.stream("clock skew").uniform(-1.0, 1.0)) * self.config.max_skew_ppm
        flash = NorFlash(self.state_dir / "flash.bin")
        self.chip = Chip(
            host=self.host, flash=flash, efuse=Efuse(self.mac), mac=self.mac, draws=self._draws, config=self.config,
            console=self.console, network=self.network, events=self.events, skew_ppm=skew_ppm,
        )  # fmt: skip
        self._powered = False
        self.cable = Cable(self.chip, self.config, wiring or self.config.wiring, lambda: self._delays.serial.take())
        self.faults = Faults(self)
        self.camera: VirtualCamera | None = None
        if self.config.camera is not None:
            self.camera = VirtualCamera(self.config.camera, self._draws, self.events)
            self.chip.light_sink = self.camera.on_light
        self._port: VirtualPort | None = None
        self._serving: Serving | None = None
        self._sounds = Sounds(self)
        self.events.add(self.host.now_ns, "board", seed=seed, mac=self.mac.hex(":"), config=self.config.model_dump())

    def _latency(self) -> int:
        if self.host.is_wall:
            return 0  # the real network adds its own
        return round(self.config.net_latency_ms * 1e6 + self._delays.network.take())

    def _to_app(self, host_ns: int, kind: int, body: bytes) -> None:
        self.chip.send_net(host_ns, kind, body)

    # ---- time

    @property
    def now_ns(self) -> int:
        """Host time in ns: virtual, or following wall time while served."""
        return self.host.now_ns

    @property
    def clock(self) -> ClockMode:
        if self.host.is_wall:
            return "wall"
        return "virtual" if self.chip.power in (Power.BOOTING, Power.RUNNING) else "halted"

    def power_on(self) -> None:
        """Plugs the supply in, once; any use of the board does."""
        with self.lock:
            if not self._powered:
                self._powered = True
                self.cable.update()
                self.chip.start_boot(ResetReason.POWER_ON)

    def run_until(self, condition: Callable[[], bool], timeout_s: float, *, stop: Stop = None) -> bool:
        """Lets the board run until ``condition()`` holds; False when ``timeout_s`` of host time pass first.

        Args:
            condition: cheap; checked before the first and after each slice of time.
            timeout_s: host time, virtual or wall.
            stop: ends slices early at network or console output, for request and answer without waste.

        Raises:
            HarnessFault: the firmware process is stuck, dead or broke the link.
        """
        self.power_on()
        if self.host.is_wall:
            return self._wait_wall(condition, timeout_s)
        with self.lock:
            end = self.host.now_ns + round(timeout_s * 1e9)
            grant_ns = round(self.config.grant_ms * 1e6)
            mask = _STOP_MASK[stop]
            while not condition():
                now = self.host.now_ns
                if now >= end:
                    return False
                self._advance(min(end, now + grant_ns, self._next_arrival(stop, now, end)), mask)
            return True

    def run_to(self, host_ns: int, slice_ms: float = 200.0) -> None:
        """Runs exactly to a host time, in large slices: for recordings, which need nothing in between."""
        self.power_on()
        if self.host.is_wall:
            self._wait_wall(lambda: self.host.now_ns >= host_ns, (host_ns - self.host.now_ns) / 1e9 + 10.0)
            return
        with self.lock:
            while self.host.now_ns < host_ns:
                self._advance(min(host_ns, self.host.now_ns + round(slice_ms * 1e6)), 0)

    def _next_arrival(self, stop: Stop, now: int, otherwise: int) -> int:
        if stop == "console":
            at = self.console.next_arrival(now)
        else:
            at = self.network.next_arrival(now) if stop == "net" else None
        return otherwise if at is None else at

    def _advance(self, target_ns: int, mask: int) -> None:
        if self.fault is not None:
            raise self.fault
        try:
            self.step(target_ns, mask)
        except K1HilError as fault:
            self.fail(fault)
            raise

    def step(self, target_ns: int, mask: int = 0) -> None:
        """Moves the board to ``target_ns``, or less when it stopped early as asked. Its lock is held."""
        risen_ns = self.cable.risen_ns
        if risen_ns is not None and risen_ns <= target_ns:
            self.chip.advance(risen_ns)
            for event in self.cable.expire():
                self._on_line(event)
        self.chip.advance(target_ns, mask)

    def _wait_wall(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        with self.changed:
            end = self.host.now_ns + round(timeout_s * 1e9)
            while not condition():
                if self.fault is not None:
                    raise self.fault
                if self.host.now_ns >= end or not self.host.is_wall:
                    return False
                self.changed.wait(0.5)
            return True

    def fail(self, fault: K1HilError) -> None:
        """The firmware process is lost: power goes off, whoever waits gets the fault, until the next reset."""
        with self.changed:
            self.fault = fault
            self.events.add(self.host.now_ns, "harness fault", message=str(fault))
            self.chip.power_off()
            self.changed.notify_all()

    def report(self, fault: HarnessFault) -> None:
        """A fault that does not end the run, kept for all to see."""
        self.harness_faults.append(fault)
        self.events.add(self.host.now_ns, "harness fault", message=str(fault))
        if self.on_report is not None:
            self.on_report(fault)

    # ---- reset lines and console

    def set_lines(self, dtr: bool | None, rts: bool | None) -> None:
        """DTR and RTS of the host (True: asserted, pin low); None leaves a line as it is."""
        with self.changed:
            for event in self.cable.set_lines(dtr, rts):
                self._on_line(event)
            self.changed.notify_all()

    @property
    def lines(self) -> tuple[bool, bool]:
        """DTR and RTS as the host drives them; True: asserted."""
        return self.cable.lines

    def reset(self, *, download: bool = False) -> None:
        """EN pressed and released, with the boot button held or not: what a finger on the board does."""
        with self.changed:
            self._powered = True
            self.fault = None
            self.cable.update()
            self.chip.power_off()
            if download:
                self.chip.enter_loader()
            else:
                self.chip.start_boot(ResetReason.POWER_ON)
            self.changed.notify_all()

    def console_write(self, data: bytes) -> None:
        """Bytes from the host to the chip; lost while it is off, booting or unplugged."""
        self.power_on()
        with self.changed:
            for action in self.cable.write(data):
                self._on_action(action)
            self.changed.notify_all()

    def console_opened(self, who: str = "port") -> None:
        """A reader has come; the board does not notice otherwise."""
        with self.lock:
            self.cable.opened(who)

    def console_closed(self, who: str = "port") -> None:
        with self.lock:
            self.cable.closed(who)

    def set_baud(self, baud: int) -> None:
        with self.lock:
            self.cable.set_baud(baud)

    @property
    def plugged(self) -> bool:
        """Whether the data cable is in."""
        return self.cable.plugged

    @property
    def serial(self) -> VirtualPort:
        """The console port, opened at first use."""
        if self._port is None:
            self._port = VirtualPort(self)
        return self._port

    def _on_line(self, event: LineEvent) -> None:
        """What the reset circuit does to the chip."""
        self._powered = True
        if event.kind == "EN_LOW":
            self.chip.power_off()
        else:
            self.reset(download=event.strap_download)

    def _on_action(self, action: Action) -> None:
        """What the loader asks of the chip. Its rate is of no consequence here."""
        if action.kind == "run_app":
            self.chip.start_boot(ResetReason.POWER_ON)
        elif action.kind == "reset":
            self.chip.start_boot(ResetReason.SOFTWARE)

    # ---- sound and light

    def play(self, samples: NDArray[np.float32], rate_hz: float, at_ns: int | None = None) -> int:
        """Sound at the microphone.

        Args:
            samples: full scale 1.0; mono [n], or [n, 2]: the second channel drives the reference LED.
            rate_hz: of the samples.
            at_ns: host time of the first one; None: as soon as a sound card could.

        Returns:
            Host time at which the host believes the sound starts.

        Raises:
            BadRequest: unusable samples, or a start that has passed.
        """
        self.power_on()
        with self.lock:
            return self._sounds.play(samples, rate_hz, at_ns)

    def silence(self) -> None:
        """Stops every sound, as far as the chip has not heard it."""
        with self.lock:
            self._sounds.stop()

    def take_light(self) -> list[LightFrame]:
        """All frames sent to the strips since the last call, oldest first.

        At most ``light_tap_frames`` are kept; :attr:`light_lost` counts those that fell out before they were taken.
        """
        with self.lock:
            frames = list(self.chip.light)
            self.chip.light.clear()
            return frames

    @property
    def light_lost(self) -> int:
        """Frames lost because nobody took them in time, since the board was made."""
        return self.chip.light_lost

    @property
    def cost_model(self) -> str:
        """Id of the cost model of the firmware that ran last; "" before any has."""
        return self.chip.cost_model

    @property
    def counts(self) -> Counts:
        """What the modelled chip counted since boot: busy time per core, microphone overruns, heap."""
        with self.lock:
            return self.chip.counts

    # ---- clients in virtual time

    @property
    def http_backend(self) -> httpcore.NetworkBackend:
        """Network backend for httpx: the virtual network, or real loopback while served."""
        return httpcore.SyncBackend() if self._serving is not None else VirtualBackend(self)

    @property
    def http_base_url(self) -> str:
        return f"http://{ip_text(self.ip)}" if self.addresses is None else self.addresses.http

    # ---- outside clients, wall time

    @property
    def addresses(self) -> Addresses | None:
        return None if self._serving is None else self._serving.addresses

    def serve(self, *, ports: dict[str, int] | None = None) -> Addresses:
        """Opens real loopback ports (serial by RFC 2217 and plain socket, HTTP, OTA) and switches to wall time.

        Args:
            ports: fixed TCP/UDP ports by name (``rfc2217``, ``socket``, ``http``, ``ota``, ``camera``); free
                ones otherwise.
        """
        if self._serving is None:
            if self.config.microphone:
                self._sounds.listen()
            with self.changed:
                self.host.enter_wall()
            self.power_on()
            self._serving = Serving(self, ports or {})
            self._serving.start()
        return self._serving.addresses

    def heard_until(self, host_ns: int) -> int:
        """How far time may go, at most ``host_ns``, without inventing sound that has not come yet."""
        return self._sounds.heard_until(host_ns)

    def hang_up(self) -> None:
        """Outside clients lose the serial port, as when a USB device goes away."""
        if self._serving is not None:
            self._serving.hang_up()

    def unserve(self) -> None:
        """Closes the ports; time is virtual again, from the next whole 1000 s on."""
        serving, self._serving = self._serving, None
        if serving is not None:
            serving.stop()
            self._sounds.listen_no_more()
            with self.changed:
                before = self.host.now_ns
                self.host.leave_wall()
                self._delays.reseed(self.host.epoch)
                self.chip.time_jumped(self.host.now_ns - before)
                if self.camera is not None:
                    self.camera.time_jumped(self.host.now_ns, self.host.epoch)

    def close(self) -> None:
        """Ends everything; safe to call twice."""
        self.unserve()
        with self.lock:
            self.chip.close()
            self.chip.flash.close()
            if self.camera is not None:
                self.camera.flush_log()
            self.events.close()
        if self._temporary:
            shutil.rmtree(self.state_dir, ignore_errors=True)
