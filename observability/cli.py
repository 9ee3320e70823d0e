"""The `whence` command: what can be said to it. Each command's module is imported only when it runs."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from traces.errors import WhenceError, WrongUse


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Exit status 0 is ok, 1 a check that failed, 2 wrong use or bad input."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["device"]:
        from traces.device.cli import main as on_the_device

        return on_the_device(given[1:])
    try:
        parsed = _parser().parse_args(given)
        _locate(parsed)
        module = importlib.import_module(f"observability.commands.{parsed.module}")
        return module.run(parsed)
    except WhenceError as error:
        print(f"whence: {error}", file=sys.stderr)  # noqa: T201
        return 2
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        return 130


def _locate(parsed: argparse.Namespace) -> None:
    """Let `store` say where the store is, as --store and --files do together. Raises WrongUse."""
    if "store" in parsed:
        from observability.store.location import location_of

        parsed.store = location_of(parsed.store, parsed.store_files)


class _Parser(argparse.ArgumentParser):
    """Says what was wrong in one line."""

    def error(self, message: str) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        raise WrongUse(message, hint=f"see `{self.prog} --help`")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="whence", description="Why did that device do that?")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=_Parser
    )
    _serving(commands)
    _moving(commands)
    _asking(commands)
    _judging(commands)
    _keeping(commands)
    _alerts(commands)
    commands.add_parser("device", help="keys and status, on the device itself")
    return parser


def _serving(commands: argparse._SubParsersAction) -> None:
    serve = _command(commands, "serve", "pages, receiver and workers on one port")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=8501)
    collect = _command(commands, "collect", "the receiver alone")
    collect.add_argument("--host", default="127.0.0.1")
    collect.add_argument("--port", type=int, default=4318, help="default: 4318, as OTLP has it")
    replay = _command(
        commands, "replay", "a recorded data set as a fleet, through the real receiver"
    )
    replay.add_argument("spec", metavar="SPEC", help="a replay spec, such as examples/cmapss.yaml")
    replay.add_argument("--data", required=True, metavar="DIR", help="the folder of its files")
    replay.add_argument(
        "--endpoint", metavar="URL", help="send to a running receiver instead of --store"
    )
    replay.add_argument("--limit", type=int, metavar="N", help="stop after N decisions")

    simulate = _command(commands, "simulate", "a believable fleet with known troubles")
    simulate.add_argument("--endpoint", metavar="URL", help="the `whence serve` of --store")
    simulate.add_argument("--seed", type=int, default=7)
    simulate.add_argument("--days", type=int, default=42)
    simulate.add_argument("--devices", type=int, default=24)
    simulate.add_argument("--start", metavar="TIME", help="default: so that the history ends now")
    simulate.add_argument("--live", action="store_true", help="go on in real time, until stopped")
    simulate.add_argument("--truth", metavar="FILE", help="default: truth.json in the store")


def _moving(commands: argparse._SubParsersAction) -> None:
    export = _command(
        commands, "export", "decisions, their outcomes, reviews and spans as a trace file"
    )
    export.add_argument("--type", help="of this decision type")
    export.add_argument("--device", help="of this device")
    export.add_argument(
        "--from",
        dest="since",
        metavar="TIME",
        help="decided at or after: ISO 8601 with Z, or 2h, 7d",
    )
    export.add_argument("--to", dest="until", metavar="TIME", help="decided before")
    export.add_argument(
        "--id", action="append", metavar="ID", help="this decision; may be repeated"
    )
    export.add_argument("-o", "--output", required=True, metavar="FILE", help="a .jsonl file")
    imports = _command(commands, "import", "OTLP JSON-lines files into the store", module="import_")
    imports.add_argument("files", nargs="+", metavar="FILE")
    models = _command(commands, "models", "register and show model versions")
    actions = models.add_subparsers(
        dest="action", required=True, metavar="ACTION", parser_class=_Parser
    )
    add = actions.add_parser(
        "add", help="register an artifact: LightGBM text, XGBoost JSON or UBJ, ONNX"
    )
    add.add_argument("file", metavar="FILE")
    add.add_argument("--name", required=True)
    add.add_argument("--version", required=True)
    add.add_argument(
        "--reference", metavar="FILE", help="Parquet: device_id, decided_at, the features"
    )
    add.add_argument(
        "--features",
        metavar="YAML",
        help="in the model's order: name, unit, levels, low, high, actionable, player",
    )
    add.add_argument("--threshold", type=float, help="the score from which the action is proposed")
    show = actions.add_parser("show", help="one model's versions in full")
    show.add_argument("name")
    show.add_argument("version", nargs="?")
    for action in (add, show, actions.add_parser("list", help="all of them")):
        _common(action)


def _keeping(commands: argparse._SubParsersAction) -> None:
    maintain = _command(
        commands, "maintain", "merge files, remove what is older than the retention"
    )
    maintain.add_argument(
        "--retention-days", type=int, metavar="DAYS", help="from now on; at first 184"
    )
    maintain.add_argument("--override", action="store_true", help="let it be less than 184")


def _alerts(commands: argparse._SubParsersAction) -> None:
    alerts = _command(commands, "alerts", "what is wrong, who looks after it, who is told")
    actions = alerts.add_subparsers(
        dest="action", required=True, metavar="ACTION", parser_class=_Parser
    )
    listing = actions.add_parser("list", help="those that stand")
    listing.add_argument("--all", action="store_true", help="those that are resolved too")
    acknowledge = actions.add_parser("acknowledge", help="I look after it")
    snooze = actions.add_parser("snooze", help="leave it alone for a while")
    snooze.add_argument("--for", dest="span", required=True, metavar="TIME", help="30m, 8h, 7d")
    resolve = actions.add_parser("resolve", help="nobody has to look at it any more")
    resolve.add_argument("--reason", required=True, metavar="TEXT", help="what was done")
    for one in (acknowledge, snooze, resolve):
        one.add_argument("id", metavar="ID", help="such as A-0001")
    rule = actions.add_parser(
        "rule", help="set what holds of a kind of findings, or show all rules"
    )
    rule.add_argument("kind", nargs="?", metavar="KIND", help="such as silent; all: every kind")
    rule.add_argument("--type", default="", help="of this decision type only")
    rule.add_argument("--threshold", type=float, metavar="X", help="in the measure of the kind")
    rule.add_argument("--url", metavar="URL", help="a webhook that is told; '' for none")
    enabled = rule.add_mutually_exclusive_group()
    enabled.add_argument("--on", dest="enabled", action="store_true", default=None)
    enabled.add_argument("--off", dest="enabled", action="store_false", default=None)
    for action in (listing, acknowledge, snooze, resolve, rule):
        _common(action)


def _asking(commands: argparse._SubParsersAction) -> None:
    explain = _command(commands, "explain", "why one decision was made")
    explain.add_argument("id", metavar="ID", help="<32 hex trace id>-<16 hex span id>")
    explain.add_argument(
        "--versus",
        default="fleet",
        metavar="WHAT",
        help="fleet, device or the ID of another decision",
    )
    explain.add_argument(
        "--verify", action="store_true", help="compute it again: match, drifted or cannot reproduce"
    )
    sql = _command(commands, "sql", "ask the store, read-only")
    sql.add_argument("query", metavar="QUERY")
    sql.add_argument("--csv", action="store_true", help="print CSV")


def _judging(commands: argparse._SubParsersAction) -> None:
    drift = _command(commands, "drift", "which inputs are not what they were, whose, since when")
    drift.add_argument(
        "--window", default="7d", metavar="TIME", help="troubles since then; default: 7d"
    )
    gates = commands.add_parser("gates", help="what gates did, and what others would have done")
    gates.set_defaults(module="gates")
    actions = gates.add_subparsers(
        dest="action", required=True, metavar="ACTION", parser_class=_Parser
    )
    backtest = actions.add_parser("backtest", help="replay recorded proposals with a gate changed")
    backtest.add_argument("type", metavar="TYPE", help="a decision type, such as pump.stop")
    backtest.add_argument("gate", metavar="GATE", help="its gate, or the name of the one to add")
    change = backtest.add_mutually_exclusive_group(required=True)
    change.add_argument("--limit", metavar="X", help="another limit, in the unit of its input")
    change.add_argument("--drop", action="store_true", help="without the gate")
    change.add_argument("--add", metavar="RULE", help="'INPUT OP LIMIT': pass while it holds")
    _common(backtest)


def _command(
    commands: argparse._SubParsersAction, name: str, help_: str, *, module: str = ""
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=help_, description=help_)
    parser.set_defaults(module=module or name)
    _common(parser)
    return parser


def _common(parser: argparse.ArgumentParser) -> None:
    default = os.environ.get("WHENCE_STORE", "./fleet")
    parser.add_argument(
        "--store",
        default=argparse.SUPPRESS,
        metavar="STORE",
        help="a folder, or 'ducklake:postgres:...'; default: $WHENCE_STORE, else ./fleet",
    )
    parser.add_argument(
        "--files",
        dest="store_files",
        default=argparse.SUPPRESS,
        metavar="URL",
        help="s3://bucket/prefix or a folder, with PostgreSQL; default: $WHENCE_FILES",
    )
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print JSON")
    parser.set_defaults(store=default, store_files=os.environ.get("WHENCE_FILES"), json=False)


if __name__ == "__main__":
    sys.exit(main())
