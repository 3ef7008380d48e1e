"""The files for clusters that we cannot run here: what can be checked of them."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
FILES = ROOT / "examples" / "clusters"


def test_kubernetes_has_the_variables_of_the_docs_and_nothing_without_tls():
    text = (ROOT / "docs" / "running.md").read_text()
    documented = set(re.findall(r"^export (DASK_\w+)=", text, re.M))
    cluster, job = yaml.safe_load((FILES / "kubernetes.yaml").read_text())["items"]
    pods = [cluster["spec"]["worker"]["spec"], cluster["spec"]["scheduler"]["spec"]]
    pods += [job["spec"]["template"]["spec"]]
    for pod in pods:
        (container,) = pod["containers"]
        names = {each["name"] for each in container["env"]}
        assert names == documented | {"MLFLOW_TRACKING_URI"}
        (mount,) = container["volumeMounts"]
        (volume,) = pod["volumes"]
        assert mount["name"] == volume["name"]
        words = container.get("args", []) + container.get("command", [])
        assert any(word.startswith("tls") for word in words)
        assert not any(word.startswith("tcp:") for word in words)


def test_the_files_say_that_they_were_not_run():
    for path in FILES.iterdir():
        assert "Not run by us on a" in path.read_text(), path
