"""`sam3trt download` against a small local server, well-behaved and otherwise."""

import hashlib
import json
import resource
import signal

import pytest
from hub_server import COMMIT, REPO, SMALL, servers_of

WEIGHTS = hashlib.sha256(b"weights").digest() * 40_000  # 1.28 MB


@pytest.fixture
def serve():
    """serve(**behaviour): a server; by default with one weight file in large-file storage."""
    with servers_of(WEIGHTS) as start:
        yield start


@pytest.fixture
def download(run, tmp_path):
    """download(server, *arguments): a run that writes to tmp_path/model."""

    def call(server, *arguments, repo=REPO, token=None, **options):
        env = {"HF_ENDPOINT": server.url() + "/", "HF_TOKEN": token}
        folder = tmp_path / "model"
        return run("download", "--repo", repo, "--output", folder, *arguments, env=env, **options)

    return call


def assert_complete(folder, names=("model.safetensors", *SMALL), weights=WEIGHTS):
    found = {path.name for path in folder.iterdir()}
    assert found == {*names, ".sam3trt_download.json"}
    for name in names:
        expected = SMALL.get(name, weights)
        assert (folder / name).read_bytes() == expected


def test_fetches_weights_configuration_and_tokenizer(serve, download, tmp_path):
    server = serve()
    result = download(server, "--json")
    assert result.code == 0, result.stderr
    assert_complete(tmp_path / "model")
    document = json.loads(result.stdout)
    assert document["commit"] == COMMIT
    by_name = {entry["path"].rsplit("/", 1)[1]: entry for entry in document["files"]}
    assert by_name["model.safetensors"] == {
        "path": str(tmp_path / "model/model.safetensors"),
        "bytes": len(WEIGHTS),
        "sha256": hashlib.sha256(WEIGHTS).hexdigest(),
        "state": "downloaded",
    }


def test_a_complete_folder_is_not_asked_for_again(serve, download, tmp_path):
    server = serve()
    assert download(server).code == 0
    server.log.clear()
    result = download(server, "--json")
    assert result.code == 0
    assert server.log == []
    assert {entry["state"] for entry in json.loads(result.stdout)["files"]} == {"present"}
    assert download(server, "--refresh").code == 0
    assert server.requests("hub") and not server.requests("storage")


def test_a_changed_file_is_fetched_again(serve, download, tmp_path):
    server = serve()
    assert download(server).code == 0
    damaged = bytearray(WEIGHTS)
    damaged[1000] ^= 1
    (tmp_path / "model/model.safetensors").write_bytes(damaged)
    assert download(server).code == 0
    assert_complete(tmp_path / "model")


def test_fetches_all_shards_that_the_index_names(serve, download, tmp_path):
    shards = {f"model-0000{i}-of-00002.safetensors": bytes([i]) * 1000 for i in (1, 2)}
    index = {"weight_map": {f"tensor{i}": name for i, name in enumerate([*shards, *shards])}}
    files = SMALL | shards | {"model.safetensors.index.json": json.dumps(index).encode()}
    assert download(serve(files=files)).code == 0
    for name, content in shards.items():
        assert (tmp_path / "model" / name).read_bytes() == content


def test_an_index_cannot_name_files_elsewhere(serve, download, tmp_path):
    index = {"weight_map": {"a": "../../outside.safetensors"}}
    files = SMALL | {"model.safetensors.index.json": json.dumps(index).encode()}
    result = download(serve(files=files))
    assert result.code == 2
    assert "'a': expected the name of a .safetensors file in the same folder" in result.stderr
    assert not list(tmp_path.glob("**/outside*"))


