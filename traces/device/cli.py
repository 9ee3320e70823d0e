"""`whence device ...`: what a device engineer needs on the device itself, with the base install alone."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from traces.device import keys
from traces.device.command import status_command
from traces.errors import WhenceError, WrongUse


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command of `whence device`. Exit status 0 is ok, 2 wrong use or bad input."""
    try:
        parsed = _parser().parse_args(arguments)
        return parsed.run(parsed)
    except WhenceError as error:
        sys.stderr.write(f"whence: {error}\n")
        return 2


class _Parser(argparse.ArgumentParser):
    """Says what was wrong in one line."""

    def error(self, message: str) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        raise WrongUse(message, hint=f"see `{self.prog} --help`")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="whence device", description="On the device itself.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    status = commands.add_parser("status", help="what its spool holds, lost and was told")
    of_keys = commands.add_parser("keys", help="the key that signs what the device recorded")
    actions = of_keys.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = actions.add_parser("create", help="make the device's key, in its spool's folder")
    rotate = actions.add_parser("rotate", help="make its next key; the recorder goes over to it")
    for command, run in ((status, status_command), (create, _create), (rotate, _rotate)):
        command.add_argument("folder", metavar="DIR", type=Path, help="the folder of the spool")
        command.add_argument("--json", action="store_true", help="print JSON")
        command.set_defaults(run=run)
    return parser


def _create(parsed: argparse.Namespace) -> int:
    return _show(keys.create(parsed.folder), parsed.json)


def _rotate(parsed: argparse.Namespace) -> int:
    return _show(keys.rotate(parsed.folder), parsed.json)


def _show(key: keys.SigningKey, as_json: bool) -> int:
    named = {"key_id": key.key_id, "public_key": key.public.hex()}
    if as_json:
        sys.stdout.write(json.dumps(named) + "\n")
    else:
        sys.stdout.writelines(f"{name:<15} {value}\n" for name, value in named.items())
    return 0


if __name__ == "__main__":
    sys.exit(main())
