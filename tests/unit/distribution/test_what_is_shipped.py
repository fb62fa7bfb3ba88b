"""The wheel and the image hold the product: what is for tests or laptops is in neither, and what is imported is declared."""

import ast
import re
import subprocess
import sys
import tarfile
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOADED_BY_NAME = {"httptools"}
"""Imported by a library of ours that is given its name."""
OTHERS = {"aiosmtpd", "tidings-local", "pytest", "hypothesis"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return ZipFile(next(folder.glob("tidings-*.whl")))


def test_the_wheel_has_the_layers_of_the_product_and_nothing_else(wheel: ZipFile) -> None:
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract.get("exhaustive"))
    assert {name.partition("/")[0] for name in packed} == {"tidings"}
    rooms = {name.split("/")[1].removesuffix(".py") for name in packed}
    assert rooms == {"__init__", "py.typed", *re.findall(r"\w+", " ".join(layers))}


def test_wheel_and_sdist_have_the_inbox_component_that_the_api_serves(
    wheel: ZipFile, tmp_path: Path
) -> None:
    component, place = ROOT / "clients/inbox", "tidings/api/client_files/"
    served = [component / "package.json", *(component / "served").iterdir()]
    expected = {str(path.relative_to(component)): path.read_bytes() for path in served}
    packed = {name: wheel.read(name) for name in wheel.namelist() if name.startswith(place)}
    assert {name.removeprefix(place): body for name, body in packed.items()} == expected

    build = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    with tarfile.open(next(tmp_path.glob("tidings-*.tar.gz"))) as sdist:
        files = {member.name for member in sdist.getmembers() if member.isreg()}
        names = {name.partition(place)[2] for name in files if place in name}
    assert names == {*expected}


def test_wheel_and_image_have_the_templates_and_assets_of_the_console(wheel: ZipFile) -> None:
    console = ROOT / "service/tidings/console"
    files = [it for it in console.rglob("*") if it.suffix in {".html", ".css", ".js", ".svg"}]
    assert {it.suffix for it in files} == {".html", ".css", ".js", ".svg"}
    for path in files:
        name = str(path.relative_to(ROOT / "service"))
        assert wheel.read(name) == path.read_bytes(), name


def test_the_wheel_knows_nothing_of_failpoints(wheel: ZipFile) -> None:
    named = [name for name in wheel.namelist() if b"failpoint" in wheel.read(name).lower()]
    assert named == []


def test_the_wheel_and_the_image_require_nothing_for_tests_or_laptops(wheel: ZipFile) -> None:
    metadata = next(name for name in wheel.namelist() if name.endswith("/METADATA"))
    about = wheel.read(metadata).decode()
    required = re.findall(r"^Requires-Dist: ([\w.-]+)(?!.*extra ==)", about, re.M)
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "requirements/runtime.txt").read_text(), re.M)
    assert OTHERS & {*required, *pinned} == set()
    assert {*required} - {"tidings-events"} <= {*pinned}


def test_the_image_is_built_from_the_product_alone() -> None:
    dockerfile = (ROOT / "deploy/Dockerfile").read_text()
    sources = " ".join(re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.M)).split()
    assert re.findall(r"--wheel-dir /wheels (.+) \\", dockerfile) == ["./schemas ."]
    everything, *lines, caches = (ROOT / ".dockerignore").read_text().split()
    assert (everything, caches) == ("*", "**/__pycache__")
    assert {f"!{source}" for source in sources} == {*lines}
    assert {Path(source).parts[0] for source in sources} == {
        *("requirements", "schemas", "service", "clients", "pyproject.toml", "README.md", "LICENSE")
    }
    modules = (*ROOT.glob("service/**/*.py"), *ROOT.glob("schemas/**/*.py"))
    copied = [str(path.relative_to(ROOT)) for path in modules]
    assert [it for it in copied if re.search(r"/(tests?|testing|local)/|failpoint", it)] == []


distributions = cache(packages_distributions)


@pytest.mark.parametrize(
    ("folder", "project"),
    [
        ("service/tidings", "pyproject.toml"),
        ("schemas/tidings_events", "schemas/pyproject.toml"),
        ("deploy/local/tidings_local", "deploy/local/pyproject.toml"),
    ],
)
def test_whatever_a_distribution_imports_it_declares(folder: str, project: str) -> None:
    about = tomllib.loads((ROOT / project).read_text())["project"]
    extras = about.get("optional-dependencies", {}).values()
    declared = [*about["dependencies"], *(each for extra in extras for each in extra)]
    names = {re.match(r"[\w.-]+", requirement)[0].lower() for requirement in declared}  # type: ignore[index]
    imported = {
        distributions().get(module, [module])[0].lower().replace("_", "-")
        for path in (ROOT / folder).rglob("*.py")
        for module in imports(ast.parse(path.read_text()))
        if module not in {*sys.stdlib_module_names, "_typeshed", Path(folder).name}
    }
    assert imported == names - LOADED_BY_NAME


def imports(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found |= {alias.name.partition(".")[0] for alias in names}
            case ast.ImportFrom(module=str(module)):
                found.add(module.partition(".")[0])
    return found
