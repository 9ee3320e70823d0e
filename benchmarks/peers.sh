#!/usr/bin/env bash
# Install what benchmarks compare with, each in a virtual environment of its own under .peers/.
#   benchmarks/peers.sh            all of them
#   benchmarks/peers.sh receivers  MLflow and Phoenix, for benchmarks/peers.py
#   benchmarks/peers.sh explain    woodelf-explainer and explainerdashboard, for benchmarks/explain.py
#   benchmarks/peers.sh monitor    Evidently and NannyML, for benchmarks/monitor.py
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3.11}

install() { # NAME PACKAGE...
    [ -x ".peers/$1/bin/python" ] || "$python" -m venv ".peers/$1"
    ".peers/$1/bin/python" -m pip install --quiet --disable-pip-version-check "${@:2}"
}

receivers() {
    install mlflow mlflow==3.17.2
    install phoenix arize-phoenix==20.26.1
}

explain() {
    install explain woodelf-explainer==0.4.8 explainerdashboard==0.5.8 lightgbm==4.7.0
}

# Neither says so itself, but both need a pandas before 3, and NannyML needs statsmodels.
monitor() {
    install evidently evidently==0.7.23 'pandas<3'
    install nannyml nannyml==0.13.1 statsmodels 'pandas<3'
}

if [ $# -eq 0 ]; then set -- receivers explain monitor; fi
for group in "$@"; do "$group"; done
