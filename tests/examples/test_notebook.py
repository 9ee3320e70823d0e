"""examples/notebook.ipynb runs as it stands against a store that is being served."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from observability.collect.serving import serving
from traces import Gate, ModelVersion
from traces.device import DecisionPoint, Recorder

NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebook.ipynb"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the notebook client's own parts
def test_the_example_notebook_runs_beside_a_serving_process(tmp_path, monkeypatch):
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    monkeypatch.setenv("WHENCE_STORE", str(tmp_path / "fleet"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with serving(tmp_path / "fleet") as url:
        exporter = OTLPSpanExporter(f"{url}/v1/traces")
        recorder = Recorder(device_id="pump-07", service="pump", exporter=exporter)
        gates = [Gate("max_temperature", "temperature", "<=", 80.0)]
        model = ModelVersion("guard", "1", "sha256:" + "0" * 64)
        point = DecisionPoint(
            "pump.stop", model, lambda v: 0.9, 0.5, ("run", "stop"), recorder, gates
        )
        point.decide({"temperature": 91.0})
        recorder.shutdown()
        NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert "max_temperature" in str(shown[-1])
