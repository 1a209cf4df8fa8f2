"""`python -m suanli`."""

from suanli.cli import app

app(prog_name="suanli")
