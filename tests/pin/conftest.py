"""The real things that pinning is compared with: a Kubo daemon, Kubo repositories, and the JavaScript importer."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from Crypto.Cipher import ChaCha20

from pipeline.base.cid import CID
from pipeline.base.records import Artwork, Attribute, BatchPlan
from pipeline.pin import unixfs

HARDHAT_FREE_ENV = Path(__file__).parents[2] / "hardhat-free-env"
PROFILE_FLAGS = {
    "unixfs-v1-2025": [],
    "unixfs-v0-2015": [],
    "kubo-cidv1": ["--cid-version=1"],
}


def keystream(seed: str, size: int) -> Iterator[bytes]:
    """The random bytes of IPIP-499's vectors: ChaCha20 under the hash of a seed, in chunks of 256 KiB."""
    cipher = ChaCha20.new(key=hashlib.sha256(seed.encode()).digest(), nonce=bytes(8))
    while size:
        part = min(size, 256 << 10)
        yield cipher.encrypt(bytes(part))
        size -= part


@pytest.fixture(scope="session")
def kubo_binary() -> Path:
    version = re.search(r"github.com/ipfs/kubo v([\d.]+)", (HARDHAT_FREE_ENV / "kubo/go.mod").read_text())
    assert version
    path = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / f"nft-pipeline/kubo-{version[1]}/ipfs"
    assert path.exists(), f"{path} is missing: run scripts/build-tool kubo"
    return path


class Repo:
    """An isolated Kubo repository: loopback only, no peers, no telemetry."""

    def __init__(self, binary: Path, folder: Path, profile: str) -> None:
        self.binary, self.folder, self.profile = binary, folder, profile
        self.environ = {**os.environ, "IPFS_PATH": str(folder), "IPFS_TELEMETRY": "off", "HOME": str(folder.parent)}
        self.run("init", "--empty-repo", "--profile=test")
        if profile != "kubo-cidv1":
            self.run("config", "profile", "apply", profile)
        self.run("bootstrap", "rm", "--all")
        self.api_port, self.gateway_port, swarm_port = _free_ports(3)
        self._config(
            Addresses={
                "API": f"/ip4/127.0.0.1/tcp/{self.api_port}",
                "Gateway": f"/ip4/127.0.0.1/tcp/{self.gateway_port}",
                "Swarm": [f"/ip4/127.0.0.1/tcp/{swarm_port}"],
            },
            AutoConf={"Enabled": False},
            Routing={"Type": "none"},
            Plugins={"Plugins": {"telemetry": {"Config": {"Mode": "off"}}}},
        )

    def _config(self, **sections: object) -> None:
        path = self.folder / "config"
        config = json.loads(path.read_text())
        for name, value in sections.items():
            if isinstance(value, dict):
                config.setdefault(name, {}).update(value)
        path.write_text(json.dumps(config))

    def secure(self, secret: str) -> None:
        """Let only callers with a secret use the RPC."""
        self._config(API={"Authorizations": {"us": {"AuthSecret": secret, "AllowedPaths": ["/api/v0"]}}})

    def run(self, *arguments: str, data: bytes | None = None) -> str:
        done = subprocess.run(
            [self.binary, *arguments], env=self.environ, input=data, capture_output=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"ipfs {' '.join(arguments)}: {done.stderr.decode()}"
        return done.stdout.decode().strip()

    def add(self, path: Path) -> CID:
        """What `ipfs add` says of a file or a folder."""
        flags = PROFILE_FLAGS[self.profile]
        return CID.parse(self.run("add", "-r", "-Q", "--hidden", "--only-hash", *flags, str(path)))

    def start(self) -> None:
        self.process = subprocess.Popen(
            [self.binary, "daemon"], env=self.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(300):
            assert self.process.poll() is None, "the Kubo daemon ended at once"
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.api_port)) == 0:
                    return
            time.sleep(0.1)
        raise AssertionError("the Kubo daemon did not come up in 30 s")

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)

    @property
    def address(self) -> str:
        return f"/ip4/127.0.0.1/tcp/{self.api_port}"

    @property
    def gateway(self) -> str:
        return f"http://127.0.0.1:{self.gateway_port}"


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    return ports


