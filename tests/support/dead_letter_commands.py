"""`python -m tests.support.dead_letter_commands dead list`: these commands as a process of their own."""

import typer

from tidings.cli import dead, replay

app = typer.Typer(pretty_exceptions_enable=False)
app.add_typer(dead.app, name="dead")
app.command()(replay.replay)

if __name__ == "__main__":
    app()
