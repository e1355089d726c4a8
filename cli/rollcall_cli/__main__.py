"""The same as the command `rollcall`, from a clone: PYTHONPATH=cli:layers/common python -m rollcall_cli."""

from __future__ import annotations

import sys

from .exit_codes import ExitCode


def main() -> None:
    """Runs the command. Ctrl-C while its modules are loaded, which takes half a second, ends it like later on."""
    try:
        from .main import app

        app(prog_name="rollcall")
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(ExitCode.INTERRUPTED)


if __name__ == "__main__":
    main()