@pytest.fixture(scope="session")
def new_repo(kubo_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Repo]:
    return lambda profile: Repo(kubo_binary, tmp_path_factory.mktemp("kubo") / "repo", profile)


@pytest.fixture(scope="session")
def repos(new_repo: Callable[[str], Repo]) -> dict[str, Repo]:
    """An offline repository for each profile."""
    return {profile: new_repo(profile) for profile in unixfs.PROFILES}


@pytest.fixture(scope="session")
def kubo(new_repo: Callable[[str], Repo]) -> Iterator[Repo]:
    """A running daemon."""
    repo = new_repo("unixfs-v1-2025")
    repo.start()
    yield repo
    repo.stop()


class Oracle:
    """The JavaScript importer, one process for all questions."""

    def __init__(self) -> None:
        node = shutil.which("node")
        assert node, "Node.js is missing: run scripts/test, which installs it"
        assert (HARDHAT_FREE_ENV / "node_modules/ipfs-unixfs-importer").exists(), "run npm ci in hardhat-free-env"
        self.process = subprocess.Popen(
            [node, "unixfs-oracle.mjs"], cwd=HARDHAT_FREE_ENV, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def root(self, profile: str, files: dict[str, bytes], folder: bool = True) -> CID:
        """The root of a folder with these files; of the only file, if not `folder`."""
        assert self.process.stdin and self.process.stdout
        listed = [[path, base64.b64encode(data).decode()] for path, data in files.items()]
        self.process.stdin.write(json.dumps({"profile": profile, "files": listed, "folder": folder}).encode() + b"\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert "cid" in answer, answer
        return CID.parse(answer["cid"])

    def close(self) -> None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


@pytest.fixture(scope="session")
def oracle() -> Iterator[Oracle]:
    oracle = Oracle()
    yield oracle
    oracle.close()


class Blocks(dict[CID, bytes]):
    """A DAG in memory: `put` and `get` are what the builder and the reader ask for."""

    def put(self, cid: CID, block: bytes) -> None:
        assert cid.matches(block)
        self[cid] = block

    def get_block(self, cid: CID) -> bytes:
        return self[cid]

    def tree(self, files: dict[str, bytes], profile: unixfs.Profile) -> unixfs.Node:
        return unixfs.add_directory(
            ((path, self.file(data, profile)) for path, data in files.items()), self.put, profile
        )

    def file(self, data: bytes, profile: unixfs.Profile) -> unixfs.Node:
        chunks = (data[at : at + profile.chunk] for at in range(0, len(data), profile.chunk))
        return unixfs.add_file(chunks, self.put, profile)


@pytest.fixture
def blocks() -> Blocks:
    return Blocks()


@pytest.fixture(scope="session")
def random_bytes() -> Callable[[str, int], bytes]:
    return lambda seed, size: b"".join(keystream(seed, size))


@pytest.fixture
def batch(tmp_path: Path) -> Callable[..., tuple[BatchPlan, list[Artwork]]]:
    """Make a batch of artworks whose images are random bytes."""

    def make(start: int = 1, quantity: int = 3, size: int = 2_000) -> tuple[BatchPlan, list[Artwork]]:
        artworks = []
        for token_id in range(start, start + quantity):
            path = tmp_path / "images" / f"{token_id}.png"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"".join(keystream(f"image {token_id}", size)))
            digest = hashlib.sha256(path.read_bytes()).digest()
            attributes = (Attribute("Family", "Lino"), Attribute("Lines", token_id, "number", 100))
            artworks.append(Artwork(token_id, 7 * token_id, path, digest, bytes(32), size, attributes))
        return BatchPlan(1, start, quantity), artworks

    return make
