#!/usr/bin/env bash
# Fits every model of fixtures.py with eleven versions of scikit-learn, each in an environment of its own, for the parity table:
#   model/wide.sh OUT
# Development only. Needs python3.9 and python3.11 on the PATH, and packages from PyPI; takes some minutes and 300 MB.
set -euo pipefail
out=$1
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# version of scikit-learn, a Python it has wheels for, the first numpy and scipy it was not made for
while read -r version python numpy scipy; do
  "python$python" -m venv "$work/$version"
  "$work/$version/bin/python" -m pip install --quiet "scikit-learn==$version" "numpy<$numpy" "scipy<$scipy" joblib pandas
  "$work/$version/bin/python" "$here/fixtures.py" "$out" --wide
  rm -rf "${work:?}/$version"
done <<END
0.24.2 3.9 1.24 1.9
1.0.2 3.9 1.24 1.11
1.1.3 3.9 1.24 1.11
1.2.2 3.9 2 1.12
1.3.2 3.9 2 1.12
1.4.2 3.9 2 1.13
1.5.2 3.9 3 2
1.6.1 3.9 3 2
1.7.2 3.11 3 2
1.8.0 3.11 3 2
1.9.1 3.11 3 2
END
