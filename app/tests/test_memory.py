from pathlib import Path

from .server import Server


def test_garbage_collection_does_not_copy_what_a_worker_shares_with_the_others(tmp_path: Path) -> None:
    with Server(tmp_path, "tests.slow:create_app()") as server:
        (worker,) = server.workers()
        before = server.own_memory(worker)
        server.get("/collect")
        assert server.own_memory(worker) - before <= 2
