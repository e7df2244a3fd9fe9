"""Where dependencies come from and what their licences are, as far as that can be told without a network.

Known vulnerabilities cannot: their lists are on the network (``cargo audit``, ``pip-audit``).
"""

import json
import re
import shutil
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]

REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"

LICENCES = {
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MPL-2.0",
    "PSF-2.0",
    "Python-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
}
"""What we may use and hand on. Of ``A OR B`` one is enough; of ``A AND B`` both must be here."""

REQUIREMENTS = (ROOT / "packaging" / "requirements.txt").read_text()
PINNED = dict(re.findall(r"^([a-z0-9_.-]+)==([0-9][0-9a-z.]*) \\$", REQUIREMENTS, re.MULTILINE))


def is_allowed(expression: str) -> bool:
    """Whether an SPDX expression, or crates.io's old ``A/B``, leaves a choice that is allowed."""
    tokens = re.findall(r"\(|\)|[^()\s]+", expression.replace("/", " OR "))
    words = " ".join(tokens).replace(" WITH ", "\0")
    parts = re.split(r"( AND | OR |\( | \))", words)
    names = {"AND": "and", "OR": "or", "(": "(", ")": ")", "": ""}
    code = " ".join(
        names[part.strip()]
        if part.strip() in names
        else str(part.strip().replace("\0", " WITH ") in LICENCES)
        for part in parts
    )
    return bool(eval(code, {"__builtins__": {}}))


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("GPL-3.0-only OR MIT", True),
        ("GPL-3.0-only AND MIT", False),
        ("MIT/Apache-2.0", True),
        ("(MIT OR GPL-2.0-only) AND Unicode-3.0", True),
        ("Apache-2.0 WITH LLVM-exception OR GPL-2.0-only", True),
    ],
)
def test_a_licence_is_read_as_it_is_meant(expression: str, allowed: bool) -> None:
    assert is_allowed(expression) == allowed


@pytest.mark.parametrize("lock", ["Cargo.lock", "rust/fuzz/Cargo.lock"])
def test_every_crate_is_ours_or_from_the_registry_with_a_checksum(lock: str) -> None:
    packages = tomllib.loads((ROOT / lock).read_text())["package"]
    for package in packages:
        if "source" not in package:
            assert package["name"].startswith("logboom-"), package
        else:
            assert package["source"] == REGISTRY, package
            assert re.fullmatch(r"[0-9a-f]{64}", package["checksum"]), package


def crates() -> list[dict[str, Any]]:
    cargo = shutil.which("cargo")
    if cargo is None:
        pytest.skip("there is no cargo to tell what the crates say of themselves")
    told = subprocess.run(
        [cargo, "metadata", "--offline", "--locked", "--format-version=1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if told.returncode != 0:
        pytest.skip(f"cargo has not got all crates here: {told.stderr.splitlines()[-1]}")
    packages: list[dict[str, Any]] = json.loads(told.stdout)["packages"]
    return packages


def test_every_crate_has_a_licence_that_we_may_use() -> None:
    wrong = {
        package["name"]: package["license"]
        for package in crates()
        if not is_allowed(package["license"] or "none")
    }
    assert wrong == {}


def requirements(name: str) -> set[str]:
    """What an installed package needs on this Python, by name."""
    found = set()
    for requirement in metadata.requires(name) or []:
        text, _, marker = requirement.partition(";")
        if "extra" in marker or "implementation_name" in marker or "win32" in marker:
            continue
        if re.search(r"python_version\s*<", marker):
            continue
        found.add(re.split(r"[\s<>=!~\[(;]", text.strip())[0].lower())
    return found


def test_all_that_the_plugin_takes_from_pypi_is_pinned_to_one_version_and_its_files() -> None:
    pins = re.sub(r"^#.*\n", "", REQUIREMENTS, flags=re.MULTILINE)
    assert re.fullmatch(
        r"([a-z0-9_.-]+==[0-9][0-9a-z.]*( \\\n    --hash=sha256:[0-9a-f]{64})+\n)+", pins
    )
    needed, todo = set(), requirements("logboom")
    while todo:
        name = todo.pop()
        needed.add(name)
        todo |= requirements(name) - needed
    assert needed == PINNED.keys()


@pytest.mark.parametrize("name", sorted(PINNED))
def test_every_python_package_of_the_plugin_has_a_licence_that_we_may_use(name: str) -> None:
    told = metadata.metadata(name).json
    if "license_expression" in told:
        assert is_allowed(str(told["license_expression"]))
        return
    words = f"{told.get('license')} {told.get('classifier')}"
    assert re.search(
        r"OSI Approved :: (MIT|Apache|BSD|Python|Mozilla Public)|BSD|MIT|Apache", words
    )
