"""A real camera through OpenCV: a thread grabs all the time, so that no slow analysis makes the driver drop frames."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import BadRequest, HarnessFault, RigFault
from harness.instruments.camera import PROPS, Settings, Stamped

# Frames kept until taken: at 60 fps and 1280 x 720 this is 250 MB and 1.5 s.
MAX_WAITING = 90
# A stamp of the driver is believed when it lies this close before the moment of grabbing.
_STAMP_AGE_S = 1.0
OPEN_TIMEOUT_S = 10.0
# A live stream that gives nothing for so long is gone.
READ_TIMEOUT_S = 5.0


class OpenCvPort:
    """A camera or video through OpenCV: an index (V4L2, AVFoundation), a URL (HTTP MJPEG, RTSP) or a file.

    Grabbing begins with the first read: until then the camera takes settings that it refuses while it streams. Its
    thread and whoever asks for a setting take turns, because OpenCV's captures are not made for two threads.

    Args:
        source: index, URL or path.
        settings: wanted size and rate; some cameras take them only before the first frame.
        open_timeout_s, read_timeout_s: longest time until it is open, and until a live source gives a frame.

    Raises:
        RigFault: it cannot be opened, or not in time.
    """

    def __init__(
        self, source: int | str, settings: Settings | None = None, *,
        open_timeout_s: float = OPEN_TIMEOUT_S, read_timeout_s: float = READ_TIMEOUT_S,
    ) -> None:  # fmt: skip
        import cv2

        self._cv2 = cv2
        self._source = source
        self._is_file = isinstance(source, str) and "://" not in source
        if self._is_file and not Path(str(source)).is_file():
            raise RigFault(f"there is no video file {source}", remedy="correct [camera] device in the rig file")
        self._patience_s = open_timeout_s + read_timeout_s
        self._capture = self._open(open_timeout_s, read_timeout_s)
        if not self._capture.isOpened():
            raise RigFault(
                f"camera '{source}' cannot be opened",
                remedy="k1hil rig new lists cameras; is another program using it, and are you in group video?",
            )
        self.backend = str(self._capture.getBackendName())
        self._props = _prop_table(cv2, self.backend)
        self._device = threading.Lock()  # held by whoever talks to the capture
        self._asking = 0  # threads that wait for it; the grabbing one gives way to them
        self._frames: deque[Stamped] = deque()
        self._news = threading.Condition()
        self._stop = False
        self._ended = False
        self.lost = 0
        self._thread: threading.Thread | None = None
        for name in ("width", "height", "fps"):
            value = getattr(settings, name, None) if settings else None
            if value is not None:
                self.set(name, float(value))

    def _open(self, open_timeout_s: float, read_timeout_s: float) -> Any:
        """The capture. OpenCV may hang in a dead address or driver for ever: then its thread is left behind."""
        cv2, found = self._cv2, []
        arguments: list[Any] = [self._source]
        if isinstance(self._source, str) and not self._is_file:
            waits = {cv2.CAP_PROP_OPEN_TIMEOUT_MSEC: open_timeout_s, cv2.CAP_PROP_READ_TIMEOUT_MSEC: read_timeout_s}
            arguments += [cv2.CAP_ANY, [round(v) for k, s in waits.items() for v in (k, s * 1e3)]]
        opener = threading.Thread(
            target=lambda: found.append(cv2.VideoCapture(*arguments)), name=f"open-{self._source}", daemon=True
        )
        opener.start()
        opener.join(open_timeout_s + 1.0)
        if not found:
            raise RigFault(
                f"camera '{self._source}' does not answer", expected=f"it open within {open_timeout_s:g} s",
                remedy="check its cable, or its address and network",
            )  # fmt: skip
        return found[0]

    def _begin(self) -> None:
        """Starts grabbing, once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._grab, name=f"camera-{self._source}", daemon=True)
            self._thread.start()

    @contextmanager
    def _turn(self) -> Iterator[Any]:
        """The capture, between two grabs.

        Raises:
            RigFault: the driver is stuck in a grab.
        """
        with self._news:
            self._asking += 1
        try:
            if not self._device.acquire(timeout=self._patience_s):
                raise RigFault(f"camera '{self._source}' is stuck", remedy="unplug it and plug it in again")
            try:
                yield self._capture
            finally:
                self._device.release()
        finally:
            with self._news:
                self._asking -= 1
                self._news.notify_all()

    @property
    def ended(self) -> bool:
        """Whether the source gives no more frames (end of a file, cable pulled)."""
        return self._ended

    def _grab(self) -> None:
        with self._device:
            nominal_ns = 1e9 / (self._capture.get(self._cv2.CAP_PROP_FPS) or 30.0)
        start_ns, count = time.monotonic_ns(), 0
        while not self._stop:
            if self._is_file and len(self._frames) >= MAX_WAITING // 2:
                # A file waits for its reader; only a live source has to be grabbed at its own pace.
                with self._news:
                    self._news.wait(0.1)
                continue
            with self._news:
                self._news.wait_for(lambda: not self._asking or self._stop, 0.5)
            with self._device:
                if not self._capture.grab():
                    break
                grabbed_ns = time.monotonic_ns()
                stamp_ns = start_ns + round(count * nominal_ns) if self._is_file else self._stamp(grabbed_ns)
                good, picture = self._capture.retrieve()
            count += 1
            if good and picture is not None:
                self._keep((stamp_ns, np.asarray(picture, np.uint8)))
        with self._news:
            self._ended = True
            self._news.notify_all()

    def _stamp(self, grabbed_ns: int) -> int:
        """The driver's stamp where it is one of the monotonic clock (V4L2), else the moment of grabbing.

        Other back ends make positions up from a nominal frame rate (an MJPEG stream of 60 fps counts in 40 ms).
        """
        if self.backend == "V4L2":
            driver_s = float(self._capture.get(self._cv2.CAP_PROP_POS_MSEC)) / 1e3
            if 0 <= grabbed_ns / 1e9 - driver_s < _STAMP_AGE_S:
                return round(driver_s * 1e9)
        return grabbed_ns

    def _keep(self, frame: Stamped) -> None:
        with self._news:
            if len(self._frames) >= MAX_WAITING:
                self._frames.popleft()
                self.lost += 1
            self._frames.append(frame)
            self._news.notify_all()

    def read(self, timeout_s: float) -> Stamped | None:
        """See :class:`CameraPort`.

        Raises:
            RigFault: a live source has ended.
            HarnessFault: frames were not taken in time and are lost.
        """
        self._begin()
        deadline = time.monotonic() + timeout_s
        with self._news:
            while not self._frames and not self._ended:
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self._news.wait(left)
            if self.lost:
                lost, self.lost = self.lost, 0
                raise HarnessFault("camera frames were not taken in time", got=f"{lost} frames lost")
            if self._frames:
                frame = self._frames.popleft()
                self._news.notify_all()
                return frame
        if not self._is_file:
            raise RigFault(f"camera '{self._source}' has gone", remedy="check its cable or its stream")
        return None

    def drop_waiting(self) -> None:
        """See :class:`CameraPort`. Whoever does not look for a while loses frames; nobody misses them."""
        self._begin()
        with self._news:
            self._frames.clear()
            self.lost = 0
            self._news.notify_all()

    def get(self, prop: str) -> float | None:
        """See :class:`CameraPort`."""
        entry = self._props.get(_known(prop))
        if entry is None:
            return None
        number, _, to_ours = entry
        with self._turn() as capture:
            value = float(capture.get(number))
        # OpenCV answers 0 or -1 for what a back end does not have; no setting kept here is negative or 0 but switches.
        if value < 0 or (value == 0 and not prop.startswith(("auto_", "focus", "gain"))):
            return None
        return to_ours(value)

    def set(self, prop: str, value: float) -> bool:
        """See :class:`CameraPort`."""
        entry = self._props.get(_known(prop))
        if entry is None:
            return False
        with self._turn() as capture:
            return bool(capture.set(entry[0], entry[1](value)))

    def close(self) -> None:
        """Stops grabbing. A driver stuck in a read is left to the end of the process."""
        self._stop = True
        if self._thread is not None:
            self._thread.join(5.0)
        if self._thread is None or not self._thread.is_alive():
            self._capture.release()


