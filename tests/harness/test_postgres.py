import os
import stat

import psycopg
import pytest

from harness import postgres
from harness.postgres import REMEDY, NoPostgresError, Postgres, programs


def test_it_serves_and_leaves_nothing_behind() -> None:
    if programs() is None:
        pytest.skip(REMEDY)
    with Postgres(["work_mem=8MB"]) as server, psycopg.connect(server.address) as connection:
        found = connection.execute("SELECT current_setting('work_mem'), current_setting('fsync')").fetchone()
        assert found == ("8MB", "on")
        assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
        pid = int((server.folder / "data" / "postmaster.pid").read_text().split()[0])
    assert not server.folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_server_that_does_not_start_says_why_and_leaves_nothing_behind() -> None:
    if programs() is None:
        pytest.skip(REMEDY)
    server = Postgres(["no_such_setting=1"])
    with pytest.raises(NoPostgresError, match="no_such_setting"), server:
        pass
    assert not server.folder.exists()


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "programs", lambda: None)
    with pytest.raises(NoPostgresError, match="apt-get install postgresql"), Postgres():
        pass
