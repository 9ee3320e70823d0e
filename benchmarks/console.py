"""How long the pages' scripts take, warm, on a store of a million decisions.

The store is a replay of the generated engines, copied in SQL with new ids and later times until it
has the size. Each figure is a whole run of the page's script: another decision, window or filter each
time, so that no cached result answers, in a process that has drawn the page before.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import machine

import observability
from observability.store.write import Writer

_COPY = """
INSERT INTO decisions SELECT * EXCLUDE (n, hours) REPLACE (
    md5(decision_id || n) || '-' || substr(md5(n || decision_id), 1, 16) AS decision_id,
    decided_at + to_hours(hours) AS decided_at, received_at + to_hours(hours) AS received_at,
    end_unix_nano + hours * 3600000000000 AS end_unix_nano,
    start_unix_nano + hours * 3600000000000 AS start_unix_nano)
FROM original, (
    SELECT n, CAST(round(n * 42 * 24 / $copies) AS BIGINT) AS hours FROM range(1, $copies + 1) t(n)
)
ORDER BY received_at, decided_at
"""


def main() -> None:
    """Build the store, run the pages and print a table and one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--quick", action="store_true", help="100,000 decisions instead of a million"
    )
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "fleet"
        decisions = _build(store, 100_000 if quick else 1_000_000)
        script_ms = _script_ms(store, rounds=5 if quick else 11)
    size = "100k" if quick else "1m"
    figures: dict[str, object] = {
        "decisions": decisions,
        "script_ms": {size: script_ms, "10m": None},
    }
    absent = ("page_change_ms", "heatmap_click_ms", "decision_cold_ms")
    figures |= dict.fromkeys((*absent, "p95_script_ms_20_operators", "rss_growth_share_500_views"))
    _report(figures, script_ms)
    if not quick:
        machine.save("console", figures)


def _build(store: Path, wanted: int) -> int:
    data = store.parent / "data"
    module = [sys.executable, "-m"]
    subprocess.run(
        [*module, "observability.fleet.sample", "cmapss", str(data)], cwd=machine.ROOT, check=True
    )
    spec = machine.ROOT / "examples" / "cmapss.yaml"
    replay = ["observability.cli", "replay", str(spec), "--data", str(data), "--store", str(store)]
    subprocess.run([*module, *replay], cwd=machine.ROOT, check=True, stdout=subprocess.DEVNULL)
    with Writer(store) as writer:
        writer.con.execute("CREATE TEMP TABLE original AS FROM decisions")
        count = writer.con.execute("SELECT count(*) FROM original").fetchall()[0][0]
        copies = -(-wanted // count) - 1
        print(f"copying {count:,} decisions {copies} times", file=sys.stderr, flush=True)
        writer.con.execute(_COPY, {"copies": copies})
    return count * (copies + 1)


def _script_ms(store: Path, rounds: int) -> dict[str, float]:
    from streamlit.testing.v1 import AppTest

    sys.path.insert(0, str(machine.ROOT))
    os.environ["WHENCE_STORE"] = str(store)
    with observability.connect(store) as con:
        sample = f"FROM decisions SELECT decision_id USING SAMPLE reservoir({rounds} ROWS) REPEATABLE (1)"
        ids = con.execute(sample).fetchall()
    varied = {
        "fleet": [{"range": str(n)} for n in ("1h", "24h", "7d", "30d", "all")],
        "decisions": [{"range": "all", "device": f"engine-{n + 1:03}"} for n in range(rounds)],
        "decision": [{"id": row[0]} for row in ids],
        "device": [{"id": f"engine-{n + 1:03}", "range": "7d"} for n in range(rounds)],
        "drift": [{"range": str(n)} for n in ("24h", "7d", "30d", "all")],
        "health": [{"range": str(n)} for n in ("24h", "7d", "30d", "all")],
    }
    figures = {}
    for page, parameters in varied.items():
        took = []
        for given in parameters:
            app = AppTest.from_file(str(machine.ROOT / "pages" / "shell.py"), default_timeout=60)
            if page != "fleet":
                app.switch_page(f"{page}.py")
            for name, value in given.items():
                app.query_params[name] = value
            started = time.perf_counter()
            app.run()
            took.append((time.perf_counter() - started) * 1e3)
            if app.exception:
                raise SystemExit(f"page {page} failed: {app.exception[0].value}")
        figures[page] = round(statistics.median(took[1:]), 1)
        print(f"{page}: {[round(t) for t in took]} ms", file=sys.stderr, flush=True)
    return figures


def _report(figures: dict[str, object], script_ms: dict[str, float]) -> None:
    print("\n" + machine.described("duckdb", "streamlit", "plotly"))
    print(f"{figures['decisions']:,} decisions; median of a whole script run, warm, in ms\n")
    for page, value in script_ms.items():
        print(f"  {page:12} {value:8.1f}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
