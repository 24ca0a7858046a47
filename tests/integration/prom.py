"""A real Prometheus with the shipped configuration, at ports and in times that suit a test."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "deploy" / "prometheus"
SCRAPE_S = 1
_DURATION = re.compile(r"(\d+)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def needed(program: str) -> str:
    """Path of a program; without it the test is skipped (which fails on the continuous-integration machine)."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"needs {program}: apt-get install prometheus")
    return path


def quickened(rules: dict[str, Any], factor: float) -> dict[str, Any]:
    """The rules with every ``for`` shortened by ``factor``; nothing else changes."""
    for group in rules["groups"]:
        for rule in group["rules"]:
            if "for" in rule:
                number, unit = _DURATION.fullmatch(rule["for"]).groups()  # type: ignore[union-attr]
                rule["for"] = f"{max(1, round(int(number) * _SECONDS[unit] * factor))}s"
    return rules


class Prometheus:
    """Scrapes once a second what ``jobs`` names; the rest of the configuration is the shipped one.

    Args:
        folder: for its files.
        jobs: job name -> addresses (``HOST:PORT``); for ``k1-device`` the exporter's one address. Jobs that are not
            named are left out.
        factor: by which the alerts' waiting times are shortened.
    """

    def __init__(self, folder: Path, jobs: Mapping[str, list[str]], factor: float = 1 / 60) -> None:
        program = needed("prometheus")
        folder.mkdir(parents=True)
        config = yaml.safe_load((SHIPPED / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": f"{SCRAPE_S}s", "evaluation_interval": f"{SCRAPE_S}s",
                            "scrape_timeout": f"{SCRAPE_S}s"}  # fmt: skip
        config["scrape_configs"] = [
            self._aimed(job, jobs[job["job_name"]]) for job in config["scrape_configs"] if job["job_name"] in jobs
        ]
        assert len(config["scrape_configs"]) == len(jobs), "the shipped configuration has every job"
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        rules = yaml.safe_load((SHIPPED / "rules.yml").read_text())
        (folder / "rules.yml").write_text(yaml.safe_dump(quickened(rules, factor)))
        self._log = folder / "prometheus.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [program, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
                 "--web.listen-address=127.0.0.1:0", "--log.format=json", "--storage.tsdb.retention.time=1d"],
                stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            self.url = f"http://{self._address()}"
            self.await_(lambda: self._get("/-/ready").status_code == 200, 30, "Prometheus is ready")
        except BaseException:
            self.close()
            raise

    @staticmethod
    def _aimed(job: dict[str, Any], addresses: list[str]) -> dict[str, Any]:
        job.pop("scrape_timeout", None)
        if "http_sd_configs" in job:
            (address,) = addresses
            job["scrape_interval"], job["scrape_timeout"] = "2s", "2s"
            for found in job["http_sd_configs"]:
                found.update(url=f"http://{address}/targets", refresh_interval="1s")
            job["relabel_configs"][-1]["replacement"] = address
        else:
            labels = job["static_configs"][0].get("labels", {})
            job["static_configs"] = [
                {"targets": [a], "labels": {name: f"{value}-{i}" for name, value in labels.items()}}
                for i, a in enumerate(addresses)
            ]
        return job

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """An instant query: labels and value of each series.

        Raises:
            AssertionError: Prometheus does not understand the query.
        """
        answer = self._get("/api/v1/query", query=expression).json()
        assert answer["status"] == "success", (expression, answer.get("error"))
        data = answer["data"]
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(one["metric"], float(one["value"][1])) for one in data["result"]]

    def value(self, expression: str) -> float | None:
        """The single value of a query; None when there is none."""
        found = self.query(expression)
        assert len(found) <= 1, found
        return found[0][1] if found else None

    def alerts(self, state: str = "firing") -> set[tuple[str, str]]:
        """(alert, rig or "") of what is in this state."""
        told = self._get("/api/v1/alerts").json()["data"]["alerts"]
        return {(a["labels"]["alertname"], a["labels"].get("rig", "")) for a in told if a["state"] == state}

    def await_(self, condition: Callable[[], Any], timeout_s: float, what: str) -> Any:
        """Waits until ``condition()`` holds and returns its value.

        Raises:
            AssertionError: it did not in time.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            assert self._process.poll() is None, self._log.read_text()[-2000:]
            try:
                if found := condition():
                    return found
            except httpx.HTTPError:
                pass
            assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
            time.sleep(0.25)

    def _get(self, path: str, **params: str) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", params=params, trust_env=False, timeout=10)

    def _address(self) -> str:
        """Where it listens: it says so in its log when it has taken a free port."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            for line in self._log.read_text().splitlines():
                try:
                    told = json.loads(line)
                except ValueError:
                    continue
                address = str(told.get("address", ""))
                if "istening on" in str(told.get("msg", "")) and address.startswith("127.0.0.1:"):
                    return address
            assert self._process.poll() is None, self._log.read_text()[-2000:]
            time.sleep(0.1)
        raise AssertionError(f"Prometheus does not say where it listens: {self._log.read_text()[-2000:]}")
