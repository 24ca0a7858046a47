"""The session around one rig: firmware, patterns, the open rig, recordings that tests share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from harness.baseline.fingerprint import fingerprint
from harness.baseline.gate import Gate
from harness.baseline.store import Baseline, baseline_path
from harness.errors import BadRequest, DutFailure, K1HilError
from harness.pipeline.build import build, built
from harness.recording import Recording
from harness.report.cards import add_camera, card
from harness.report.folder import new_run
from harness.report.model import Card
from harness.rig import FirmwareBundle, Rig, open_rig
from harness.rig.bundle import MANIFEST
from harness.rig.config import RigConfig, chosen_rig, chosen_rig_dir, load_config
from harness.rig.ota import update
from harness.rig.profile import Profile
from harness.rig.profile import profile as profile_named
from harness.rig.seeds import fresh_seed
from harness.signals import Stimulus, four_on_floor, gated
from harness.suite.deadlines import typed
from harness.suite.eye import BASIC, Eye
from harness.suite.options import SuiteOptions
from harness.suite.outcome import blame_of

MUSIC_BPM = 120.0
# One beat: what a pattern does in time with the music averages out within a segment.
SEGMENT_S = 60.0 / MUSIC_BPM
# Far apart and prime to 2^48, so that the boards of different repeats and runs never share a seed by a small step.
SEED_STEP = 0x9E3779B1
SESSION: pytest.StashKey[SuiteSession] = pytest.StashKey()


class PatternInfo(NamedTuple):
    """A pattern as its firmware declares it; ``audio_reactive`` and ``raw`` are None when nobody said."""

    id: str
    audio_reactive: bool | None
    raw: bool | None
    description: str


@dataclass
class Stop:
    """Why no further test makes sense."""

    blame: str
    reason: str


class SuiteSession:
    """What all tests of a run share.

    Attributes:
        options, config, rig_name, profile, seed: what is being run.
        run: folder of this run; None while only collecting.
        bundle: the firmware; None when what runs on the device is unknown.
        baseline: accepted values of the rig.
        rig: the open rig, None before the first test that needs it.
        stop: set once the rig is broken or the device does not come up.
        cards: drawn recordings.
        eye: the camera, checked before it is used.
        facts: what the device said of itself when the rig was opened.
    """

    def __init__(self, options: SuiteOptions, shared: dict[str, Any] | None = None) -> None:
        self.options = options
        self.rig_name = chosen_rig(options.rig)
        self.rig_dir = chosen_rig_dir(options.rig_dir)
        self.config: RigConfig = load_config(self.rig_name, self.rig_dir)
        self.profile: Profile = profile_named(options.profile, wall=self.config.kind == "physical")
        self.baseline = Baseline.load(baseline_path(self.rig_dir, self.rig_name), self.rig_name)
        self.shared = shared
        self.seed = int(shared["seed"]) if shared else fresh_seed() if options.seed is None else options.seed
        self.run = self._folder(shared)
        self.bundle: FirmwareBundle | None = None
        self.rig: Rig | None = None
        self.stop: Stop | None = None
        self.opening = False
        self.cards: list[Card] = []
        self.eye = Eye(self.rig_dir)
        self.facts: dict[str, Any] = {}
        self._recordings: dict[str, Recording] = {}
        self._shows: dict[str, list[str]] = {}
        self._watched: dict[str, Recording] = {}
        self._music: dict[int, Stimulus] = {}
        self._siblings: dict[int, Rig] = {}

    def _folder(self, shared: dict[str, Any] | None) -> Path | None:
        if shared:
            return Path(shared["run"])
        return None if self.options.collect_only else new_run(self.options.reports, self.rig_name)

    @property
    def provenance(self) -> str:
        """simulated or hardware."""
        return "simulated" if self.config.simulated else "hardware"

    # ---- firmware ----------------------------------------------------------------------------------

    def find_firmware(self, tell: Callable[[str], None]) -> None:
        """The image named on the command line or by the controlling process, else a build from source.

        Without ``--firmware``, ``--no-flash`` trusts ``[dut] patterns`` of the rig file instead of building. Where the
        device's firmware speaks no K1 sentences it is foreign: it is neither built nor replaced.

        Raises:
            BadRequest, BuildFailed: see :mod:`harness.pipeline.build`.
        """
        if not self.config.dut.sentences:
            if self.options.firmware is not None:
                raise BadRequest(
                    f"rig '{self.rig_name}': its firmware has no K1 sentences, so nothing can prove what was flashed",
                    expected="no --firmware", remedy="flash through a rig file without `sentences = false`",
                )  # fmt: skip
            return
        if self.shared:
            self.bundle = FirmwareBundle.load(Path(self.shared["firmware"])) if self.shared["firmware"] else None
        elif self.options.firmware is not None:
            self.bundle = FirmwareBundle.load(self.options.firmware)
        elif self.options.flash or not self.config.dut.patterns:
            env = "sim" if self.config.simulated else "esp32-s3-devkitc-1"
            if not built(env).is_file():
                tell(f"building the firmware ({env}), the first time takes a while …")
            bundle = build(env, log=self.run / "build.log" if self.run else None)
            self.bundle = _own_copy(bundle, self.run / "firmware") if self.run else bundle

    def check_budgets(self) -> None:
        """Refuses a budget that could never be broken.

        Raises:
            BadRequest: on a pattern the firmware does not have.
        """
        known = {p.id for p in self.patterns}
        strangers = [key for key in self.config.budgets if "/" in key and key.partition("/")[0] not in known]
        if strangers and known:
            raise BadRequest(
                f"rig '{self.rig_name}': [budgets] {strangers[0]}: the firmware has no such pattern",
                expected=", ".join(sorted(known)), remedy="correct the rig file",
            )  # fmt: skip

    @property
    def patterns(self) -> list[PatternInfo]:
        """Patterns of the firmware: from its manifest, else from the rig file."""
        if self.bundle is not None and self.bundle.patterns:
            return [
                PatternInfo(p["id"], bool(p["audio_reactive"]), bool(p.get("raw")), str(p.get("description", "")))
                for p in self.bundle.patterns
            ]
        return [PatternInfo(name, None, None, "") for name in self.config.dut.patterns]

    def pattern(self, pattern_id: str) -> PatternInfo:
        """One of :attr:`patterns`."""
        return next(p for p in self.patterns if p.id == pattern_id)

    @property
    def cost_model(self) -> str:
        """Of the opened rig, else as the manifest says; "" on real silicon."""
        if self.facts:
            return str(self.facts["cost_model"])
        named = self.bundle.manifest.get("cost_model", "") if self.bundle is not None and self.bundle.is_sim else ""
        return str(named)

    @property
    def firmware_line(self) -> str:
        """The project the firmware belongs to."""
        told = self.facts.get("firmware", {}).get("project", "")
        return str(told or (self.bundle.project if self.bundle is not None else ""))

    @property
    def fingerprint(self) -> dict[str, str]:
        """What values of this run may be compared with; complete once the rig was opened."""
        mac = str(self.facts.get("firmware", {}).get("mac", ""))
        return fingerprint(self.config, cost_model=self.cost_model, firmware_line=self.firmware_line, mac=mac)

    @property
    def gate(self) -> Gate:
        """The judge of this run's metrics."""
        if not self.options.baseline:
            return Gate(None, "comparing was declined (--no-baseline)", self.config.budgets)
        conditions, name = self.fingerprint, self.profile.name
        absent = f"{self.baseline.why_not(conditions, name)}; accept one: k1hil baseline collect, then accept"
        return Gate(self.baseline.find(conditions, name), absent, self.config.budgets)

    # ---- rig ---------------------------------------------------------------------------------------

    def open(self, progress: Callable[[float, str], None], owner: str) -> Rig:
        """Opens the rig, flashes it unless that was declined, and makes sure it is up.

        Raises:
            RigFault, DutFailure, BadRequest: what is wrong with it.
        """
        self.opening = True
        seed = self.seed if self.config.kind == "virtual" else None
        rig = open_rig(
            self.rig_name, self.rig_dir, profile=self.profile.name, folder=self.run, seed=seed, owner=owner
        )
        try:
            if self.options.flash and self.bundle is not None:
                self._bring(rig, self.bundle, progress)
            told = rig.identity.to_json() if self.config.dut.sentences else {}
            self.facts = {"firmware": told, "cost_model": rig.cost_model}
            self.facts["fingerprint"] = self.fingerprint
        except BaseException as error:
            with closing(rig):
                if isinstance(error, DutFailure):
                    rig.check_bench()
            raise
        self.rig = rig
        self.opening = False
        return rig

    def _bring(self, rig: Rig, bundle: FirmwareBundle, progress: Callable[[float, str], None]) -> None:
        """The firmware onto the device. Over the air means the whole way, also when the same image runs already."""
        if not self.options.over_the_air:
            rig.flash(bundle, progress=progress)
            return
        if rig.probe() is None:
            rig.flash(bundle, progress=progress)
        update(rig, bundle, force=True, progress=lambda done, size: progress(done / size, "over the air"))

    def close(self) -> None:
        """Gives the rig back; what was learned of it stays."""
        for rig in (*self._siblings.values(), self.rig):
            if rig is not None:
                rig.close()

    def blame(self, error: BaseException) -> tuple[BaseException, str]:
        """Whose fault a failure is. Nothing is a finding about a device whose served bench failed meanwhile.

        Returns:
            The failure to show (the bench's own, when it is the cause), and dut, rig, harness or request.
        """
        error = typed(error)
        blame = blame_of(error)
        if blame == "dut" and self.rig is not None:
            try:
                self.rig.check_bench()
            except K1HilError as fault:
                return fault, blame_of(fault)
        return error, blame

    def note_failure(self, error: BaseException, blame: str) -> None:
        """Remembers a failure that makes all further tests pointless."""
        if self.stop is None and isinstance(error, K1HilError) and (blame == "rig" or self.opening):
            self.stop = Stop(blame, error.message)

    # ---- recordings --------------------------------------------------------------------------------

    def music(self, repeat: int = 0) -> Stimulus:
        """The stimulus of a show: music that first lets a tempo lock, then is loud and quiet in a random order."""
        if repeat in self._music:
            return self._music[repeat]
        lead_s = min(2.4, self.profile.audio_s / 4)
        segments = max(12, 2 * int((self.profile.audio_s - lead_s) / SEGMENT_S / 2))
        seed = (self.seed + 7919 * repeat) % (1 << 32)
        bed = four_on_floor(MUSIC_BPM, lead_s + segments * SEGMENT_S + 0.01, seed=seed)
        self._music[repeat] = gated(bed, segments, SEGMENT_S, lead_s, seed=seed)
        return self._music[repeat]

    def shows(self, rig: Rig, pattern: str) -> list[Recording]:
        """The recordings of a pattern with music, taken once and shared by all tests: one per repeat of the profile."""
        while len(self._shows.get(pattern, [])) < self.profile.repeats:
            self.another_show(rig, pattern)
        return [self._recordings[name] for name in self._shows[pattern][: self.profile.repeats]]

    def another_show(self, rig: Rig, pattern: str) -> Recording:
        """One more recording of the pattern with music, in a new random order of loud and quiet."""
        names = self._shows.setdefault(pattern, [])
        rig = self.own_board(rig, len(names))
        stimulus = self.music(len(names)) if rig.audio is not None else None
        seconds = stimulus.seconds if stimulus else self.profile.record_s
        # In wall time the camera looks at no extra cost; in virtual time its pictures have to be worked out.
        streams = BASIC if self.config.kind == "virtual" else self.eye.streams(rig)
        recording = rig.record(stimulus, seconds, streams, pattern)
        names.append(f"{pattern}-{len(names) + 1}" if names else pattern)
        self.take(names[-1], recording, draw=len(names) == 1)
        return recording

    def own_board(self, rig: Rig, repeat: int) -> Rig:
        """The rig for an independent run: boot, settling and everything random are its own.

        A virtual rig gives a further board with a seed of its own; a real device is booted again.
        """
        if repeat == 0:
            return rig
        if self.config.kind != "virtual" or self.bundle is None or self.run is None:
            rig.reset("hard")
            return rig
        if repeat not in self._siblings:
            seed = (self.seed + repeat * SEED_STEP) % (1 << 48)
            folder = self.run / f"board-{repeat + 1}"
            owner = f"pytest (process {os.getpid()}), board {repeat + 1}"
            board = open_rig(
                self.rig_name, self.rig_dir, profile=self.profile.name, folder=folder, seed=seed, owner=owner
            )
            self._siblings[repeat] = board
            board.flash(self.bundle)
        return self._siblings[repeat]

    def show_names(self, pattern: str) -> list[str]:
        """Names of the recordings :meth:`shows` took."""
        return list(self._shows.get(pattern, []))

    def take(self, name: str, recording: Recording, *, draw: bool = False, title: str = "") -> None:
        """Keeps a recording under a name, on disk when all are kept, and draws it for the page."""
        self._recordings[name] = recording
        pattern = str(recording.meta.get("pattern") or "")
        if draw:
            self.cards.append(card(recording, name, title))
        if recording.light is not None:
            self._watched.setdefault(pattern, recording)
        self._show_camera(pattern)
        if self.options.keep == "all":
            self.save([name])

    def _show_camera(self, pattern: str) -> None:
        """A pattern's card gets the camera's film from the first recording of it that has one, whichever came first."""
        seen = self._watched.get(pattern)
        bare = [c for c in self.cards if c.pattern == pattern and not c.seen_png]
        if seen is not None and bare:
            add_camera(bare[0], seen)

    def save(self, names: list[str]) -> None:
        """Writes recordings into the run's folder, unless none are to be kept or they are there already."""
        if self.run is None or self.options.keep == "none":
            return
        for name in names:
            folder = self.run / "recordings" / name
            if name in self._recordings and not folder.exists():
                self._recordings[name].save(folder)

    def capped_frames(self, names: Iterable[str]) -> int:
        """Frames that the current limit dimmed in these recordings, as far as anybody knows."""
        known = (self._recordings[name].meta.get("capped_frames") for name in names if name in self._recordings)
        return sum(count or 0 for count in known)

    def forget(self, name: str) -> None:
        """Drops a recording that only one test used from memory."""
        self._recordings.pop(name, None)


def _own_copy(bundle: FirmwareBundle, folder: Path) -> FirmwareBundle:
    """The build as this run found it: another build may replace it meanwhile, and the report can point to it."""
    folder.mkdir()
    for file in (bundle.path, bundle.bootloader, bundle.partitions, bundle.otadata, bundle.path.parent / MANIFEST):
        if file.is_file():
            shutil.copyfile(file, folder / file.name)
    return FirmwareBundle.load(folder)
