"""The camera's settings as a driver shows them: set, and read back what really took."""

from __future__ import annotations

from harness.bench.camera_config import CameraConfig
from harness.bench.sensor import Levels

_LIMITS = {
    "gain": (1.0, 16.0), "white_balance_k": (2_000.0, 10_000.0), "focus": (0.0, 255.0),
    "auto_exposure": (0.0, 1.0), "auto_white_balance": (0.0, 1.0), "auto_focus": (0.0, 1.0),
}  # fmt: skip
_FIXED = ("width", "height", "fps")
_DRIVEN_BY = {"exposure_ms": "auto_exposure", "white_balance_k": "auto_white_balance", "focus": "auto_focus"}
# Mean of the picture (8 bit) that automatic exposure aims at, and the share of the way it goes per frame.
_AIM = 60.0
_STEP = 0.15
_SHORTEST_MS = 0.1


class Controls:
    """Settings by name. Values outside the range land on its end; while an automatic is on, it has the say."""

    def __init__(self, config: CameraConfig) -> None:
        self._config = config
        self._values = {
            "width": float(config.width), "height": float(config.height), "fps": config.fps,
            "exposure_ms": config.exposure_ms, "gain": config.gain, "white_balance_k": config.white_balance_k,
            "focus": config.best_focus if config.auto_focus else config.focus,
            "auto_exposure": float(config.auto_exposure), "auto_white_balance": float(config.auto_white_balance),
            "auto_focus": float(config.auto_focus),
        }  # fmt: skip

    def get(self, prop: str) -> float | None:
        """The value in force; None for a property this camera does not have."""
        return self._values.get(prop)

    def set(self, prop: str, value: float) -> bool:
        """Asks for a value. True: the property exists; whether it took shows only when it is read back."""
        if prop not in self._values or value != value:
            return False
        driver = _DRIVEN_BY.get(prop)
        driven = driver is not None and self._values[driver] > 0.5
        if prop in _FIXED or prop in self._config.ignores_sets or driven:
            return True
        low, high = _LIMITS.get(prop, (_SHORTEST_MS, 1000.0 / self._config.fps))
        value = min(max(float(value), low), high)
        self._values[prop] = round(value) if prop.startswith("auto_") else value
        if prop == "auto_focus" and value > 0.5:
            self._values["focus"] = self._config.best_focus
        return True

    @property
    def levels(self) -> Levels:
        """What the sensor needs to know."""
        values = self._values
        exposure = values["exposure_ms"] / self._config.exposure_ms
        return Levels(exposure, values["gain"], values["white_balance_k"])

    @property
    def exposure_ns(self) -> float:
        return self._values["exposure_ms"] * 1e6

    @property
    def defocus_px(self) -> float:
        """Blur sigma that the focus adds to the lens's own (in quadrature)."""
        return abs(self._values["focus"] - self._config.best_focus) * self._config.defocus_px

    @property
    def automatic(self) -> bool:
        """Whether pictures change the settings."""
        return self._values["auto_exposure"] > 0.5 or self._values["auto_white_balance"] > 0.5

    def learn(self, blue: float, green: float, red: float) -> None:
        """What the automatics make of the means of the newest picture: exposure to an aim, white to grey."""
        if self._values["auto_exposure"] > 0.5:
            step = (_AIM / max((blue + green + red) / 3.0, 1.0)) ** _STEP
            longest = 1000.0 / self._config.fps
            self._values["exposure_ms"] = min(max(self._values["exposure_ms"] * step, _SHORTEST_MS), longest)
        if self._values["auto_white_balance"] > 0.5:
            step = (max(blue, 1.0) / max(red, 1.0)) ** _STEP
            low, high = _LIMITS["white_balance_k"]
            self._values["white_balance_k"] = min(max(self._values["white_balance_k"] * step, low), high)
