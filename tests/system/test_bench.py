"""The comparison with a real peer; the smallest, and briefly."""
import re
import subprocess

from conftest import BUILD, ROOT


def test_our_queue_is_compared_with_beanstalkd(tmp_path):
    server = subprocess.run([ROOT / "tools/fetch-server", "beanstalkd", "beanstalkd", ROOT / "build"], check=True,
                            capture_output=True, text=True, timeout=300).stdout.strip()
    result = subprocess.run(
        [BUILD / "tests/bench/bench_peers", BUILD / "agent/inaetics-agent", BUILD / "demonstrator/queue.zip",
         "--beanstalkd", server, "--seconds", "0.1", "--rounds", "1", "--batch", "100", "--directory", tmp_path],
        capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    assert len(re.findall(r"batch  100, .* [0-9.]+ times the best peer \(beanstalkd\)", result.stdout)) == 2
    put, taken = (re.search(rf"^{what} +(\d+) +(\d+)$", result.stdout, re.M).groups()
                  for what in ("put", "taken and acknowledged"))
    assert put == taken and int(put[1]) > 0
