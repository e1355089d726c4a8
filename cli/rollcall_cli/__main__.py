"""The same as the command `rollcall`, from a clone: PYTHONPATH=cli:layers/common python -m rollcall_cli."""

from .main import app

app(prog_name="rollcall")
