"""State and time of the modelled K1.node1 firmware (contract §1.3, §5 to §8). Shares no code with the harness."""

from __future__ import annotations

from collections import deque
from typing import Any

FRAME_US = 6_000  # §5: paced at 6 ms
QUIET_FRAME_US = 1_500  # trap 3: a loop without show() runs at 500 to 1000 turns a second
QUIET_AFTER = 10  # trap 3: frames of silence before nothing is sent any more
NETWORK_UP_US = 2_190_000  # §9.2, doubtful there too; any time will do here
HEAP_TOTAL = 320
HEAP_FREE = 104

DEFAULTS: dict[str, Any] = {
    "brightness": 1.0, "softness": 0.25, "color": 0.33, "color_range": 0.0, "saturation": 0.75, "warmth": 0.0,
    "background": 0.0, "dithering": 1.0, "speed": 0.5, "palette_id": 0, "mirror_mode": True, "led_offset": 0.0,
    "beat_threshold": 0.2, "beat_squash_power": 0.5, "audio_responsiveness": 0.5, "audio_sensitivity": 1.0,
    "bass_treble_balance": 0.0, "color_reactivity": 0.5, "brightness_floor": 0.05, "frame_min_period_ms": 6.0,
    "custom_param_1": 0.5, "custom_param_2": 0.5, "custom_param_3": 0.5,
}  # fmt: skip
RANGES = {
    "led_offset": (-160, 160), "beat_squash_power": (0.2, 1), "audio_sensitivity": (0.1, 4),
    "bass_treble_balance": (-1, 1), "brightness_floor": (0, 0.3), "frame_min_period_ms": (4, 20),
}  # fmt: skip
IDS = (
    "departure lava twilight prism spectrum octave bloom bloom_mirror bloom_sb pulse tempiscope beat_tunnel"
    " beat_tunnel_variant startup_intro tunnel_glow perlin analog metronome hype waveform_spectrum snapwave"
    " gravitational_lensing sierpinski beam_collision quantum_tunneling time_crystal soliton_waves metamaterial_cloak"
    " laser_duel sonic_boom diamond_lattice hexagonal_grid spiral_vortex chevron_waves concentric_rings star_burst"
    " mesh_network moire_patterns box_wave holographic modal_resonance interference_scanner wave_collision"
    " soliton_explorer turing_patterns kelvin_helmholtz"
).split()
STILL = {"departure", "lava", "twilight"}
# Trap 9 (§0): these go black once the 32-bit microseconds have wrapped.
BLACK_AFTER_WRAP = {"prism", "spectrum", "octave", "pulse"}
BOOT_PATTERN = 3


