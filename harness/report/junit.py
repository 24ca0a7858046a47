"""JUnit XML: whose fault a failure is becomes its ``type``, and the conditions of the run become suite properties."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from harness.report.model import RunReport


def finish_junit(path: Path, report: RunReport) -> None:
    """Adds to the file pytest wrote: ``type`` of each failure and error, and the run's conditions."""
    tree = ET.parse(path)
    by_name = {t.name: t for t in report.tests}
    for case in tree.getroot().iter("testcase"):
        result = by_name.get(case.get("name", ""))
        if result is None or not result.blame:
            continue
        for kind in ("failure", "error"):
            for element in case.iter(kind):
                element.set("type", result.blame)
    for suite in tree.getroot().iter("testsuite"):
        properties = suite.find("properties")
        if properties is None:
            properties = ET.Element("properties")
            suite.insert(0, properties)
        for name, value in _conditions(report):
            ET.SubElement(properties, "property", name=name, value=value)
    work = path.with_name(f".{path.name}.new")
    tree.write(work, encoding="utf-8", xml_declaration=True)
    work.replace(path)


def _conditions(report: RunReport) -> list[tuple[str, str]]:
    pairs = {
        "rig": report.rig,
        "provenance": report.provenance,
        "profile": report.profile,
        "seed": report.seed,
        "cost_model": report.cost_model,
        "exit_code": report.exit_code,
        **{f"firmware.{k}": v for k, v in report.firmware.items()},
    }
    return [(name, str(value)) for name, value in pairs.items() if value not in (None, "")]
