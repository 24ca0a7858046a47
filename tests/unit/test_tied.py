"""What a test or a demonstration starts does not outlive it, even when it is killed."""

import subprocess
import sys

import psutil
import pytest

from harness.pipeline.tied import tied

PARENT = """
import subprocess, sys, time
from harness.pipeline.tied import tied
child = subprocess.Popen(tied([sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]),
                         stdout=subprocess.PIPE, start_new_session=True)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_a_killed_parent_takes_its_child_along():
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        parent.wait(10)
    assert psutil.wait_procs([child], timeout=10)[1] == []


def test_a_command_keeps_its_words_and_its_exit_code():
    words = ["-c", "import sys; print(sys.argv[1:]); sys.exit(7)", "a b", "$c", ""]
    done = subprocess.run(tied([sys.executable, *words]), capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (7, "['a b', '$c', '']\n")
