"""Rig files: what is right is read, every mistake is named with file, key and remedy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import BadRequest
from harness.instruments.ports import PortInfo
from harness.rig import config as rig_config
from harness.rig.config import chosen_rig, load_config, parse_config, rig_names
from harness.rig.new import rig_text, write_rig

VIRTUAL = 'kind = "virtual"\n'
PHYSICAL = 'kind = "physical"\n[console]\nport = "/dev/ttyACM0"\n'


def test_the_rigs_of_the_project_are_sound():
    folder = rig_config.default_rig_dir()
    assert {"sim", "bench1"} <= set(rig_names(folder))
    for name in rig_names(folder):
        load_config(name, folder)


def test_every_field_of_a_physical_rig_stands_in_bench1():
    text = (rig_config.default_rig_dir() / "bench1.toml").read_text()
    tables = {"": rig_config.RigConfig, "dut": rig_config.DutConfig, "console": rig_config.PortConfig}
    tables |= {"flash": rig_config.FlashConfig, "api": rig_config.ApiConfig, "audio": rig_config.AudioConfig}
    tables |= {"ota": rig_config.OtaConfig, "camera": rig_config.CameraTable}
    for table, model in tables.items():
        part = text.split(f"[{table}]")[1].split("\n[")[0] if table else text.split("\n[")[0]
        for field in set(model.model_fields) - set(tables) - {"bench", "budgets"}:
            assert field in part, f"{table}.{field}"
    assert "[budgets]" in text


def test_defaults_by_kind():
    virtual, physical = parse_config(VIRTUAL, "x"), parse_config(PHYSICAL, "x")
    assert (virtual.current_limit_a, physical.current_limit_a) == (0.0, 1.0)
    assert (virtual.flashing_allowed, physical.flashing_allowed) == (True, False)
    assert virtual.simulated and not physical.simulated
    served = parse_config('provenance = "simulated"\n' + PHYSICAL, "x")
    assert served.simulated


@pytest.mark.parametrize(
    ("text", "key", "remedy"),
    [
        (VIRTUAL + "led_curent_limit_a = 1", "led_curent_limit_a", "led_current_limit_a"),
        (PHYSICAL + "buad = 9600", "console.buad", "did you mean 'baud'"),
        (PHYSICAL + "zzz = 1", "console.zzz", "known keys here"),
        (PHYSICAL + "baud = 12", "console.baud", ""),
        (PHYSICAL + 'mac = "aa:bb:cc:dd:ee:ff"', "console", ""),
        ('kind = "physical"', "console", ""),
        ('kind = "physical"\n[console]\nport = "rfc2217://host:99999"', "console.port", ""),
        ('kind = "physical"\n[console]\nport = "ftp://host:1"', "console.port", ""),
        (VIRTUAL + '[console]\nport = "/dev/ttyACM0"', "kind", ""),
        (VIRTUAL + '[dut]\nmac = "nonsense"', "dut.mac", ""),
        (PHYSICAL + "[bench]\nwiring = 'cross'", "bench", ""),
        (VIRTUAL + "[bench]\nwirring = 'cross'", "bench.wirring", "wiring"),
        (VIRTUAL + "led_current_limit_a = -1", "led_current_limit_a", ""),
        ("description = 'no kind'", "kind", "add kind"),
        (VIRTUAL + "[audio", "", "bench1.toml"),
    ],
)
def test_mistakes_name_file_key_and_remedy(text, key, remedy):
    with pytest.raises(BadRequest) as caught:
        parse_config(text, "rigs/x.toml")
    assert "rigs/x.toml" in caught.value.message
    assert f"{key}:" in caught.value.message if key else True
    assert remedy in caught.value.remedy and caught.value.remedy


toml_values = st.recursive(
    st.one_of(st.integers(), st.floats(), st.booleans(), st.text(max_size=20).map(repr)),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=6,
)
keys = st.sampled_from(["kind", "dut", "console", "port", "mac", "bench", "baud", "flash", "audio", "provenance", "x"])


@given(st.lists(st.one_of(st.text(max_size=60), st.tuples(keys, toml_values).map(lambda p: f"{p[0]} = {p[1]}"),
                          keys.map(lambda k: f"[{k}]"), st.just('kind = "virtual"')), max_size=10))  # fmt: skip
def test_any_text_is_a_rig_or_a_bad_request(lines):
    try:
        parse_config("\n".join(lines), "x.toml")
    except BadRequest as error:
        assert "x.toml" in error.message


def test_huge_and_deep_files_are_refused(tmp_path):
    (tmp_path / "big.toml").write_text("# " + "x" * (65 << 10))
    with pytest.raises(BadRequest, match="too large"):
        load_config("big", tmp_path)
    with pytest.raises(BadRequest):
        parse_config("x = " + "[" * 20_000, "x.toml")


def test_unknown_rigs(tmp_path):
    (tmp_path / "bench1.toml").write_text(VIRTUAL)
    with pytest.raises(BadRequest) as caught:
        load_config("bench2", tmp_path)
    assert "bench1" in caught.value.remedy
    for name in ("../etc/passwd", "", "a b", "x.toml"):
        with pytest.raises(BadRequest):
            load_config(name, tmp_path)


def test_the_environment_names_the_rig(monkeypatch):
    monkeypatch.setenv("K1HIL_RIG", "bench7")
    assert chosen_rig(None) == "bench7" and chosen_rig("sim") == "sim"
    monkeypatch.delenv("K1HIL_RIG")
    assert chosen_rig(None) == "sim"


@pytest.mark.parametrize(
    ("board", "line"),
    [
        (PortInfo("/dev/ttyACM3", "34:85:18:AA:BB:CC", "303A:1001", "USB JTAG"), 'mac = "34:85:18:aa:bb:cc"'),
        (PortInfo("/dev/ttyUSB0", "0001", "10C4:EA60", 'CP2102 "quoted"\n'), 'serial_number = "0001"'),
        (PortInfo("/dev/ttyUSB1", "", "1A86:7523", "CH340"), 'port = "/dev/ttyUSB1"'),
    ],
)
def test_rig_new_writes_what_rig_check_reads(tmp_path, board, line):
    path = write_rig("fresh", tmp_path, board, "Speaker (USB)")
    assert line in path.read_text()
    config = load_config("fresh", tmp_path)
    assert config.audio.device == "Speaker (USB)" and config.current_limit_a == 1.0 and not config.flashing_allowed
    with pytest.raises(BadRequest, match="exists"):
        write_rig("fresh", tmp_path, board)


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_no_name_breaks_the_file(serial_number, audio, description):
    board = PortInfo("/dev/ttyUSB0", serial_number, "10C4:EA60", description)
    if len(serial_number) <= 64:
        parse_config(rig_text(board, audio, description), "x.toml")
