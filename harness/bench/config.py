"""What one virtual board is like: the validated ``[bench]`` table of a rig.

Everything here is *injected truth*. Instruments, recordings and analysis never see it; only the scorer may.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.bench.camera_config import CameraConfig

Wiring = Literal["cross", "direct", "usb-jtag"]


class FaultConfig(BaseModel):
    """Faults present from power-on. The same faults can be switched on and off while a board lives."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mute_mic: bool = Field(default=False, description="the microphone delivers all-zero words")
    unplug_mic: bool = Field(default=False, description="the microphone delivers nothing: the I2S read times out")
    dead_leds: tuple[int, ...] = Field(default=(), description="LED indices that stay dark on both strips")
    drop_frames: float = Field(default=0.0, ge=0.0, le=1.0, description="probability that a frame never lights")
    network_down: bool = Field(default=False, description="the access point is never found")


class BoardConfig(BaseModel):
    """Settings of one virtual board.

    ``None`` means "drawn from the seed of the run". Times are milliseconds, probabilities 0 to 1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    wiring: Wiring = "cross"
    console: Literal["usb", "uart"] = Field(
        default="usb",
        description="usb: the chip waits for a host that reads; uart: bytes leave at the baud rate, read or not",
    )
    console_bytes_per_s: int = Field(default=400_000, ge=100, le=10_000_000, description="drain rate of a USB console")
    uart_baud: int = Field(default=115_200, ge=300, le=5_000_000, description="console rate of a UART console")
    link_frame_ms: float = Field(default=1.0, ge=0.0, le=20.0, description="USB frame: the host sees bytes at its end")
    link_jitter_ms: float = Field(default=0.15, ge=0.0, le=100.0, description="mean extra delay in the host")

    clock_skew_ppm: float | None = Field(default=None, ge=-500.0, le=500.0, description="crystal error of the board")
    max_skew_ppm: float = Field(default=20.0, ge=0.0, le=500.0, description="range the crystal error is drawn from")
    boot_ms: float = Field(default=300.0, ge=0.0, le=10_000.0, description="reset to start of the application")

    mic_noise_dbfs: float = Field(default=-72.0, ge=-200.0, le=0.0, description="rms of microphone and room noise")
    mic_dc_offset: int = Field(default=-6640, ge=-131_072, le=131_071, description="SPH0645 offset in 18-bit steps")
    audio_delay_ms: float = Field(default=0.0, ge=0.0, le=5_000.0, description="loudspeaker and air, never reported")
    output_delay_ms: float = Field(
        default=0.0, ge=0.0, le=5_000.0, description="sound card, never reported: microphone and reference LED alike"
    )

    microphone: str = Field(
        default="", max_length=200, pattern=r"^(pulse:[\w.-]+)?$",
        description="pulse:SINK.monitor: a served board hears what that PulseAudio sink plays",
    )

    network: bool = True
    wifi_connect_ms: float = Field(default=500.0, ge=0.0, le=60_000.0, description="application start to an address")
    net_latency_ms: float = Field(default=1.5, ge=0.0, le=1_000.0, description="one way")
    net_jitter_ms: float = Field(default=0.5, ge=0.0, le=1_000.0, description="mean of the extra one-way delay")
    rssi_dbm: int = Field(default=-52, ge=-127, le=0)

    heap_bytes: int = Field(default=320 * 1024, ge=16 * 1024, le=8 * 1024 * 1024)
    wall_deadline_s: float = Field(default=10.0, gt=0.0, le=600.0, description="longest silence in one grant")
    grant_ms: float = Field(default=50.0, ge=0.1, le=1_000.0, description="longest slice of virtual time")
    pace_ms: float = Field(default=8.0, ge=1.0, le=100.0, description="slice of device time in wall mode")
    light_tap_frames: int = Field(default=60_000, ge=1, le=2_000_000, description="frames kept until taken")

    faults: FaultConfig = FaultConfig()
    camera: CameraConfig | None = Field(default=None, description="camera and scene; none without the table")

    def console_rate(self, baud: int | None = None) -> int:
        """Bytes per second that leave the chip while its console drains (ten bits a byte on a UART)."""
        return self.console_bytes_per_s if self.console == "usb" else max(1, (baud or self.uart_baud) // 10)
