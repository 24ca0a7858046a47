"""Leases within one process; two processes are in tests/integration."""

import json
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import RigFault
from harness.rig import lease as leases


@pytest.fixture(autouse=True)
def no_parent(monkeypatch):
    monkeypatch.delenv(leases.ENV, raising=False)


def test_taken_names_the_owner_and_release_frees(tmp_path):
    with leases.take("r", owner="ann", folder=tmp_path) as first:
        first.validate()
        with pytest.raises(RigFault) as caught:
            leases.take("r", owner="bob", folder=tmp_path)
        assert "ann" in str(caught.value) and str(tmp_path) in caught.value.evidence
        leases.take("other", folder=tmp_path).release()
    second = leases.take("r", owner="bob", folder=tmp_path)
    assert second.fencing == first.fencing + 1
    with pytest.raises(RigFault, match="lost"):
        first.validate()
    first.release()  # a second release must not free what is now bob's
    second.validate()
    second.release()


def test_children_inherit_and_never_release(tmp_path, monkeypatch):
    parent = leases.take("r", folder=tmp_path)
    for name, value in parent.environment().items():
        monkeypatch.setenv(name, value)
    child = leases.take("r", folder=tmp_path)
    assert child.inherited and child.fencing == parent.fencing
    child.validate()
    child.release()
    parent.validate()
    own = leases.take("another", folder=tmp_path)
    assert not own.inherited
    own.release()
    parent.release()
    with pytest.raises(RigFault, match="lost"):
        child.validate()
    with pytest.raises(RigFault):
        leases.take("r", folder=tmp_path)  # the environment still names a lease that stands no more


def test_the_heartbeat_keeps_it_and_silence_loses_it(tmp_path):
    kept = leases.take("r", folder=tmp_path, expiry_s=0.4, heartbeat_s=0.1)
    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline:
        kept.validate()
        time.sleep(0.1)
    kept.release()
    silent = leases.take("r", folder=tmp_path, expiry_s=0.3, heartbeat_s=60.0)
    time.sleep(0.4)
    with pytest.raises(RigFault, match="expired"):
        silent.validate()
    younger = leases.take("r", folder=tmp_path)
    with pytest.raises(RigFault, match="lost"):
        silent.validate()
    assert younger.fencing == silent.fencing + 1
    younger.release()
    silent._stop.set()


def test_a_dead_holder_frees_it_at_once(tmp_path):
    held = leases.take("r", folder=tmp_path)
    record = json.loads(held.path.read_text())
    held._stop.set()
    held.path.write_text(json.dumps({**record, "process_started": record["process_started"] - 1000}))
    younger = leases.take("r", folder=tmp_path)
    assert younger.fencing == held.fencing + 1
    younger.release()


def test_only_one_of_many_threads_gets_it(tmp_path):
    won, lost = [], []
    gate = threading.Barrier(8)

    def grab():
        gate.wait()
        try:
            won.append(leases.take("r", folder=tmp_path))
        except RigFault:
            lost.append(1)

    threads = [threading.Thread(target=grab) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert (len(won), len(lost)) == (1, 7)
    won[0].release()


def test_the_folder_is_private(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    folder = leases.lease_dir()
    assert folder.stat().st_mode & 0o077 == 0 and folder.parent == tmp_path


@given(st.one_of(st.binary(max_size=200), st.dictionaries(
    st.sampled_from(["token", "expires", "fencing", "pid", "host", "process_started"]),
    st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=8), st.lists(st.integers(), max_size=2)),
).map(lambda d: json.dumps(d).encode())))  # fmt: skip
def test_a_damaged_record_never_raises_anything_but_a_rig_fault(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("lease")
    (folder / "r.lease").write_bytes(data)
    try:
        leases.take("r", folder=folder, heartbeat_s=30.0).release()
    except RigFault:
        pass
