"""A tiny camera of our own: Gaussian spots on a plain background. Only for tests of the measuring side."""

import cv2
import numpy as np

from harness.analysis.light.codes import STEPS, lit_table


class Scene:
    """Two strips in front of a camera; positions ``xy`` [2, 160, 2] are the truth."""

    def __init__(self, rng, *, width=640, height=360, sigma=None, turn=None, gamma=2.2, noise=1.5, jpeg=85, ambient=0.1,
                 dead=0.02, peak=0.75, swap=()):  # fmt: skip
        self.rng, self.width, self.height = rng, width, height
        self.sigma = sigma or rng.uniform(1.2, 1.7)
        self.gamma, self.noise, self.jpeg = gamma, noise, jpeg
        # Any way round that leaves neighbours 3.4 pixels apart or more.
        turn = rng.uniform(-0.4, 0.4) + np.pi * rng.integers(2) if turn is None else turn
        reach = 0.46 * min(width / max(abs(np.cos(turn)), 1e-9), height / max(abs(np.sin(turn)), 1e-9))
        along, side = np.array([np.cos(turn), np.sin(turn)]), np.array([np.sin(turn), -np.cos(turn)])
        apart = min(0.11 * height, 0.25 * reach) * rng.uniform(0.7, 1.2)
        self.pitch = 2 * min(reach * 0.93, 600) / 159
        place = np.linspace(-1, 1, 160)[:, None] * 79.5 * self.pitch
        bow = rng.uniform(-4, 4) * (1 - np.linspace(-1, 1, 160)[:, None] ** 2)
        middle = np.array([width, height]) / 2 + rng.uniform(-3, 3, 2)
        self.xy = np.stack([middle + along * place + side * (bow + s * apart / 2) for s in (1, -1)])
        for a, b in swap:
            self.xy[0, [a, b]] = self.xy[0, [b, a]]
        self.gain = peak * rng.uniform(0.85, 1.0, (2, 160))
        self.dead = rng.random((2, 160)) < dead
        self.gain[self.dead] = 0
        rows, columns = np.mgrid[0:height, 0:width]
        self.ambient = ambient * peak * (0.6 + 0.4 * np.sin(columns / 97.0 + rows / 71.0))[..., None]
        self.ambient = self.ambient.astype(np.float32) * np.array([1.0, 0.9, 0.8], np.float32)
        self.patches = [self._patch(*xy) for xy in self.xy.reshape(-1, 2)]

    def _patch(self, x, y, r=6):
        cx, cy = int(round(x)), int(round(y))
        rows, columns = np.mgrid[cy - r : cy + r + 1, cx - r : cx + r + 1]
        spot = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * self.sigma**2)).astype(np.float32)
        return slice(cy - r, cy + r + 1), slice(cx - r, cx + r + 1), spot[..., None]

    def linear(self, drive):
        """Light [h, w, 3] in B, G, R order for drives [2, 160, 3] in R, G, B order, 0 to 1."""
        light = self.ambient.copy()
        colours = (drive * self.gain[..., None]).reshape(-1, 3)
        for (rows, columns, spot), colour in zip(self.patches, colours, strict=True):
            if colour.any():
                light[rows, columns] += spot * colour[::-1].astype(np.float32)
        return light

    def picture(self, light):
        """8-bit video of linear light: response, noise, JPEG."""
        signal = 255 * np.clip(light, 0, 1) ** (1 / self.gamma)
        signal = signal + self.rng.normal(0, self.noise, signal.shape).astype(np.float32)
        frame = np.clip(np.rint(signal), 0, 255).astype(np.uint8)
        if self.jpeg:
            frame = cv2.imdecode(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, self.jpeg])[1], 1)
        return frame

    def white(self, lit):
        """Light for LEDs [160] that are on or off."""
        return self.linear(np.broadcast_to(lit.astype(np.float32)[None, :, None], (2, 160, 3)))

    def index_video(self, step_s, seconds, fps=30.0, drop=0.05, jitter_ms=0.5, exposure_ms=10.0, readout_ms=15.0):
        """Frames of hil_index that begin somewhere in a cycle: yields (stamp ns, picture)."""
        lights = [self.white(row) for row in lit_table()]
        begin = self.rng.uniform(0, STEPS)
        rows = np.arange(self.height)[:, None, None] / self.height
        for k in range(int(seconds * fps)):
            t = k / fps
            if self.rng.random() < drop:
                continue
            first = begin + t / step_s
            last = begin + (t + (exposure_ms + readout_ms) * 1e-3) / step_s
            light = lights[int(first) % STEPS]
            if int(last) != int(first):  # rolling shutter: share of the exposure of each row after the change
                change = (int(last) - begin) * step_s - t
                share = np.clip((rows * readout_ms + exposure_ms - change * 1e3) / exposure_ms, 0, 1)
                light = light * (1 - share) + lights[int(last) % STEPS] * share
            yield int(1e12 + (t + self.rng.normal(0, jitter_ms * 1e-3)) * 1e9), self.picture(light)
