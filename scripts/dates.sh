#!/bin/sh
# Runs the tests that know of days on days and in zones where they are hard, children and servers included.
#
# tests/moved_clock moves the clock on the wall for every Python process; elapsed time stays as it is.
set -eu
cd "$(dirname "$0")/.."
BIN=.venv/bin
TESTS="tests/unit/system/test_clock.py tests/unit/model/test_periods.py tests/unit/model/test_cron.py tests/unit/tasks/test_occurrences.py
    tests/unit/tasks/test_scheduler.py tests/unit/tasks/test_alerts.py tests/unit/web/test_wording.py
    tests/unit/web/test_schedules.py tests/unit/cli/test_arguments.py tests/plugins/test_grant_report.py
    tests/plugins/test_membership_summary.py tests/journeys/test_schedules.py tests/journeys/test_schedule_doors.py"

# A moment in UTC, and the zone of the machine: the end of 29 February, where the next day has come; the night in which
# summer time begins; the last minutes of a year, where the new one has begun for some.
run() {
    echo "$1 UTC, TZ=$2"
    # One number for all processes, so that their clocks agree.
    ahead=$(($(date -u -d "$1" +%s) - $(date -u +%s)))
    # shellcheck disable=SC2086
    MOVED_CLOCK=$ahead PYTHONPATH=$PWD/tests/moved_clock TZ=$2 \
        "$BIN/pytest" -n "${JOBS:-2}" --dist loadfile $TESTS
}
run "2028-02-29 23:30:00" Pacific/Auckland
run "2027-03-28 00:58:00" Europe/Berlin
run "2026-12-31 23:57:00" America/New_York
