"""What every test may rely on: signals have their default dispositions, however the tests were started.

A shell starts background jobs with SIGINT ignored, and nohup ignores SIGHUP. Children inherit that, and the launcher keeps to it:
it does not forward what its caller ignores. Numbers that a test records as `numbers` stand under the results, and
tables (`table`) behind them.
"""

from __future__ import annotations

import signal

import pytest
from hypothesis import settings

# A busy machine is no failure: what takes long is measured by benchmarks.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")
RESET = (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD)


def pytest_configure() -> None:
    """Undo what the starter of the tests ignores."""
    for number in RESET:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have counted; under several workers their own output is not shown."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.stats.get(outcome, ())]
    found = [(report, *pair) for report in reports for pair in getattr(report, "user_properties", ())]
    for report, name, value in found:
        if name == "numbers":
            terminalreporter.write_line(f"{report.nodeid}: {value}")
    for _, name, value in found:
        if name == "table":
            terminalreporter.write_line(str(value))