class Node1:
    """One device. Time stands still but for :meth:`advance`.

    Attributes:
        us: true microseconds since boot, 64 bit.
        sound: whether the microphone hears anything.
        boots: restarts so far; never told to anybody (trap 8).
    """

    def __init__(self) -> None:
        self.boots = 0
        self.sound = True
        self._start(30_000_000)

    def _start(self, us: int) -> None:
        self.us = us
        self.next_frame_us = us + FRAME_US
        self.params = dict(DEFAULTS)
        self.pattern = BOOT_PATTERN
        self.led_tx: deque[int] = deque(maxlen=256)
        self.frames = 0
        self.last_tx = 0
        self.quiet_frames = 0
        self.audio_steps = 0
        self.audio_at = us
        self.shown: list[str] = ["000000"] * 160
        self.diag = {"enabled": False, "interval_ms": 5000}
        self.realtime = {"enabled": True, "interval_ms": 250}
        self.transition_until_us = 0
        self.audio = {"microphone_gain": 1.0, "vu_floor_pct": 0.9, "active": True}
        self.transitions = {
            "enabled": True, "default_type": "fade", "default_duration_ms": 1000, "default_easing": "ease_in_out_quad",
        }  # fmt: skip
        self.link = {"force_bg_only": True, "force_ht20": True}
        if us:
            self.run(2.0)

    def reboot(self) -> None:
        """Trap 11: RAM is lost. The network takes its time."""
        self.boots += 1
        self._start(0)

    @property
    def network_up(self) -> bool:
        return self.us >= NETWORK_UP_US

    @property
    def ms(self) -> int:
        """millis(): uint32."""
        return self.us // 1000 % (1 << 32)

    def u32(self, us: int) -> int:
        """§7: every stamp is esp_timer cut to 32 bits (wraps at 71 min 34.97 s, trap 9)."""
        return us % (1 << 32)

    @property
    def quiet(self) -> bool:
        """Trap 3: silent for ten frames; then no quantize, no show(), no led-tx event."""
        return self.quiet_frames >= QUIET_AFTER

    @property
    def fps(self) -> float:
        return 1e6 / (QUIET_FRAME_US if self.quiet else FRAME_US)

    def advance(self, seconds: float) -> None:
        """Time passes; long stretches are skipped and only their end is run."""
        us = round(seconds * 1e6)
        skip = max(0, us - 2_000_000)
        self.us += skip
        self.next_frame_us += skip
        self.run((us - skip) / 1e6)

    def run(self, seconds: float) -> None:
        """Every frame of this time."""
        end = self.us + round(seconds * 1e6)
        while self.next_frame_us <= end:
            self.us = self.next_frame_us
            self._frame()
            self.next_frame_us += QUIET_FRAME_US if self.quiet else FRAME_US
        self.us = end

    def _frame(self) -> None:
        self.frames += 1
        if self.sound:
            self.quiet_frames = 0
            self.audio_steps += 1
            self.audio_at = self.us
        else:
            self.quiet_frames += 1
        if self.quiet:
            return
        self.last_tx = self.us
        self.led_tx.append(self.u32(self.us))
        self.shown = self.picture()

    def picture(self) -> list[str]:
        """What the pattern draws now: still ones keep their picture, the others move with every frame."""
        name = IDS[self.pattern]
        if name in BLACK_AFTER_WRAP and self.us >= 1 << 32:
            return ["000000"] * 160
        shift = 0 if name in STILL else self.frames
        return [f"{(led + shift) % 256:02X}{self.pattern:02X}{255 - led:02X}" for led in range(160)]

    def take_params(self, fields: dict[str, Any]) -> None:
        """§1.2: always 200; out of range is silently clamped, palette_id falls to 0, unknown names are ignored."""
        for name in fields.keys() & self.params.keys():
            value = fields[name]
            if name == "palette_id":
                self.params[name] = value if 0 <= value <= 32 else 0
            elif name == "mirror_mode":
                self.params[name] = bool(value)
            else:
                low, high = RANGES.get(name, (0, 1))
                self.params[name] = min(high, max(low, value))

    def scramble_unsaved(self) -> None:
        """§1.2 config/restore: what the backup lacks comes from memory that nobody set."""
        for number, name in enumerate(sorted(self.params.keys() - set(BACKUP))):
            self.params[name] = False if name == "mirror_mode" else round(0.017 * (number + 1), 3)


BACKUP = (
    "brightness", "softness", "color", "color_range", "saturation", "warmth", "background", "speed", "palette_id",
    "custom_param_1", "custom_param_2", "custom_param_3",
)  # fmt: skip


def torn_log(ssid: str) -> list[bytes]:
    """Trap 12 (§3): what the console shows. Two cores share one buffer without a lock; names of networks are in it."""
    return [
        b"\x1b[90m[00:00:02.190]\x1b[0m \x1b[92mINFO \x1b[0m \x1b[96m[W]\x1b[0m Connected to %s @ 10.0.0.7\r\n"
        % ssid.encode(),
        b"[00:00:02.191] INFO  [W] Connecting to SSID '%s'\r\n" % ssid.encode(),
        b"[00:00:03.000] DEBUG [X] [HEARTBEAT] frames=+166 audio=+200 snap=400(+200) pat=3 vu=0.412 tempo=0.31"
        b" silence=0\r\n",
        b"[00:00:03.100] INFO  [B] BEAT_EV[00:00:03.100] INFO  [A] BPM: 120.1 | VU: 0.4\r\n",
        b"ENT ts_us=3100123 conf=31000\r\n",
        b"[00:00:04.100] INFO  [B] BEAT_EVENT ts_us=4100123 conf=31000\r\n",
        b"\xff\xfe[00:0\r\n",
        b"[00:00:04.000] INFO  [X] [HEARTBEAT] frames=+1[00:00:04.001] WARN  [W] Connected to %s @ 10.0.0.7\r\n"
        % ssid.encode(),
        b"[00:00:05.000] INFO  [X] [HEARTBEAT] frames=+ audio=+200 snap=x pat=3 vu=nan tempo=0.3 silence=0\r\n",
    ]
