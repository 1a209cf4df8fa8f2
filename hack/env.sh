# shellcheck shell=bash
# Sourced by the commands in hack/: sets ROOT, PYTHON (the locked environment's) and the import path.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
host_python=
for candidate in "${SUANLI_PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
  [ -n "$candidate" ] || continue
  if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    host_python=$candidate
    break
  fi
done
if [ -z "$host_python" ]; then
  echo "suanli: no Python 3.11 or newer was found; install one, or set SUANLI_PYTHON to its path" >&2
  exit 2
fi
PYTHON=$("$host_python" "$ROOT/hack/bootstrap.py")
PATH="$(dirname "$PYTHON"):$PATH"
export PYTHON PATH
export PYTHONPATH="$ROOT/operator:$ROOT/hack/src"
PYTHONPYCACHEPREFIX="$(dirname "$(dirname "$PYTHON")")/pycache" # what is compiled stays outside the tree, for all processes
export PYTHONPYCACHEPREFIX
unset PYTHONDONTWRITEBYTECODE # with it, every process would compile all it imports again
MYPY_CACHE_DIR="$(dirname "$(dirname "$PYTHON")")/mypy" # a fresh checkout is not checked from nothing
export MYPY_CACHE_DIR
export OPENBLAS_NUM_THREADS="${OPENBLAS_NUM_THREADS:-1}" # as suanli/__init__.py has it, also where numpy comes first
cd "$ROOT"