def _known(prop: str) -> str:
    if prop not in PROPS:
        raise BadRequest(f"a camera has no setting '{prop}'", expected=", ".join(PROPS))
    return prop


Convert = Callable[[float], float]


def _prop_table(cv2: Any, backend: str) -> dict[str, tuple[int, Convert, Convert]]:
    """OpenCV's number of each setting, and the conversions to and from its units for this back end."""

    def plain(value: float) -> float:
        return value

    table: dict[str, tuple[int, Convert, Convert]] = {
        "width": (cv2.CAP_PROP_FRAME_WIDTH, plain, plain),
        "height": (cv2.CAP_PROP_FRAME_HEIGHT, plain, plain),
        "fps": (cv2.CAP_PROP_FPS, plain, plain),
    }
    if backend not in ("V4L2", "AVFOUNDATION"):
        return table  # streams and files have no controls
    table |= {
        "gain": (cv2.CAP_PROP_GAIN, plain, plain),
        "white_balance_k": (cv2.CAP_PROP_WB_TEMPERATURE, plain, plain),
        "focus": (cv2.CAP_PROP_FOCUS, plain, plain),
        "auto_white_balance": (cv2.CAP_PROP_AUTO_WB, plain, plain),
        "auto_focus": (cv2.CAP_PROP_AUTOFOCUS, plain, plain),
    }
    if backend == "V4L2":
        # V4L2 counts exposure in 100 us (V4L2_CID_EXPOSURE_ABSOLUTE); its automatic is an enumeration in which 1 is
        # manual and 3 is aperture priority.
        table["exposure_ms"] = (cv2.CAP_PROP_EXPOSURE, lambda ms: ms * 10, lambda v: v / 10)
        table["auto_exposure"] = (
            cv2.CAP_PROP_AUTO_EXPOSURE, lambda on: 3.0 if on else 1.0, lambda v: 0.0 if v == 1 else 1.0,
        )  # fmt: skip
    return table