def test_names_from_the_server_are_not_followed(serve, download, tmp_path):
    names = ["../evil", "/etc/passwd", "config.json", "model.safetensors", 7, None]
    siblings = [{"rfilename": name} for name in names] + ["text", {}]
    assert download(serve(siblings=siblings)).code == 0
    assert_complete(tmp_path / "model", ("config.json", "model.safetensors"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


def test_fetches_metas_format_when_asked(serve, download, tmp_path):
    server = serve(files=SMALL | {"sam3.pt": WEIGHTS})
    result = download(server)
    assert result.code == 2
    assert "--weights pt fetches sam3.pt" in result.stderr
    assert download(server, "--weights", "pt").code == 0
    assert_complete(tmp_path / "model", ("sam3.pt", *SMALL))


def test_gated_without_token_says_what_to_do(serve, download):
    server = serve(gated=True)
    result = download(server)
    assert result.code == 2
    assert f"{REPO} is gated: accept the licence on {server.url()}/{REPO}" in result.stderr
    assert "--token or HF_TOKEN" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_gated_with_a_wrong_token_names_its_source(serve, download):
    result = download(serve(gated=True), token="hf_bad")
    assert result.code == 2
    assert "the token from HF_TOKEN is not accepted" in result.stderr
    assert "hf_bad" not in result.stderr


def test_gated_with_a_token_without_access(serve, download):
    server = serve(gated=True, tokens_without_access=("hf_waiting",))
    result = download(server, "--token", "hf_waiting")
    assert result.code == 2
    assert "the account of the token from --token has no access yet" in result.stderr
    assert "Access is restricted? until approval" in result.stderr


def test_gated_with_a_good_token(serve, download, tmp_path):
    assert download(serve(gated=True), token="hf_good").code == 0
    assert_complete(tmp_path / "model")


def test_the_token_file_is_used(serve, run, tmp_path):
    (tmp_path / "token").write_text("hf_good\n")
    server = serve(gated=True)
    env = {"HF_ENDPOINT": server.url(), "HF_HOME": str(tmp_path)}
    assert run("download", "--repo", REPO, "--output", tmp_path / "model", env=env).code == 0


def test_a_token_with_a_line_break_is_refused(serve, download):
    server = serve()
    result = download(server, token="hf_good\r\nX-Evil: 1")
    assert result.code == 2
    assert "HF_TOKEN: not an access token" in result.stderr
    assert server.log == []


@pytest.mark.parametrize("blanks", ["{}\n", "{}\r\n", "  {}\t", "\n{}\n\n"])
def test_blanks_and_line_ends_around_a_token_do_not_matter(serve, run, download, tmp_path, blanks):
    server = serve(gated=True)
    token = blanks.format("hf_good")
    assert download(server, token=token).code == 0
    assert download(server, "--refresh", "--token", token).code == 0
    (tmp_path / "token").write_text(token)
    env = {"HF_ENDPOINT": server.url() + "\n", "HF_HOME": str(tmp_path), "HF_TOKEN": " \n"}
    result = run("download", "--repo", REPO, "--output", tmp_path / "again", env=env)
    assert result.code == 0, result.stderr


def front_download(server, run, folder, token=None):
    env = {"HF_ENDPOINT": server.url("front"), "HF_TOKEN": token}
    return run("download", "--repo", REPO, "--output", folder, env=env)


def test_another_address_of_the_hub_that_redirects_everything_is_followed(serve, run, tmp_path):
    server = serve()
    result = front_download(server, run, tmp_path / "model", token="hf_good")
    assert result.code == 0, result.stderr
    assert_complete(tmp_path / "model")
    assert server.requests("front", "HEAD")
    assert all("authorization" in headers for _, headers in server.requests("front"))
    for role in ("hub", "storage"):
        for method in ("GET", "HEAD"):
            assert not any("authorization" in h for _, h in server.requests(role, method))


def test_a_gated_repository_behind_a_redirect_says_which_address_to_name(serve, run, tmp_path):
    server = serve(gated=True)
    result = front_download(server, run, tmp_path / "model", token="hf_good")
    assert result.code == 2
    assert "to which the token from HF_TOKEN is not sent" in result.stderr
    assert f"HF_ENDPOINT={server.url()}" in result.stderr
    assert "hf_good" not in result.stderr


def test_relative_redirects_are_followed_with_the_token(serve, download, tmp_path):
    server = serve(gated=True, moved=True)
    assert download(server, token="hf_good").code == 0
    assert_complete(tmp_path / "model")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html><title>Sign in</title>", "web page, such as a sign-in page"),
        (b'{"error":"Repository not found"}', "Repository not found"),
        (b"", "empty file"),
    ],
)
@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_what_is_sent_in_place_of_a_file_is_refused(
    serve, download, tmp_path, name, content, words
):
    files = SMALL | {"model.safetensors": WEIGHTS} | {name: content}
    result = download(serve(files=files, stored_elsewhere=set()))
    assert result.code == 2, result.stderr
    assert f"{name}: " in result.stderr
    assert words in result.stderr
    assert not list((tmp_path / "model").glob(f"{name}*"))


def test_a_file_that_is_accepted_for_its_size_alone_is_said(serve, download, tmp_path):
    server = serve(without_etag={"config.json"})
    for _ in range(2):  # fetched, and found complete
        result = download(server, "--json")
        assert result.code == 0
        assert "config.json: the server names no hash of it; only its size of" in result.stderr
        entries = {e["path"].rsplit("/", 1)[1]: e for e in json.loads(result.stdout)["files"]}
        assert entries["config.json"]["checked"] == "size only"
        assert "git-sha1" in entries["tokenizer.json"]
    assert_complete(tmp_path / "model")


def test_a_redirect_to_another_host_does_not_get_the_token(serve, download):
    server = serve(gated=True)
    assert download(server, token="hf_good").code == 0
    assert all("authorization" in headers for _, headers in server.requests("hub"))
    assert server.requests("storage")
    assert not any("authorization" in headers for _, headers in server.requests("storage"))


def test_a_cut_connection_is_resumed(serve, download, tmp_path):
    server = serve(cut_after=[500_000, 300_000])
    assert download(server).code == 0
    assert_complete(tmp_path / "model")
    ranges = [headers.get("range") for _, headers in server.requests("storage")]
    assert ranges[0] is None
    begins = [int(text.removeprefix("bytes=").removesuffix("-")) for text in ranges[1:]]
    assert begins == [500_000, 800_000]


