"""A real redis-server for the tests of stores."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from property_tests.stores.indexes import swift_folder


@dataclass
class RedisServer:
    """A redis-server on this machine that writes every command to its file before it answers."""

    directory: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        if self.process is not None and self.process.poll() is None:
            return
        options = {
            "port": self.port,
            "bind": "127.0.0.1",
            "dir": self.directory,
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "logfile": self.directory / "log",
        }
        told = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self.process = subprocess.Popen([str(shutil.which("redis-server")), *told])
        deadline = time.monotonic() + 10
        while True:
            try:
                with Redis(port=self.port) as client:
                    client.ping()
                return
            except RedisError:
                assert time.monotonic() < deadline, (self.directory / "log").read_text()
                time.sleep(0.02)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture
def swift_path(tmp_path: Path) -> Iterator[Path]:
    """Return a folder in memory where there is one: the Qdrant engine syncs a dozen files to make a shard."""
    with tempfile.TemporaryDirectory(prefix="soma-", dir=swift_folder() or tmp_path) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def running_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    if shutil.which("redis-server") is None:
        pytest.fail("there is no redis-server here: apt-get install redis-server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = RedisServer(tmp_path_factory.mktemp("redis"), port)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_server(running_redis: RedisServer) -> RedisServer:
    """Run a real Redis, whatever the test before has done to it."""
    running_redis.start()
    return running_redis
