"""Runs the tests of the agent and those of the meter at once: most of them wait for processes.

What they report goes to REPORTS/agent.xml and REPORTS/meter.xml.

usage: python tools/side_by_side.py REPORTS COMMAND...      e.g. ... .reports coverage run -m pytest
"""

import subprocess
import sys
import tempfile


def main(reports: str, command: list[str]) -> int:
    """Run the command for each half; show one half as it goes and the other when both are done."""
    agents = [*command, "tests/apr", f"--junitxml={reports}/agent.xml"]
    meters = [*command, "tests", "--ignore=tests/apr", f"--junitxml={reports}/meter.xml"]
    with tempfile.TemporaryFile() as said:
        meter = subprocess.Popen(meters, stdout=said, stderr=subprocess.STDOUT)
        try:
            agent_failed = subprocess.run(agents, check=False).returncode
            meter_failed = meter.wait()
        except BaseException:
            meter.terminate()
            raise
        said.seek(0)
        sys.stdout.flush()
        sys.stdout.buffer.write(said.read())
    return 1 if agent_failed or meter_failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
