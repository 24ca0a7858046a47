"""A private copy of the firmware's sources that tests may change and build: a change costs only what it touches."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from harness.pipeline.build import build
from harness.rig import FirmwareBundle

ROOT = Path(__file__).resolve().parents[2]
EXTRA = ROOT / "tests" / "data" / "extra_patterns.inc"
NAMES = ("firmware.bin", "firmware.elf", "bootloader.bin", "partitions.bin", "boot_app0.bin", "firmware.manifest.json")
REGISTRY = "core/patterns/registry.cpp"

Edit = tuple[str, str, str]  # file below firmware/src, text that stands there once, text to stand there instead


class PatchedFirmware:
    """Builds variants of the firmware in one folder; compiled objects are shared between them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._root = folder / "tree"
        shutil.copytree(ROOT / "firmware", self._root / "firmware", ignore=shutil.ignore_patterns(".pio"))
        # Builds take PlatformIO's private folder from the checkout they lie in.
        os.symlink(ROOT / ".pio-core", self._root / ".pio-core")
        self._sources = self._root / "firmware" / "src"
        shutil.copyfile(EXTRA, self._sources / "core" / "patterns" / EXTRA.name)
        self._touched: dict[Path, str] = {}

    def variant(self, name: str, *edits: Edit) -> FirmwareBundle:
        """Builds the firmware with the extra patterns and ``edits``; the files are kept under ``name``."""
        for path, text in self._touched.items():
            path.write_text(text)
        self._touched.clear()
        for edit in (*extra_patterns(), *edits):
            self._edit(*edit)
        built = build("sim", root=self._root)
        out = self.folder / name
        out.mkdir()
        for file in NAMES:
            shutil.copyfile(built.path.with_name(file), out / file)
        return FirmwareBundle.load(out / "firmware.bin")

    def _edit(self, file: str, old: str, new: str) -> None:
        path = self._sources / file
        text = path.read_text()
        assert text.count(old) == 1, f"{file} holds {text.count(old)} times what should be replaced: {old!r}"
        self._touched.setdefault(path, text)
        path.write_text(text.replace(old, new))


def extra_patterns() -> list[Edit]:
    """Puts the patterns of ``tests/data/extra_patterns.inc`` behind the firmware's own."""
    head = "const Pattern kPatterns[] = {\n"
    tail = "};\nconst size_t kPatternCount"
    includes = '#include "core/patterns/common.h"\n'
    more = '#include "hal/system.h"\n#include "hal/task.h"\n'
    return [
        (REGISTRY, includes, includes + more),
        (REGISTRY, head, f'#include "core/patterns/{EXTRA.name}"\n\n{head}'),
        (REGISTRY, tail, f"EXTRA_PATTERNS\n{tail}"),
    ]
