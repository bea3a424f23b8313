"""The page of the server as it is kept: built from its sources, small, and alone with its server.

What needs Node is in `make check-page`, what needs a browser in tests/clients/page.
"""

import gzip
import hashlib
import json
import re

import goldens
import pytest

WEB = goldens.ROOT / "web"
DIST = WEB / "dist"


def test_the_page_was_built_from_these_sources():
    listed = {}
    for line in (WEB / "sources.sha256").read_text(encoding="utf-8").splitlines():
        digest, name = line.split(maxsplit=1)
        listed[name] = digest
    sources = [WEB / "build", WEB / "package-lock.json", *(WEB / "src").iterdir()]
    there = {
        path.relative_to(WEB).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sources
    }
    assert there == listed, "web/src has changed since: run 'make page' (it needs Node)"
    assert (DIST / "index.html").read_bytes() == (WEB / "src/index.html").read_bytes()


def test_the_script_is_small():
    script = (DIST / "assets/app.js").read_bytes()
    assert len(gzip.compress(script, 9)) < 100_000


def test_the_page_has_no_script_or_style_of_its_own_and_no_outside_address():
    page = (DIST / "index.html").read_text(encoding="utf-8")
    assert not re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page)
    addresses = re.findall(r'(?:src|href)="([^"#]+)"', page)
    assert addresses
    for address in addresses:
        assert (DIST / address).is_file(), address
    for file in DIST.rglob("*"):
        if file.is_file() and file.name != "licenses.txt":
            found = re.findall(rb"https?://[\w.]+", file.read_bytes())
            # the name of SVG, and where Konva's warnings point
            assert all(re.search(rb"//(www.w3|konvajs).org$", one) for one in found), (file, found)


def test_the_licences_of_what_the_script_holds_are_with_it():
    licenses = (DIST / "assets/licenses.txt").read_text(encoding="utf-8")
    packages = json.loads((WEB / "package.json").read_text(encoding="utf-8"))["dependencies"]
    for name, version in packages.items():
        assert f"{name} {version}\n" in licenses


@pytest.mark.parametrize("name", ["package.json", "package-lock.json"])
def test_packages_are_pinned_and_name_no_registry(name):
    content = (WEB / name).read_text(encoding="utf-8")
    assert "resolved" not in content
    packages = json.loads(content).get("packages", {"": json.loads(content)})
    root = packages[""]
    for version in (root["dependencies"] | root["devDependencies"]).values():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    if name == "package-lock.json":
        assert all("integrity" in package for path, package in packages.items() if path)
