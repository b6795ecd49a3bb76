"""Memory that was given back is there for the next picture; waiting threads are told how."""
import os
import subprocess
import sys

from gsc_ros.runtime.tuning import keep_freed_memory, share_cpus
import pytest

# page faults of the second half: rounds of 8 blocks of 10 MB, written and freed
ROUNDS = """
import ctypes, resource, sys
from gsc_ros.runtime.tuning import keep_freed_memory
if sys.argv[1] == 'kept':
    keep_freed_memory()
counts = []
for _ in range(2):
    for _ in range(5):
        blocks = [bytearray(10_000_000) for _ in range(8)]
        del blocks
    counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print(counts[1] - counts[0])
"""


def faults(how: str) -> int:
    answer = subprocess.run([sys.executable, '-c', ROUNDS, how], check=True, capture_output=True)
    return int(answer.stdout)


def test_blocks_are_not_asked_for_again() -> None:
    if not keep_freed_memory():
        pytest.skip('another C library')
    assert faults('kept') * 10 < faults('given back')


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('ctypes.CDLL', lambda name: object())
    assert not keep_freed_memory()


@pytest.mark.parametrize(('cpus', 'said', 'expected'), [
    (2, {}, {'OMP_WAIT_POLICY': 'PASSIVE'}), (8, {}, {'GOMP_SPINCOUNT': '8000'}),
    (2, {'GOMP_SPINCOUNT': '5'}, {'GOMP_SPINCOUNT': '5'}),
    (8, {'OMP_WAIT_POLICY': 'ACTIVE'}, {'OMP_WAIT_POLICY': 'ACTIVE'})])
def test_what_the_environment_says_of_waiting_stands(
        monkeypatch: pytest.MonkeyPatch, cpus: int, said: dict[str, str],
        expected: dict[str, str]) -> None:
    monkeypatch.setattr(os, 'environ', dict(said))
    monkeypatch.setattr(os, 'cpu_count', lambda: cpus)
    share_cpus()
    assert os.environ == expected