def test_a_later_run_goes_on_where_the_first_ended(serve, download, tmp_path):
    server = serve(cut_after=[400_000, 0, 0, 0, 0, 0, 0])
    result = download(server)
    assert result.code == 1
    assert "run the same command again to go on" in result.stderr
    assert (tmp_path / "model/model.safetensors.part").stat().st_size == 400_000
    server.behaviour.cut_after.clear()
    server.log.clear()
    result = download(server, "--json")
    assert result.code == 0
    assert [h["range"] for _, h in server.requests("storage")] == ["bytes=400000-"]
    assert json.loads(result.stdout)["files"][-1]["state"] == "resumed"
    assert_complete(tmp_path / "model")


def test_a_server_without_ranges_is_read_from_the_start(serve, download, tmp_path):
    server = serve(cut_after=[500_000], ranges=False)
    assert download(server).code == 0
    assert_complete(tmp_path / "model")


def test_a_part_of_another_file_is_dropped(serve, download, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors.part").write_bytes(b"y" * 1000)
    result = download(serve())
    assert result.code == 0
    assert "belongs to another file" in result.stderr
    assert_complete(folder)


def test_a_part_that_is_too_long_is_dropped(serve, download, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors.part").write_bytes(WEIGHTS + b"more")
    assert download(serve()).code == 0
    assert_complete(folder)


def test_a_checksum_mismatch_is_a_failed_verification(serve, download, tmp_path):
    result = download(serve(corrupt=1))
    assert result.code == 4
    assert hashlib.sha256(WEIGHTS).hexdigest() in result.stderr
    assert not list((tmp_path / "model").glob("model.safetensors*"))


def test_a_small_file_is_checked_too(serve, download, tmp_path, monkeypatch):
    monkeypatch.setattr("hub_server.git_sha1", lambda _: "0" * 40)
    result = download(serve())
    assert result.code == 4
    assert "git-sha1" in result.stderr


def test_a_full_disk_keeps_what_arrived(serve, download, tmp_path):
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))

    server = serve()
    result = download(server, preexec_fn=limit)
    assert result.code == 1
    assert "model.safetensors.part: writing failed" in result.stderr
    assert "make room and run the same command again" in result.stderr
    assert (tmp_path / "model/model.safetensors.part").stat().st_size == 600_000
    assert not (tmp_path / "model/model.safetensors").exists()
    assert download(server).code == 0
    assert_complete(tmp_path / "model")


def test_more_than_the_disk_holds_is_refused_before_the_transfer(serve, download):
    server = serve(announced_size=str(1 << 40))
    result = download(server)
    assert result.code == 1
    assert "1099512 MB are still to come" in result.stderr
    assert not server.requests("storage")


@pytest.mark.parametrize("size", ["-1", "abc", "99999999999999999999", "1e3", str((1 << 40) + 1)])
def test_a_bad_size_is_refused(serve, download, size):
    result = download(serve(announced_size=size))
    assert result.code == 1
    assert f"announces the size '{size}'" in result.stderr


def test_more_bytes_than_announced_are_refused(serve, download, tmp_path):
    result = download(serve(extra_bytes=10))
    assert result.code == 1
    assert "sent more than the 1280000 bytes that it announced" in result.stderr
    assert not (tmp_path / "model/model.safetensors.part").exists()


def test_a_transfer_that_stalls_is_given_up(serve, download):
    server = serve(stall=True, cut_after=[0] * 9)
    result = download(server, "--timeout", 1)
    assert result.code == 1
    assert "check the connection" in result.stderr


def test_an_overloaded_server_is_asked_again(serve, download, tmp_path):
    assert download(serve(fail_status=[503, 429])).code == 0
    assert_complete(tmp_path / "model")


def test_unknown_repository_revision_and_server(serve, run, download, tmp_path):
    server = serve()
    result = download(server, "--revision", "v9/x")
    assert result.code == 2
    assert "--revision v9/x: acme/sam3 has no such branch, tag or commit" in result.stderr
    result = download(server, repo="acme/other")
    assert result.code == 2
    assert "--repo acme/other" in result.stderr
    server.close()
    result = download(server)
    assert result.code == 1
    assert "check the connection" in result.stderr


@pytest.mark.parametrize("repo", ["sam3", "../x", "a/b/c", "a/..", "a b/c"])
def test_a_malformed_repository_name_is_refused(download, serve, repo):
    server = serve()
    result = download(server, repo=repo)
    assert result.code == 2
    assert f"--repo '{repo}': expected OWNER/NAME" in result.stderr
    assert server.log == []


@pytest.mark.parametrize("endpoint", ["ftp://x", "nonsense", "file:///etc"])
def test_a_malformed_endpoint_is_refused(run, tmp_path, endpoint):
    result = run("download", "--output", tmp_path / "m", env={"HF_ENDPOINT": endpoint})
    assert result.code == 2
    assert "expected http:// or https://" in result.stderr


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"sha": 3}', b'{"sha": "../x", "siblings": []}', b"[" * 100_000]
)
def test_a_listing_that_is_none_is_an_error(serve, download, monkeypatch, body):
    def send(handler, _revision):
        handler._send(200, body)

    monkeypatch.setattr("hub_server._Handler._send_listing", send)
    result = download(serve())
    assert result.code == 1
    assert "check HF_ENDPOINT" in result.stderr
