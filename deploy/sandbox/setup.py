"""`python -m deploy.sandbox.setup`: the engine, then the image. Does nothing that is done already."""

import sys
from contextlib import closing

from deploy.sandbox import engine, image
from schema.errors import SettingsError
from schema.settings import Settings


def main() -> int:
    """Make this machine able to run generated code; 0 when it is."""
    try:
        prepare(Settings())
    except SettingsError as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1
    return 0


def prepare(settings: Settings) -> None:
    """The engine and the default image, ready for these settings."""
    engine.prepare(settings, say)
    with closing(engine.connect(timeout=600)) as client:
        image.ensure(client, settings, say, engine.install_debootstrap)
    say("ready")


def say(line: str) -> None:
    """Tell the person what is being done, as it is done."""
    print(f"sandbox: {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
