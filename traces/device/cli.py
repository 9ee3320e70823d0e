"""`whence device ...`: what a device engineer needs on the device itself, with the base install alone."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from traces.device import keys
from traces.errors import WhenceError, WrongUse


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command of `whence device`. Exit status 0 is ok, 2 wrong use or bad input."""
    try:
        parsed = _parser().parse_args(arguments)
        answer = parsed.run(parsed)
    except WhenceError as error:
        sys.stderr.write(f"whence: {error}\n")
        return 2
    if parsed.json:
        sys.stdout.write(json.dumps(answer) + "\n")
    else:
        sys.stdout.writelines(f"{name:12} {value}\n" for name, value in answer.items())
    return 0


class _Parser(argparse.ArgumentParser):
    """Says what was wrong in one line."""

    def error(self, message: str) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        raise WrongUse(message, hint=f"see `{self.prog} --help`")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="whence device", description="On the device itself.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    of_keys = commands.add_parser("keys", help="the key that signs what the device recorded")
    actions = of_keys.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = actions.add_parser("create", help="make the device's key, in its spool's folder")
    rotate = actions.add_parser("rotate", help="make its next key; the recorder goes over to it")
    create.set_defaults(run=_create)
    rotate.set_defaults(run=_rotate)
    for command in (create, rotate):
        command.add_argument("folder", metavar="DIR", type=Path, help="the folder of the spool")
        command.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _create(parsed: argparse.Namespace) -> dict[str, str]:
    return _named(keys.create(parsed.folder))


def _rotate(parsed: argparse.Namespace) -> dict[str, str]:
    return _named(keys.rotate(parsed.folder))


def _named(key: keys.SigningKey) -> dict[str, str]:
    return {"key_id": key.key_id, "public_key": key.public.hex()}


if __name__ == "__main__":
    sys.exit(main())
