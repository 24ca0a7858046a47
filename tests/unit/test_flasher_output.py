"""What esptool says becomes a typed error with a remedy. The texts were printed by esptool 5.6.0 and 4.12.0."""

from pathlib import Path

import pytest

from harness.instruments.esptool_output import FAULTS, FlashError, Watcher, WrongBoard, diagnose

OPEN = "Could not open /dev/ttyX, the port is busy or doesn't exist.\n"
OUTPUTS = {
    "port_missing": OPEN
    + "([Errno 2] could not open port /dev/ttyX: [Errno 2] No such file or directory: '/dev/ttyX')",
    "port_busy": OPEN
    + "([Errno 11] Could not exclusively lock port /dev/ttyX: [Errno 11] Resource temporarily unavailable)",
    "no_permission": OPEN + "([Errno 13] could not open port /dev/ttyX: [Errno 13] Permission denied: '/dev/ttyX')",
    "no_sync": "A fatal error occurred: Failed to connect to ESP32-S3: No serial data received.",
    "wrong_boot_mode": "Failed to connect to ESP32-S3: Wrong boot mode detected (0x8)!",
    "no_reply": "Download mode successfully detected, but getting no sync reply: The serial TX path seems to be down.",
    "wrong_chip": "A fatal error occurred: This chip is ESP32-C3, not ESP32-S3. Wrong chip argument?",
    "wrong_board": "k1hil: wrong board: expected aa:bb:cc:dd:ee:ff, found 34:85:18:aa:bb:cc",
    "verify_failed": "File  md5: 6ae59e64850377ee\nA fatal error occurred: MD5 of file does not match data in flash!",
    "rejected_block": "Failed to write compressed data to flash after seq 3 (result was C100: Bad data checksum)",
    "lost_connection": "connection failed (closed by the far end)",
}


def watch(text):
    watcher = Watcher([], None)
    for line in text.split("\n"):
        watcher.line(line)
    return watcher


@pytest.mark.parametrize("word", OUTPUTS)
def test_each_way_to_fail_is_told_apart(word):
    error = diagnose(2, watch(OUTPUTS[word]), Path("flash.log"), "/dev/ttyACM0")
    assert error.cause == word and error.remedy and "flash.log" in error.evidence and "/dev/ttyACM0" in error.message
    assert isinstance(error, WrongBoard) == (word == "wrong_board")


def test_every_fault_has_a_text_here_or_in_the_integration_tests():
    assert {f.word for f in FAULTS} - set(OUTPUTS) == {"wrong_image"}


def test_a_retry_that_helped_is_no_cause():
    text = "\n".join(["No serial data received.", *["."] * 20, "MD5 of file does not match data in flash!"])
    assert diagnose(2, watch(text), Path("x"), "p").cause == "verify_failed"


def test_the_unknown_is_said_to_be_unknown():
    error = diagnose(7, watch("something new"), Path("x"), "p")
    assert (
        isinstance(error, FlashError)
        and error.cause == "unknown"
        and "7" in error.message
        and "something new" in error.got
    )


def test_progress_and_identity():
    told = []
    files = [(0x0, 100), (0x10000, 300)]
    watcher = Watcher(files, lambda fraction, text: told.append((fraction, text)))
    for line in (
        "esptool v5.6.0",
        "Chip type:          ESP32-S3 (QFN56) (revision v0.2)",
        "MAC:                34:85:18:AA:bb:cc",
        "Writing at 0x00000000 [====] 100.0% 50/50 bytes...",
        "Hash of data verified.",
        "Writing at 0x00010096 [=> ] 50.0%",
        "Hash of data verified.",
    ):
        watcher.line(line)
    assert (watcher.version, watcher.mac, watcher.verified) == ("5.6.0", "34:85:18:aa:bb:cc", 2)
    assert watcher.chip.startswith("ESP32-S3")
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions) and fractions[2] == pytest.approx((100 + 0x96) / 400)
