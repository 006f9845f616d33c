"""Runs the tests of the agent and those of the meter at once: most of them wait for processes.

usage: python tools/side_by_side.py COMMAND...      e.g. ... coverage run -m pytest
"""

import subprocess
import sys
import tempfile


def main(command: list[str]) -> int:
    """Run the command for each half; show one half as it goes and the other when both are done."""
    with tempfile.TemporaryFile() as said:
        meter = subprocess.Popen(
            [*command, "tests", "--ignore=tests/apr"], stdout=said, stderr=subprocess.STDOUT
        )
        try:
            agent_failed = subprocess.run([*command, "tests/apr"], check=False).returncode
            meter_failed = meter.wait()
        except BaseException:
            meter.terminate()
            raise
        said.seek(0)
        sys.stdout.flush()
        sys.stdout.buffer.write(said.read())
    return 1 if agent_failed or meter_failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
