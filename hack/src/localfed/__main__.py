"""`python -m localfed`: the commands, with every error as one plain sentence."""

import sys

from localfed.cli import app
from localfed.errors import LocalfedError

if __name__ == "__main__":
    try:
        app(prog_name="hack/localfed")
    except LocalfedError as error:
        sys.exit(f"localfed: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
