"""``python -m soma.bench SYSTEM FOLDER``: one system at one task, for `soma.bench.recall_run.measure`."""

from __future__ import annotations

import sys
from pathlib import Path

from soma.bench.recall_run import serve

if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]))
