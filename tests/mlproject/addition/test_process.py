"""What only shows in processes of their own: ``mlflow run``, a server, no tfnets installed."""

import json
import urllib.error
from pathlib import Path

import mlflow
import pytest

from processes import serve, where_nothing_is_installed

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
RUN = ("mlflow", "run", str(ROOT), "--env-manager=local")
TINY = ("seq_len=4", "steps=2", "batch_size=5", "hidden_size=3", "nesterov=false")


@pytest.fixture
def trained(store, start):
    """The URI of a champion that ``mlflow run`` has trained."""
    parameters = [word for each in TINY for word in ("-P", each)]
    process = start(*RUN, "-e", "addition_rnn", *parameters)
    assert process.wait() == 0, process.said
    said = process.said
    assert "Traceback" not in said
    assert "Warning" not in said
    return "models:/adder@champion"


def test_training_adding_and_serving(trained, store, start, tmp_path):
    here = mlflow.pyfunc.load_model(trained)
    question = [{"a": "999", "b": "1"}, {"a": "0", "b": "007"}]
    sums = here.predict(question).to_dict("records")

    good, bad = (start(*RUN, "-e", "add", "-P", "a=999", "-P", f"b={b}") for b in (1, -1))
    assert good.wait() == 0, good.said
    assert f"999 + 1 = {sums[0]['sum']}\n" in good.said
    assert bad.wait() != 0
    said = bad.said
    assert "Error: b is '-1'; negative numbers cannot be added here." in said.splitlines()
    (failed,) = store.search_runs(["0"], "tags.stage = 'add' and params.b = '-1'")
    assert failed.info.status == "FAILED"

    ask = serve(start, trained)
    assert ask(question, "dataframe_records") == sums
    assert ask({"a": ["999", "0"], "b": ["1", "007"]}) == sums
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask([{"a": "12345", "b": "1"}], "dataframe_records")
    assert refused.value.code == 400
    assert json.load(refused.value) == {
        "error_code": "INVALID_PARAMETER_VALUE",
        "message": "a is '12345', which has 5 digits; this network was trained for numbers of up "
        "to 3.",
    }

    long = "1" * 40_000_000
    for body, line in (
        ('{"inputs": ' + "[" * 100_000 + "]" * 100_000 + "}", "the input is nested too deeply"),
        (f'{{"inputs": {{"a": [{long}], "b": ["1"]}}}}', "a number of over 1,000 digits"),
        (f'{{"inputs": {{"a": ["{long}"], "b": ["1"]}}}}', "which has 40000000 digits; this netw"),
        ('{"inputs": {"a": [NaN], "b": ["1"]}}', "."),
    ):
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(None, body=body.encode())
        assert refused.value.code == 400
        answer = refused.value.read().decode()
        assert line in json.loads(answer)["message"]
        assert len(answer) < 600

    code = f"""
model = mlflow.pyfunc.load_model({trained!r})
print(json.dumps(model.predict({question!r}).to_dict("records")))
"""
    assert where_nothing_is_installed(code, tmp_path) == sums
