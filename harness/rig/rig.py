"""The rig: one device, its instruments, and what can be done with them, the same on a virtual and a physical bench."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeVar

from harness.errors import DutFailure, HarnessFault, K1HilError, RigFault
from harness.instruments.api import DeviceApi
from harness.instruments.camera import Camera
from harness.instruments.clock import never
from harness.instruments.console import Console
from harness.instruments.flasher import Flasher, FlashReport, Progress
from harness.instruments.flashing import FlashGuard
from harness.instruments.ota import OtaNetwork
from harness.instruments.telemetry import CommandRefused, Telemetry
from harness.recording import Recording
from harness.rig.boots import Before, await_boot
from harness.rig.bundle import FirmwareBundle
from harness.rig.camera_calibration import Calibration
from harness.rig.camera_open import open_locked
from harness.rig.capped import CappedFrames
from harness.rig.config import RigConfig
from harness.rig.lease import Lease
from harness.rig.mount import Mount
from harness.rig.profile import PROFILES, Profile
from harness.rig.proof import prove_runs, refuse_foreign
from harness.rig.record import Command, record
from harness.signals import Stimulus
from harness.wire.node1_log import redact
from harness.wire.telemetry import Identity

ResetKind = Literal["hard", "soft"]
T = TypeVar("T")
PROBE_TIMEOUT_S = 1.5
EN_LOW_S = 0.1
NETWORK_TIMEOUT_S = 30.0


class Rig:
    """One device under test with its instruments. Made by :func:`harness.rig.open_rig`; a context manager.

    Attributes:
        name, config, profile: which rig, its file, and how long it records.
        provenance: ``simulated`` or ``hardware``.
        seed: of the virtual board's randomness; None on real silicon.
        clock, console, telemetry, audio, tap: instruments; audio and tap are None when the rig has none.
        calibration: of the camera, once it was calibrated or loaded (:mod:`harness.rig.camera`).
        board: the virtual board, None on physical rigs. Tests of a device never touch it.
        folder: where logs of this run go.
    """

    def __init__(
        self,
        name: str,
        config: RigConfig,
        mount: Mount,
        lease: Lease,
        folder: Path,
        *,
        profile: Profile | None = None,
        seed: int | None = None,
    ) -> None:
        self.name = name
        self.config = config
        self.profile = profile or PROFILES["quick"]
        self.provenance: Literal["simulated", "hardware"] = "simulated" if config.simulated else "hardware"
        self.seed = seed
        self.folder = folder
        self.lease = lease
        self._mount = mount
        self.clock = mount.clock
        mask = None if config.dut.sentences else redact
        self.console = Console(mount.port, mount.clock, folder / "console.log", mask)
        self._guard = self.console.guard = FlashGuard(config.flashing_allowed, self._patterns_by_index)
        self.telemetry = Telemetry(self.console, seed, spoken=config.dut.sentences)
        self.audio = mount.audio
        self.tap = mount.tap
        self.board = mount.board
        self._identity: Identity | None = None
        self._api: DeviceApi | None = None
        self._bundle: FirmwareBundle | None = None
        self._closed = False
        self._bench_faults = len(mount.bench_faults())
        self._camera: Camera | None = None
        self.calibration: Calibration | None = None
        self._capped = CappedFrames()

    # ---- what this rig is --------------------------------------------------------------------------

    @property
    def capabilities(self) -> set[str]:
        """Of console, telemetry, reset, flash, api, audio, wire, camera, flashing_light, capped, sim."""
        have = {"console", "api"}
        have |= {"telemetry", "reset", "flash"} if self.telemetry.spoken else set()
        have |= {"audio"} if self.audio is not None else set()
        have |= {"wire"} if self.tap is not None else set()
        have |= {"camera"} if self.config.camera.present else set()
        have |= {"flashing_light"} if self.config.flashing_allowed else set()
        have |= {"capped"} if self.config.current_limit_a > 0 else set()
        have |= {"sim"} if self.provenance == "simulated" else set()
        return have

    @property
    def cost_model(self) -> str:
        """Id of the model behind render times (served boards: of the firmware's manifest); "" on real silicon."""
        told = self._bundle.manifest.get("cost_model", "") if self._bundle and self.provenance == "simulated" else ""
        return self._mount.cost_model() or str(told)

    @property
    def mac(self) -> str:
        """MAC of the board: the one it must have, else the one it told; "" when neither is known."""
        return self._mount.expected_mac or (self._identity.mac if self._identity is not None else "")

    @property
    def bundle(self) -> FirmwareBundle | None:
        """The firmware flashed through this object, if any."""
        return self._bundle

    def _patterns_by_index(self) -> dict[int, str] | None:
        known = self._bundle.patterns if self._bundle is not None else ()
        return {int(p["index"]): str(p["id"]) for p in known if "index" in p} or None

    @property
    def identity(self) -> Identity:
        """Who the device says it is; asked for when not known yet.

        Raises:
            DutFailure: it does not answer.
        """
        if self._identity is None:
            identity = self.telemetry.identity()
            self._booted(identity)
            return identity
        self.follow_boots()
        return self._identity

    @property
    def camera(self) -> Camera | None:
        """The rig's camera, opened and locked at the first use; None when the rig has none.

        Raises:
            RigFault: it cannot be opened.
        """
        if self._camera is None and self.config.camera.present:
            self._camera = open_locked(self._mount, self.config.camera, self.clock)
        return self._camera

    def check_bench(self) -> None:
        """Refuses to say anything about a device whose served bench has failed since the last look.

        Raises:
            HarnessFault: it fell behind wall time, or its sound ran dry.
            RigFault: it does not answer.
        """
        faults = self._mount.bench_faults()
        new, self._bench_faults = faults[self._bench_faults :], len(faults)
        if new:
            raise HarnessFault(
                f"the served bench failed: {new[0].splitlines()[0]}", got=f"{len(new)} faults; the first: {new[0]}",
                evidence=self.config.bench_status, remedy="give the bench a core to itself and run again",
            )  # fmt: skip

    def follow_boots(self) -> bool:
        """Notes a boot nobody asked for (a panic, a supply dip) and limits the LED current anew; True after one."""
        self.console.pump()
        if self._identity is None or self.telemetry.n_identities == 0:
            return False
        newest = self.telemetry.identities()[-1][1]
        if newest.boot_id == self._identity.boot_id:
            return False
        self._api = None
        self._booted(newest)
        return True

    def probe(self, timeout_s: float = PROBE_TIMEOUT_S) -> Identity | None:
        """Asks the device who it is; None when nothing answers (blank flash, foreign firmware)."""
        try:
            identity = self.telemetry.identity(timeout_s)
        except DutFailure:
            return None
        self._booted(identity)
        return identity

    @property
    def api(self) -> DeviceApi:
        """The device's HTTP API; waits for the network after a boot.

        Raises:
            RigFault: no address in time.
        """
        if self._api is None:
            self._api = self._mount.api(self.wait_network().ip if self.telemetry.spoken else "")
            self._api.guard = self._guard
        return self._api

    def wait_network(self, timeout_s: float = NETWORK_TIMEOUT_S) -> Identity:
        """Waits until the device reports an address.

        Raises:
            RigFault: none in time (access point, credentials).
        """
        if self.identity.ip != "0.0.0.0":
            return self.identity
        at = self.telemetry.n_identities - 1

        def up() -> bool:
            self.console.pump()
            return any(i.ip != "0.0.0.0" for _, i in self.telemetry.identities()[max(at, 0) :])

        if not self.clock.wait(up, timeout_s, stop="console"):
            raise RigFault(
                f"rig '{self.name}': the device got no network address",
                expected=f"an ID sentence with an address within {timeout_s:g} s",
                got=self.console.tail(lines=4),
                evidence=str(self.console.log_path),
                remedy="send the credentials once: wifi SSID PASS on the console (k1hil console)",
            )
        self._identity = self.telemetry.identities()[-1][1]
        return self._identity

    # ---- what it does ------------------------------------------------------------------------------

    def flash(
        self,
        bundle: FirmwareBundle,
        *,
        force: bool = False,
        erase_nvs: bool = False,
        progress: Progress | None = None,
    ) -> FlashReport:
        """Brings a firmware onto the device, boots it and proves that it runs.

        Skipped when the device already runs this image and neither ``force`` nor ``erase_nvs`` is given. Settings
        (NVS) stay unless ``erase_nvs``.

        Raises:
            BadRequest: an image for the virtual board on a physical rig, or the reverse.
            RigFault: port, cable or loader trouble; the wrong board.
            DutFailure: the device does not boot, or boots something else.
        """
        self.lease.validate()
        self.refuse_foreign(bundle)
        running = None if force else self.probe()
        if running is not None and running.sha256 == bundle.sha256 and not erase_nvs:
            self._bundle = bundle
            return FlashReport(skipped=True, mac=running.mac)
        report = self.in_loader(
            lambda flasher, url: flasher.flash(
                url, bundle.flash_files(), expected_mac=self._mount.expected_mac, erase_nvs=erase_nvs, progress=progress
            )
        )
        identity = self.reset("hard")
        prove_runs(bundle, report, identity)
        self._bundle = bundle
        return report

    def in_loader(self, act: Callable[[Flasher, str], T]) -> T:
        """Does something with the flasher and the flash port, the chip in its loader; :meth:`reset` afterwards."""
        self.lease.validate()
        flasher = Flasher(self.folder / "flash.log", baud=self.config.flash.baud, timeout_s=self.config.flash.timeout_s)
        self._identity = None
        self._api = None
        with self._mount.flash_port() as url:
            return act(flasher, url)

    def adopt(self, bundle: FirmwareBundle) -> None:
        """This firmware is known to run: manifest and budgets come from it."""
        self._bundle = bundle

    def refuse_foreign(self, bundle: FirmwareBundle) -> None:
        """Raises BadRequest for an image of the virtual board on a physical rig, or where nothing proves what runs."""
        self.telemetry.need("flashing")
        refuse_foreign(bundle, self.name, self.provenance)

    def reset(self, kind: ResetKind = "hard", timeout_s: float | None = None) -> Identity:
        """Resets the device and waits until it has booted; returns what it says of itself.

        Args:
            kind: ``hard`` pulls EN, ``soft`` sends ``reboot``.
            timeout_s: for the boot; default from the rig file.

        Raises:
            DutFailure: no ID sentence in time (panic, refused image, hung).
        """
        if kind == "hard":
            return self.through_boot(self._pull_reset, timeout_s)
        return self.through_boot(lambda: self.telemetry.command("reboot"), timeout_s)

    def _pull_reset(self) -> None:
        self._mount.set_reset_lines(dtr=False, rts=True)
        self.clock.wait(never, EN_LOW_S)
        self._mount.set_reset_lines(dtr=False, rts=False)

    def through_boot(self, act: Callable[[], object], timeout_s: float | None = None) -> Identity:
        """Does something that makes the device restart, and waits until it has booted.

        Args:
            act: what restarts it; its own errors pass through.
            timeout_s: for the boot after ``act`` has returned; default from the rig file.

        Raises:
            DutFailure: no ID sentence of a new boot in time.
        """
        self.telemetry.need("a proven boot")
        self.lease.validate()
        before = self._identity.boot_id if self._identity else ""
        self.console.pump()
        seen, at = self.telemetry.n_identities, self.console.size
        act()
        self._identity = None
        self._api = None
        identity = await_boot(
            self.telemetry, self.clock, Before(seen, before, at), timeout_s or self.config.dut.boot_timeout_s
        )
        self._booted(identity)
        return identity

    def ota_network(self) -> OtaNetwork:
        """The way to the device's update port; waits for its network.

        Raises:
            RigFault: no address in time.
        """
        return self._mount.ota_network(self.wait_network().ip)

    def _booted(self, identity: Identity) -> None:
        """After every boot, before anything is shown: the right board, and the LED supply's limit."""
        if self._mount.expected_mac and identity.mac != self._mount.expected_mac:
            raise RigFault(
                f"rig '{self.name}' talks to another board",
                expected=f"MAC {self._mount.expected_mac}",
                got=f"MAC {identity.mac}",
                remedy="correct [dut] mac or the port in the rig file, or plug the right board in",
            )
        self._identity = identity
        cap_ma = round(self.config.current_limit_a * 1000)
        if cap_ma <= 0:
            return
        try:
            self.telemetry.command(f"cap {cap_ma}")
        except CommandRefused as error:
            raise RigFault(
                "the firmware cannot limit the LED current",
                expected=f"ACK to 'cap {cap_ma}'",
                got=error.got,
                remedy="use a supply that carries all LEDs at full white and set led_current_limit_a = 0",
            ) from error

    def record(
        self,
        stimulus: Stimulus | None,
        seconds: float,
        streams: tuple[str, ...] = ("frames", "pixels", "wire"),
        pattern: str | None = None,
        *,
        settle_s: float = 0.25,
        commands: Sequence[Command] = (),
    ) -> Recording:
        """Plays a stimulus and brings home everything seen during ``seconds``.

        Args:
            stimulus: what to play; None plays nothing.
            seconds: length of the capture in host time, from the first sample (or from now).
            streams: of frames, pixels, wire, camera; those the rig lacks are left out (camera needs ``calibration``).
            pattern: selected first (id); None keeps the current one.
            settle_s: time between selecting and the start of the capture.
            commands: asked of the device meanwhile; ``meta["commands"]`` tells when (host times of asking and answer).

        Raises:
            RigFault: a stimulus, but no speaker; port gone; the link damages every frame record; the sound was spoiled
                in each of three attempts.
            HarnessFault: the served bench failed meanwhile.
            DutFailure: the device does not answer, refuses the pattern, sends no frames, or restarts meanwhile.
        """
        self.lease.validate()
        self.follow_boots()
        return record(self, stimulus, seconds, streams, pattern, settle_s, commands)

    def capped_frames(self) -> int | None:
        """Frames the current limit dimmed since boot, see :mod:`harness.rig.capped`."""
        return self._capped.count(self)

    def close(self) -> None:
        """Quiet device, closed instruments, released lease; whatever fails on the way, the rest is still done."""
        if self._closed:
            return
        self._closed = True
        steps: list[Callable[[], object]] = [
            self._hush, self._close_camera, self.console.close, self._mount.close, self.lease.release,
        ]  # fmt: skip
        for step in steps:
            try:
                step()
            except (K1HilError, OSError, ValueError):
                continue  # closing is best effort: an error here must not hide the one that led to it

    def _close_camera(self) -> None:
        if self._camera is not None:
            self._camera.close()

    def _hush(self) -> None:
        if self.audio is not None:
            self.audio.stop()
        if self._identity is not None and self.config.kind == "physical":
            self.telemetry.off()

    def __enter__(self) -> Rig:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
