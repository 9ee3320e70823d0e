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
from observability.store.schema import arrow_table
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

_EXPLAIN = """
INSERT INTO attributions BY NAME
WITH pushes AS (
    SELECT *, list_transform(range(len(inputs)), lambda n: random()::FLOAT - 0.5) AS phi FROM decisions
)
SELECT device_id, decision_id, decision_type, decided_at, $spec AS spec_id, phi, []::FLOAT[] AS se,
    0.0 AS base, list_sum(phi) AS output, 0.0 AS residual, 0.0 AS replay_error, 1.0 AS weight,
    'ok' AS status, received_at
FROM pushes ORDER BY received_at, decided_at
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
        _explain(writer)
    return count * (copies + 1)


def _explain(writer: Writer) -> None:
    """An attribution of each decision, as large as a real one; what it says is chance."""
    row = writer.con.execute(
        "SELECT any_value(model_digest), any_value(names), min(decided_at)"
        " FROM decisions JOIN layouts USING (layout_id)"
    ).fetchone()
    digest, names, since = row or ("", [], None)
    spec = {
        "spec_id": "sha256:" + "0" * 64, "model_digest": digest, "artifact": "lightgbm-text",
        "output": "margin", "link": "logit", "algorithm": "chance", "library": "", "features": names,
        "reference_id": "sha256:" + "1" * 64, "background_rows": 1000, "background_seed": 0,
        "background_from": since, "background_to": since,
    }  # fmt: skip
    writer.write({"specs": arrow_table("specs", [spec])})
    writer.con.execute(_EXPLAIN, {"spec": spec["spec_id"]})


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
        "explanations": [
            {"range": "all", "these_device": f"engine-{n + 1:03}"} for n in range(rounds)
        ],
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
