"""The container files and the Kubernetes example of serving/ beside the program."""

import json
import re

import goldens
import pytest
import yaml
from container_file import instructions, last

SERVING = goldens.ROOT / "serving"
OPENAPI = json.loads((goldens.ROOT / "src/server/openapi.json").read_text())
CONTAINERS = ("Dockerfile.cpu", "Dockerfile.gpu")


@pytest.fixture(scope="module")
def objects() -> dict[str, dict]:
    """By kind."""
    documents = yaml.safe_load_all((SERVING / "kubernetes/sam3trt.yaml").read_text())
    return {document["kind"]: document for document in documents}


@pytest.fixture
def flags(run) -> set[str]:
    return set(re.findall(r"--[a-z][a-z-]+", run("serve", "--help", check=True).stdout))


def options_of(arguments: list[str]) -> set[str]:
    return {argument for argument in arguments if argument.startswith("--")}


def pod(objects) -> dict:
    return objects["Deployment"]["spec"]["template"]["spec"]


def container(objects) -> dict:
    (found,) = pod(objects)["containers"]
    return found


@pytest.mark.parametrize("name", CONTAINERS)
def test_containers_start_the_program_with_options_that_it_has(name, flags):
    entry = json.loads(last(name, "ENTRYPOINT"))
    assert entry[:2] == ["sam3trt", "serve"]
    assert options_of(entry) <= flags
    assert last(name, "VOLUME") == entry[entry.index("--model") + 1]
    assert last(name, "STOPSIGNAL") == "SIGTERM"
    user = last(name, "USER").split(":")[0]
    assert user.isdigit() and user != "0"


@pytest.mark.parametrize("name", CONTAINERS)
def test_containers_ask_a_route_that_is_there_for_their_health(name, run):
    path = re.search(r"http://127\.0\.0\.1:8080(\S+)", last(name, "HEALTHCHECK")).group(1)
    assert OPENAPI["paths"][path]["get"]["security"] == []
    assert last(name, "EXPOSE") == "8080"
    assert re.search(r"--port .*=8080\b", run("serve", "--help", check=True).stdout)


def test_both_containers_end_with_the_same_steps():
    def end_of(name: str) -> list:
        steps = instructions(name)
        return steps[max(i for i, (word, _) in enumerate(steps) if word == "RUN") :]

    assert end_of("Dockerfile.cpu") == end_of("Dockerfile.gpu")


def test_the_kubernetes_example_starts_one_gpu_a_pod_with_options_that_there_are(objects, flags):
    assert set(objects) == {"Deployment", "Service"}
    assert options_of(container(objects)["args"]) <= flags
    assert container(objects)["resources"]["limits"]["nvidia.com/gpu"] == 1
    rolling = objects["Deployment"]["spec"]["strategy"]["rollingUpdate"]
    assert rolling["maxSurge"] == 0, "there is no second GPU for a new pod"


def test_its_probes_name_routes_that_ask_for_no_token(objects):
    probes = {
        name: probe["httpGet"] for name, probe in container(objects).items() if "Probe" in name
    }
    assert set(probes) == {"startupProbe", "readinessProbe", "livenessProbe"}
    for probe in probes.values():
        assert OPENAPI["paths"][probe["path"]]["get"]["security"] == []
        assert probe["port"] == "http"
    # A server that is loading or has stopped taking requests is not to be killed for it.
    assert probes["livenessProbe"]["path"] == "/healthz"
    assert probes["readinessProbe"]["path"] == "/readyz"
    (port,) = container(objects)["ports"]
    assert port == {"name": "http", "containerPort": int(last("Dockerfile.gpu", "EXPOSE"))}


def test_its_parts_belong_together(objects):
    spec = objects["Deployment"]["spec"]
    labels = spec["template"]["metadata"]["labels"].items()
    assert spec["selector"]["matchLabels"].items() <= labels
    assert objects["Service"]["spec"]["selector"].items() <= labels
    assert objects["Service"]["spec"]["ports"][0]["targetPort"] == "http"
    mounts = {mount["name"]: mount["mountPath"] for mount in container(objects)["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod(objects)["volumes"]}
    assert set(mounts) == set(volumes)
    assert mounts["model"] == last("Dockerfile.gpu", "VOLUME")
    arguments = container(objects)["args"]
    token = arguments[arguments.index("--token-file") + 1]
    assert token == mounts["token"] + "/token"
    comment = (SERVING / "kubernetes/sam3trt.yaml").read_text()
    assert (
        f"secret generic {volumes['token']['secret']['secretName']} --from-literal=token" in comment
    )


def test_it_has_time_for_a_clean_stop(objects):
    """preStop and what a call may take before it is answered fit into the grace period."""
    command = container(objects)["lifecycle"]["preStop"]["exec"]["command"]
    assert command[0] == "sleep"
    arguments = container(objects)["args"]
    timeout = int(arguments[arguments.index("--timeout") + 1])
    assert int(command[1]) + timeout < pod(objects)["terminationGracePeriodSeconds"]


def test_its_user_is_that_of_the_container(objects):
    user, group = map(int, last("Dockerfile.gpu", "USER").split(":"))
    context = pod(objects)["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"]) == (user, group)
    assert context["runAsNonRoot"] is True
    assert f"--uid {user} " in last("Dockerfile.gpu", "RUN")
