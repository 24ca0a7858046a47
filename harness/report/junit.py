"""JUnit XML: whose fault a failure is becomes its ``type``, and the conditions of the run become suite properties."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from harness.report.model import RunReport


def finish_junit(path: Path, report: RunReport) -> None:
    """Adds to the file pytest wrote: ``type`` of each failure and error, and the run's conditions."""
    tree = ET.parse(path)
    blames = {junit_key(t.nodeid): t.blame for t in report.tests}
    for case in tree.getroot().iter("testcase"):
        blame = _blame(blames, case.get("classname", ""), case.get("name", ""))
        if not blame:
            continue
        for kind in ("failure", "error"):
            for element in case.iter(kind):
                element.set("type", blame)
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


def junit_key(nodeid: str) -> tuple[str, str]:
    """``classname`` and ``name`` under which pytest's JUnit writer files a test: equal names live in two modules."""
    path, bracket, parameters = nodeid.partition("[")
    file, *inside = path.split("::")
    module = file.removesuffix(".py").replace("/", ".")
    return ".".join([module, *inside[:-1]]), (inside[-1] if inside else "") + bracket + parameters


def _blame(blames: dict[tuple[str, str], str], classname: str, name: str) -> str:
    """Of a case; ``--junit-prefix`` puts a word before every class name."""
    while (classname, name) not in blames and "." in classname:
        classname = classname.partition(".")[2]
    return blames.get((classname, name), "")


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
