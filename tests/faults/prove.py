"""Prove that the tests of the upload's protections can fail: take each protection away, and see its test fail.

    python tests/faults/prove.py [PART OF A PROTECTION'S NAME]

Each case changes a copy of the package and runs one test against it. Exits 1 when a test still passes without its
protection, or when a change no longer fits the source.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = "airflow_provider_media"


@dataclass(frozen=True, slots=True)
class Case:
    """One protection taken away.

    :param protection: what it is.
    :param file: where it stands, below the package.
    :param source: the source text that makes it.
    :param without: the text without it.
    :param test: the test that must fail then.
    """

    protection: str
    file: str
    source: str
    without: str
    test: str


CASES = [
    Case(
        "a lost answer is looked for",
        "_api/upload_flow.py",
        "if not problem.maybe_acted:",
        "if True:",
        "test_promises.py -k 'http-stored and lost'",
    ),
    Case(
        "what the look finds is adopted",
        "_api/upload_flow.py",
        "        if found:\n            log.warning",
        "        if False:\n            log.warning",
        "test_promises.py -k 'http-stored and late'",
    ),
    Case(
        "the look goes on for the settling time",
        "_api/upload_flow.py",
        "is_last = settle_seconds <= 0",
        "is_last = True",
        "test_promises.py -k 'http-stored and late'",
    ),
    Case(
        "the looks have no budget of their own",
        "_api/upload_flow.py",
        "with_tries(look_for(upload, mark), retries)\n        except Problem as look_problem",
        "look_for(upload, mark)\n        except Problem as look_problem",
        "test_budget.py -k 'altogether and http'",
    ),
    Case(
        "a server's silence counts",
        "_transports/sync.py",
        "retries.leave_out(body.transfer_seconds)",
        "retries.leave_out(1e9)",
        "test_budget.py -k 'says_nothing and http'",
    ),
    Case(
        "a transfer does not count",
        "_transports/sync.py",
        "retries.leave_out(body.transfer_seconds)",
        "retries.leave_out(0)",
        "test_budget.py -k 'does_not_use_it_up and http'",
    ),
    Case(
        "a 503 is sent again",
        "_api/protocol.py",
        "transient=server_failed or",
        "transient=(server_failed and status != 503) or",
        "test_promises.py -k 'http-503'",
    ),
    Case(
        "a 429 is sent again",
        "_api/protocol.py",
        "transient=server_failed or status == HTTPStatus.TOO_MANY_REQUESTS",
        "transient=server_failed",
        "test_promises.py -k 'http-429'",
    ),
    Case(
        "the mark costs one request",
        "_api/upload_flow.py",
        "        case [int(newest), int(older)] if newest > older:\n            return Mark(newest_id=newest)\n",
        "",
        "test_promises.py -k 'costs and http-30'",
    ),
    Case(
        "an early answer is heard between blocks",
        "_transports/connection.py",
        "if _is_readable(self.sock) and self._has_answered():",
        "if False:",
        "test_early_answers.py -k 'slow_source'",
    ),
    Case(
        "an early answer is heard while waiting for room",
        "_transports/connection.py",
        "if self._wait(select.POLLIN | select.POLLOUT) and self._has_answered():",
        "if self._wait(select.POLLOUT) and False:",
        "test_early_answers.py -k 'lingers and http'",
    ),
    Case(
        "session tickets are told from an answer",
        "_transports/connection.py",
        "        except _NOT_YET:\n            return False\n        except OSError:",
        "        except _NOT_YET:\n            return True\n        except OSError:",
        "test_early_answers.py -k tickets",
    ),
    Case(
        "a connection cut short is not used again",
        "_transports/connection.py",
        "return not self._answered_early and bool(",
        "return bool(",
        "test_early_answers.py -k 'cut_short'",
    ),
    Case(
        "a slow line is no dead line",
        "_transports/connection.py",
        "if waiting >= before:",
        "if True:",
        "test_early_answers.py -k 'as_long_as_bytes_move and http'",
    ),
    Case(
        "the answer's time begins when the body has arrived",
        "_transports/connection.py",
        "if self._is_watchable and not self._answered_early and _unacknowledged(self.sock):",
        "if False:",
        "test_early_answers.py -k 'as_long_as_bytes_move and http'",
    ),
    Case(
        "a changed file is noticed",
        "_api/source.py",
        "if _identity(os.fstat(stream.fileno())) != self._identity:",
        "if False:",
        "test_sources.py -k 'rewritten or grows'",
    ),
    Case(
        "a source that grew is noticed",
        "_api/source.py",
        "        if _read(source.label, stream, 1):",
        "        if False:",
        "test_sources.py -k 'told and grew'",
    ),
    Case(
        "a source's error is ours",
        "_api/source.py",
        '    except Exception as error:\n        raise file_problem(label, f"reading',
        '    except ZeroDivisionError as error:\n        raise file_problem(label, f"reading',
        "test_sources.py -k 'broken_connection'",
    ),
    Case(
        "a file object goes back to where it stood",
        "_api/source.py",
        "            self._stream.seek(self._start)",
        "            self._stream.seek(0)",
        "test_sources.py -k 'where_it_stands'",
    ),
    Case(
        "an answer is read up to a bound",
        "_transports/trying.py",
        "if self._size > LARGEST_REPLY_BYTES:",
        "if False:",
        "test_replies.py -k 'up_to_a_bound'",
    ),
    Case(
        "an answer that drips is given up",
        "_transports/trying.py",
        "if time.monotonic() > self._deadline:",
        "if False:",
        "test_replies.py -k drips",
    ),
    Case(
        "a compressed answer is refused",
        "_transports/trying.py",
        'if encoding not in {"", "identity"} and self._chunks:',
        "if False:",
        "test_replies.py -k compressed",
    ),
]


def main() -> int:
    """Run all cases; return the exit code."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    unproven = [case.protection for case in CASES if wanted in case.protection and not is_proven(case)]
    for protection in unproven:
        print("NOT PROVEN:", protection)
    tried = sum(wanted in case.protection for case in CASES)
    print(f"{tried - len(unproven)} of {tried} protections: their tests fail without them")
    return 1 if unproven else 0


def is_proven(case: Case) -> bool:
    """Run the case's test without the protection; tell whether it failed."""
    with tempfile.TemporaryDirectory() as folder:
        for part in (PACKAGE, "tests/faults", "pyproject.toml"):
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            (Path(folder) / part).parent.mkdir(exist_ok=True)
            copy(ROOT / part, Path(folder) / part)
        path = Path(folder) / PACKAGE / case.file
        text = path.read_text()
        if text.count(case.source) != 1:
            print(f"the change of {case.protection!r} does not fit {case.file}")
            return False
        path.write_text(text.replace(case.source, case.without))
        # The copy comes before the installed package.
        command = f"{sys.executable} -m pytest -q -x --timeout 60 -p no:cacheprovider tests/faults/{case.test}"
        environment = {**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(  # noqa: S602 - the command is made of this file's own texts
            command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        failed = done.returncode == 1 and " failed" in done.stdout
        print(f"{'fails' if failed else 'PASSES'} without: {case.protection}", flush=True)
        if not failed:
            print(done.stdout[-1500:])
        return failed


if __name__ == "__main__":
    sys.exit(main())
