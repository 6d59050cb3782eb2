"""Saves a machine of the home with restic, and proves that it can be read again.

Run by homeserver-backup*.service. Saved are the volumes of the cluster, with consistent copies of what may
not be copied while it is written, and on the founder what the cluster and the control machine know. Every
repository is written each time; the first is the one that drills read. A failure of one does not stop the
others.
"""

import argparse
import contextlib
import ctypes
import fcntl
import fnmatch
import json
import multiprocessing
import os
import re
import shutil
import sqlite3
import stat
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

Object = dict[str, Any]

TAG = "homeserver"
# So many checks read all data once.
SUBSETS = 12
WAIT_FOR_OTHERS = 7200
WAIT_FOR_LOCK = 1800
KUBECTL_SECONDS = 120
HOOK_SECONDS = 3600
SNAPSHOT_SECONDS = 1200
SQLITE_SECONDS = 60
COPY_SECONDS = 3600
ATTEMPTS = 5
GIB = 2**30
# A restic that moves less in each second of so many is stuck. Debian's 0.14 is, now and then, when a
# directory is full; with little room left it is ended sooner.
IDLE_BYTES = 1024
IDLE_SECONDS = 3600
IDLE_SECONDS_IF_FULL = 60
LITTLE_ROOM = 256 * 2**20
# restic's exit code if it saved all but some files.
INCOMPLETE = 3
MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "homeserver"
HOOKS = "homeserver.stack/backup"

# ---- settings


class Failure(Exception):  # noqa: N818
    """What went wrong, and what to do about it."""


class Away(Failure):
    """A repository that may be back tomorrow."""


class Repository(NamedTuple):
    """Where restic writes to."""

    name: str
    location: str
    environment: dict[str, str]
    parent: str
    """What has the repositories of all machines; the same as the location if it has only this one."""

    @property
    def own(self) -> bool:
        """Whether no other machine of the home knows its password."""
        return self.location != self.parent


def directory_of(repository: Repository) -> str:
    """Return the directory that a repository is made in, if it is in one."""
    location = repository.parent.removeprefix("local:")
    return location if location.startswith("/") else ""


class Settings:
    """The content of backup.json."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.host = str(values["host"])
        self.founder = bool(values["founder"])
        self.password = str(values["password"])
        self.keep: dict[str, int] = values["keep"]
        self.prunes = bool(values["prunes"])
        self.left_out: list[str] = values["left_out"]
        self.prometheus: list[str] = values["prometheus"]
        self.snapshot_job = str(values["snapshot_job"])
        self.directory = Path(values["directory"])
        self.volumes = Path(values["volumes"])
        self.metrics = Path(values["metrics"])
        self.control = Path(values["control"])
        self.kubectl: list[str] = values["kubectl"]
        self.repositories = [
            Repository(
                each["name"],
                each["location"],
                each.get("environment") or {},
                each.get("parent", each["location"]),
            )
            for each in values["repositories"]
        ]

    @property
    def staged(self) -> Path:
        """Where consistent copies are while a save runs."""
        return self.directory / "volumes"

    @property
    def expected(self) -> Path:
        """The file that lists what a copy has to have."""
        return self.directory / "expected.json"

    @property
    def paths(self) -> list[str]:
        """What is saved."""
        return [str(path) for path in (self.directory, self.volumes) if path.is_dir()]


def say(text: str) -> None:
    """Tell something in the journal."""
    sys.stdout.write(f"{in_a_line(text)}\n")
    sys.stdout.flush()


def in_a_line(text: str) -> str:
    """Escape what ends a line or cannot be printed: apps name their files as they like."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


# ---- files of apps are hostile

_LIBC, _long = ctypes.CDLL(None, use_errno=True), ctypes.c_long
_CLONE_NEWNS = 0x20000
_MS_BIND, _MS_REC, _MS_SLAVE = 0x1000, 0x4000, 0x80000
_SYS_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE = 442, -100, 0x8000
_MOUNT_ATTR_NOSYMFOLLOW = 0x200000


@contextlib.contextmanager
def links_refused(directory: Path) -> Iterator[None]:
    """Let neither this process nor its children follow a symbolic link below a directory.

    An app may replace a directory by a link at any moment, also between two looks of SQLite's or restic's at
    it. So the kernel refuses links, in a mount that only these processes see.
    """
    if not directory.is_dir():
        yield
        return
    here = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    before = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY)
    try:
        _mount_without_links(os.fsencode(directory))
        yield
    finally:
        _LIBC.setns(before, _CLONE_NEWNS)
        os.fchdir(here)
        os.close(before)
        os.close(here)


def _mount_without_links(place: bytes) -> None:
    attributes = struct.pack("QQQQ", _MOUNT_ATTR_NOSYMFOLLOW, 0, 0, 0)
    asked = (_SYS_MOUNT_SETATTR, _AT_FDCWD, place, _AT_RECURSIVE, attributes, len(attributes))
    if (
        _LIBC.unshare(_CLONE_NEWNS)
        or _LIBC.mount(None, b"/", None, _long(_MS_SLAVE | _MS_REC), None)
        or _LIBC.mount(place, place, None, _long(_MS_BIND | _MS_REC), None)
        or _LIBC.syscall(*(_long(each) if isinstance(each, int) else each for each in asked))
    ):
        raise Failure(
            f"links of apps could lead out of {os.fsdecode(place)}, so nothing is read there:"
            f" {os.strerror(ctypes.get_errno())} -> run it as root, on Linux 5.14 or later"
        )


def regular(path: Path) -> IO[bytes]:
    """Open a file for reading; nothing else, and nothing that lets its reader wait.

    Raises:
        OSError: It is not there, or something else.
    """
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(f"{path} is no file")
    return file


def _is_ordinary(path: Path) -> bool:
    """Tell whether something is a file or a directory, or gone."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return True
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


# ---- restic

_EXPLAINED = (
    (
        r"wrong password or no key found",
        "its password is another one -> put the password that it was made with into backup.password beside"
        " the home's other secrets and run site.yml, or use an empty location",
    ),
    (
        r"no space left on device|disk quota exceeded|insufficient storage|507 ",
        "it is full; what was saved before is still there -> free space there, or keep less: backup_keep",
    ),
    (
        r"access key id you provided|request signature we calculated",
        _REFUSED := "access is refused -> check its credentials",
    ),
    (
        r"ciphertext verification failed|hash mismatch|invalid data returned|does not match|pack \w+ contains"
        r"|not found in the index|repository contains errors|unexpected pack size|truncated|invalid ID",
        "it is damaged -> keep it as it is, check the disk, and see docs/runbooks/BackupFailing.md",
    ),
    (r"repository is already locked", "another program has locked it -> see what restic list locks says"),
    (r"read-only file system", "it cannot be written -> mount it writable"),
    (
        r"host key verification failed|permission denied \(publickey",
        "root of this machine cannot log in there by ssh -> try it once by hand: ssh",
    ),
    (
        _UNREACHABLE := r"connection refused|no such host|i/o timeout|no route to host|network is unreachable"
        r"|connection reset|could not resolve|connection timed out|deadline exceeded"
        # What ssh says of it may come too late for restic.
        r"|unable to start the sftp session",
        "it cannot be reached -> is it on, and is its name right?",
    ),
    (r"access ?denied|permission denied|forbidden|401|403", _REFUSED),
)
_ABSENT = re.compile(
    r"is there a repository at the following location|unable to open config file|config file does not exist",
    re.IGNORECASE,
)


def explained(repository: Repository, printed: str) -> Failure:
    """Say in a line what restic means, with its own words at the end."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    own = " / ".join(lines[-3:])[-600:] or "it printed nothing"
    for pattern, meaning in _EXPLAINED:
        if re.search(pattern, printed, re.IGNORECASE):
            kind = Away if pattern == _UNREACHABLE else Failure
            return kind(f"repository {repository.name}: {meaning} (restic: {own})")
    return Failure(f"repository {repository.name}: restic failed -> {own}")


class Restic:
    """Runs restic on one repository. What is secret goes by its environment, which only root can read."""

    def __init__(self, settings: Settings, repository: Repository) -> None:
        self.repository = repository
        self._secrets = {settings.password, *repository.environment.values()}
        if found := re.search(r"://[^/@]*:([^/@]+)@", repository.location):
            self._secrets.add(found.group(1))
        self._environment = {
            "RESTIC_CACHE_DIR": "/var/cache/homeserver-backup",
            **os.environ,
            **{name: str(value) for name, value in repository.environment.items()},
            "RESTIC_REPOSITORY": repository.location,
            "RESTIC_PASSWORD": settings.password,
        }

    def run(self, *arguments: str, accepted: Iterable[int] = (0,)) -> subprocess.CompletedProcess[str]:
        """Run a command once others let it, or raise what it says."""
        deadline = time.monotonic() + WAIT_FOR_LOCK
        done = self.tried(*arguments)
        while "repository is already locked" in done.stderr and time.monotonic() < deadline:
            # Takes away only the locks of programs that are gone.
            if self.tried("unlock").returncode == 0:
                done = self.tried(*arguments)
            if "repository is already locked" in done.stderr:
                time.sleep(10)
        if done.returncode not in accepted:
            raise explained(self.repository, done.stderr or done.stdout)
        return done

    def tried(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command, whatever comes of it."""
        with subprocess.Popen(
            ["restic", "--quiet", *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        ) as process:
            stdout, stderr, stuck = self._awaited(process)
        return subprocess.CompletedProcess(
            process.args, process.returncode, stdout, self._masked(stderr) + stuck
        )

    def _awaited(self, process: subprocess.Popen[str]) -> tuple[str, str, str]:
        """Return what a command printed, and a line about it if it was stuck and had to be ended."""
        since, before = time.monotonic(), 0.0
        while True:
            full = _has_little_room(self.repository)
            patience = IDLE_SECONDS_IF_FULL if full else IDLE_SECONDS
            try:
                return *process.communicate(timeout=min(patience, 10)), ""
            except subprocess.TimeoutExpired:
                now, did = time.monotonic(), _did(process.pid)
            if did - before > IDLE_BYTES * (now - since):
                since, before = now, did
            elif now - since > patience:
                process.kill()
                why = "no space left on device" if full else f"it did nothing for {patience} s, and was ended"
                return *process.communicate(), f"\n{why}"

    def _masked(self, text: str) -> str:
        for secret in self._secrets:
            if len(secret) >= 4:
                text = text.replace(secret, "***")
        return text


def _has_little_room(repository: Repository) -> bool:
    directory = directory_of(repository)
    try:
        return bool(directory) and shutil.disk_usage(directory).free < LITTLE_ROOM
    except OSError:
        return False


def _did(process: int) -> float:
    """Return how many bytes a process has moved; a second of computing is as good as some of them."""
    try:
        moved = Path(f"/proc/{process}/io").read_text()
        computed = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    except OSError:
        return 0
    seconds = sum(map(int, computed)) / os.sysconf("SC_CLK_TCK")
    return sum(map(int, re.findall(r"[rw]char: (\d+)", moved))) + seconds * 100 * IDLE_BYTES


# ---- what is known of earlier runs


class State:
    """What earlier runs found, by repository: in state.json, and as metrics."""

    def __init__(self, settings: Settings) -> None:
        self._file = settings.directory / "state.json"
        self._metrics = settings.metrics / "homeserver_backup.prom"
        self._names = [repository.name for repository in settings.repositories]
        try:
            found = json.loads(self._file.read_text())
        except (OSError, ValueError):
            found = {}
        self.repositories: dict[str, dict[str, Any]] = {
            name: {"configured": time.time(), "failures": {}, **found.get(name, {})} for name in self._names
        }

    def succeeded(self, name: str, job: str, **values: float | str) -> None:
        """Note that a job went well."""
        self.repositories[name].update(values)
        self.repositories[name]["failures"].pop(job, None)
        self.write()

    def failed(self, name: str, job: str, why: str) -> None:
        """Note that a job did not."""
        self.repositories[name]["failures"][job] = why
        self.write()

    def write(self) -> None:
        """Keep it, as a whole or not at all."""
        written(self._file, json.dumps(self.repositories, indent=1), 0o600)
        self._metrics.parent.mkdir(parents=True, exist_ok=True)
        written(self._metrics, "".join(metrics(self.repositories)), 0o644)


_METRICS = {
    "configured_timestamp_seconds": ("configured", "When the repository was first named."),
    "last_success_timestamp_seconds": ("success", "When all was last saved."),
    "duration_seconds": ("duration", "How long the last save took."),
    "size_bytes": ("size", "What the repository takes."),
    "last_drill_timestamp_seconds": ("drill", "When the newest copy was last restored and compared."),
    "last_check_timestamp_seconds": ("check", "When the repository was last found whole."),
}


def metrics(repositories: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Say what is known in Prometheus' words."""
    for metric, (key, meaning) in _METRICS.items():
        known = {name: about[key] for name, about in repositories.items() if key in about}
        if known:
            yield f"# HELP homeserver_backup_{metric} {meaning}\n# TYPE homeserver_backup_{metric} gauge\n"
        for name, value in known.items():
            yield f'homeserver_backup_{metric}{{repository="{name}"}} {value}\n'
    yield "# HELP homeserver_backup_failed How many of its jobs failed the last time.\n"
    yield "# TYPE homeserver_backup_failed gauge\n"
    for name, about in repositories.items():
        yield f'homeserver_backup_failed{{repository="{name}"}} {len(about["failures"])}\n'


def written(path: Path, text: str, mode: int) -> None:
    """Write a file as a whole."""
    beside = path.with_name(f".{path.name}.new")
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:  # noqa: PTH123
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.chmod(mode)
    beside.replace(path)


@contextlib.contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """Wait until no other job of this program runs here."""
    settings.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (settings.directory / ".lock").open("w") as file:
        deadline = time.monotonic() + WAIT_FOR_OTHERS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    message = f"another job still runs after {WAIT_FOR_OTHERS // 60} minutes -> see"
                    raise Failure(f"{message} systemctl list-units 'homeserver-backup*'") from None
            time.sleep(1)
        yield


# ---- repositories


def opened(settings: Settings, repository: Repository, state: State) -> Restic:
    """Find a repository, and make it if there never was one.

    One that was there before is not made anew: it is on a disk that is not mounted, or somebody removed it.
    """
    restic = Restic(settings, repository)
    directory = directory_of(repository)
    if directory and not Path(directory).is_dir():
        raise Away(
            f"repository {repository.name}: there is no directory {directory} -> make it, or mount its disk"
        )
    about = state.repositories[repository.name]
    former = repository.own and not about.get("own") and "id" in about
    known = None if former else about.get("id")
    done = restic.tried("--no-lock", "cat", "config")
    if done.returncode and _ABSENT.search(done.stderr):
        if known or (former and directory and not Path(directory, "config").exists()):
            raise Away(
                f"repository {repository.name}: what was there is gone -> mount its disk; or, to begin anew"
                " there, rename the entry in backup_repositories"
            )
        made = restic.tried("init")
        # Another machine of the home may have been faster.
        if made.returncode and "already" not in made.stderr:
            raise explained(repository, made.stderr)
        done = restic.run("--no-lock", "cat", "config")
    elif done.returncode:
        raise explained(repository, done.stderr)
    found = str(json.loads(done.stdout)["id"])
    if known and found != known:
        raise Failure(
            f"repository {repository.name}: another one than before is there -> mount the right disk; or, if"
            " it is meant, rename the entry in backup_repositories"
        )
    if not known:
        if former:
            about["former"] = {key: about[key] for key in ("success", "size") if key in about}
        about |= {"id": found, "own": repository.own}
        state.write()
    return restic


def prepare(settings: Settings, state: State) -> list[str]:
    """Open or make all repositories. One that was there before and is away today only causes an alert."""
    wrong = []
    known = [about.get("id") for about in state.repositories.values()]
    for repository in settings.repositories:
        try:
            opened(settings, repository, state)
        except Failure as failure:
            if isinstance(failure, Away) and state.repositories[repository.name].get("id"):
                state.failed(repository.name, "save", str(failure))
            else:
                wrong.append(str(failure))
    state.write()
    changed = known != [about.get("id") for about in state.repositories.values()]
    say(json.dumps({"changed": changed}))
    return wrong


# ---- saving


def save(settings: Settings, state: State) -> list[str]:
    """Save all to every repository."""
    if (settings.directory / "restoring").exists():
        raise Failure(
            "a restore has begun and not ended, so nothing is saved over it"
            " -> finish it: playbooks/restore.yml"
        )
    shutil.rmtree(settings.staged, ignore_errors=True)
    hooks = Hooks(settings)
    wrong: list[str] = []
    try:
        wrong += hooks.before()
        excluded, troubles = stage(settings)
        wrong += troubles
        for failed in [
            _save_to(settings, repository, state, excluded, wrong) for repository in settings.repositories
        ]:
            wrong += failed
    finally:
        shutil.rmtree(settings.staged, ignore_errors=True)
        late = hooks.after()
    for about in late:
        for repository in settings.repositories:
            state.failed(repository.name, "save", about)
    return wrong + late


def _save_to(
    settings: Settings, repository: Repository, state: State, excluded: Iterable[Path], staging: list[str]
) -> list[str]:
    started = time.time()
    try:
        restic = opened(settings, repository, state)
        with tempfile.NamedTemporaryFile(prefix="homeserver-backup-") as file:
            file.writelines(os.fsencode(f"{pattern(path)}\n") for path in excluded)
            file.flush()
            arguments = ("--json", "--host", settings.host, "--tag", TAG, "--exclude-file", file.name)
            with links_refused(settings.volumes):
                done = restic.run("backup", *arguments, *settings.paths, accepted=(0, INCOMPLETE))
        unread = unreadable(done.stderr)
        if unread:
            raise Failure(
                f"repository {repository.name}: all is saved but {len(unread)} files"
                f" -> {'; '.join(unread[:5])}"
            )
        if settings.prunes:
            keep = [f"--keep-{period}={number}" for period, number in settings.keep.items()]
            restic.run(*("forget", "--host", settings.host, "--tag", TAG, "--group-by", "host,tags", *keep))
        size = json.loads(restic.run("stats", "--mode", "raw-data", "--json").stdout)["total_size"]
    except Failure as failure:
        state.failed(repository.name, "save", "; ".join([*staging, str(failure)]))
        return [str(failure)]
    duration = time.time() - started
    say(f"repository {repository.name}: saved in {duration:.0f} s, it takes {size / 2**20:.0f} MiB")
    if staging:
        state.failed(repository.name, "save", "; ".join(staging))
    else:
        state.succeeded(repository.name, "save", success=time.time(), duration=round(duration, 1), size=size)
    return []


def pattern(path: Path) -> str:
    """Write a path so that restic takes it as it is."""
    return re.sub(r"([\\*?\[])", r"\\\1", str(path)).replace("$", "$$")


def is_excludable(path: Path) -> bool:
    """Tell whether restic reads a path from a line as it is: it takes away space at the end."""
    return "\n" not in str(path) and str(path) == str(path).strip()


def unreadable(printed: str) -> list[str]:
    """Find the files that could not be read, without those that were removed meanwhile."""
    found = []
    for line in printed.splitlines():
        try:
            about = json.loads(line)
        except ValueError:
            continue
        if not isinstance(about, dict) or about.get("message_type") != "error":
            continue
        error, item = about.get("error", {}), about.get("item", "")
        gone = error.get("Err") == 2 or "no such file or directory" in json.dumps(error)
        if not gone:
            found.append(f"{item}: {error.get('message') or json.dumps(error)}")
    return found


# ---- consistent copies


def stage(settings: Settings) -> tuple[list[Path], list[str]]:
    """Write what the cluster knows, and copies of what changes.

    Returns what is then left out, and what went wrong.
    """
    settings.staged.mkdir(mode=0o700, parents=True)
    excluded = [settings.directory / name for name in ("state.json", ".state.json.new", ".lock", "restoring")]
    troubles: list[str] = []
    if settings.founder:
        troubles += _caught("the inventory of the control machine", partial(_find_control, settings))
        troubles += _caught("what the cluster has", partial(_write_cluster, settings))
        troubles += _caught("the snapshot of the logs", partial(_snapshot_logs, settings))
    # Both in one mount, without which no file can be linked.
    with links_refused(Path(os.path.commonpath([settings.staged, settings.volumes]))):
        for volume in sorted(settings.volumes.iterdir()) if settings.volumes.is_dir() else []:
            copy = settings.staged / volume_name(volume)
            if _named(volume, settings.left_out):
                excluded.append(volume)
            elif _named(volume, settings.prometheus):
                excluded.append(volume)
                troubles += _caught(str(volume), partial(copy_prometheus, volume, copy))
            elif volume.is_dir():
                excluded += _copied_databases(volume, copy)
    written(settings.expected, json.dumps(sorted(_expected(settings)), indent=1), 0o600)
    return excluded, troubles


def _expected(settings: Settings) -> set[str]:
    """List what a copy has to have: the directories of volumes, and what was copied to be saved."""
    volumes = set(settings.volumes.iterdir()) if settings.volumes.is_dir() else set()
    if settings.founder:
        with contextlib.suppress(OSError, ValueError):
            known = json.loads((settings.directory / "cluster/volumes.json").read_text())
            node = os.uname().nodename.lower()
            volumes |= {Path(each["path"]) for each in known if each["node"] == node}
    named = {each for each in volumes if not _named(each, [*settings.left_out, *settings.prometheus])}
    copies = {Path(parent, name) for parent, _, names in os.walk(settings.staged) for name in names}
    return {str(path) for path in named | copies}


def _caught(what: str, act: Callable[[], None]) -> list[str]:
    try:
        act()
    except (Failure, OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
        return [f"{what} could not be saved: {error}"]
    return []


def _named(volume: Path, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(volume.name, each) for each in patterns)


def volume_name(directory: Path) -> str:
    """Return the name of the PersistentVolume whose directory this is."""
    found = re.search(r"pvc-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", directory.name)
    return found.group() if found else directory.name


def databases(volume: Path) -> Iterator[Path]:
    """Find the SQLite databases of a volume."""
    for parent, _, names in os.walk(volume):
        for name in names:
            path = Path(parent, name)
            # A page has 512 bytes or a multiple of it.
            with contextlib.suppress(OSError), regular(path) as file:
                size = os.fstat(file.fileno()).st_size
                if size and not size % 512 and file.read(16) == b"SQLite format 3\0":
                    yield path


def _copied_databases(volume: Path, copy: Path) -> list[Path]:
    """Copy databases as their readers see them, and return what need not be saved any more.

    What cannot be copied is saved as it is. A file that lets its reader wait for ever ends with the process
    that reads it.
    """
    copied: list[Path] = []
    with multiprocessing.get_context("fork").Pool(1) as copying:
        for database in databases(volume):
            target = copy / database.relative_to(volume)
            try:
                copying.apply_async(copy_sqlite, (database, target)).get(COPY_SECONDS)
            except (sqlite3.Error, OSError, multiprocessing.TimeoutError) as error:
                why = (
                    str(error)
                    or f"it is not done after {COPY_SECONDS} s, and no other of its volume is tried"
                )
                say(f"{database} is saved as it is, for it cannot be copied as a database: {why}")
                with contextlib.suppress(OSError):
                    target.unlink()
                if isinstance(error, multiprocessing.TimeoutError):
                    break
            else:
                copied += [database, *_beside(database)]
    return copied


def _beside(database: Path) -> list[Path]:
    return [database.with_name(f"{database.name}-{end}") for end in ("wal", "shm", "journal")]


def copy_sqlite(database: Path, copy: Path) -> None:
    """Copy a database that may be in use, with its owner and times."""
    for path in (database, *_beside(database)):
        if not is_excludable(path):
            raise OSError("its name is one that restic cannot leave out")
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISREG(path.lstat().st_mode):
                raise OSError(f"{path.name} is no file")
    copy.parent.mkdir(parents=True, exist_ok=True)
    about = database.stat()
    source = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=SQLITE_SECONDS)
    with contextlib.closing(source), contextlib.closing(sqlite3.connect(copy)) as target:
        source.backup(target, progress=_unless_locked)
        # Its reader makes what goes with a write-ahead log by itself.
        target.execute("PRAGMA journal_mode = DELETE")
    shutil.copystat(database, copy)
    os.chown(copy, about.st_uid, about.st_gid)


def _unless_locked(status: int, remaining: int, total: int) -> None:  # noqa: ARG001
    """End a copy that has waited for a lock; by itself it would wait for ever."""
    if status in _LOCKED:
        raise sqlite3.OperationalError(f"it was locked for {SQLITE_SECONDS} s")


# SQLITE_BUSY and SQLITE_LOCKED.
_LOCKED = (5, 6)


def copy_prometheus(volume: Path, copy: Path) -> None:
    """Copy Prometheus' data while it runs: what is newest first, so that what moves on is there twice."""
    odd = [
        path
        for parent, folders, names in os.walk(volume)
        for path in (Path(parent, name) for name in (*folders, *names))
        if not _is_ordinary(path)
    ]
    for root in sorted(Path(parent) for parent, folders, _ in os.walk(volume) if "wal" in folders):
        beside = copy / root.relative_to(volume)
        for name in ("wal", "chunks_head"):
            if (root / name).is_dir():
                _copied_tree(root / name, beside / name)
        _link_blocks(root, beside)
    _own(volume, copy)
    if odd:
        few = ", ".join(map(str, odd[:5]))
        raise Failure(f"all but {len(odd)} that are neither files nor directories: {few} -> remove them")


def _odd(directory: str, names: list[str]) -> list[str]:
    """Name what is left out of a copy of a directory."""
    return [name for name in names if not _is_ordinary(Path(directory, name))]


def _copied_tree(source: Path, target: Path) -> None:
    """Copy a directory, again if files are removed meanwhile."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target, ignore=_odd, copy_function=_copied_file)
        except (shutil.Error, FileNotFoundError) as error:
            if attempt == ATTEMPTS:
                raise Failure(f"{source} changed in each of {ATTEMPTS} attempts: {error}") from None
        else:
            return


def _copied_file(source: str, target: str) -> str:
    with regular(Path(source)) as file, Path(target).open("wb") as copy:
        shutil.copyfileobj(file, copy, 2**20)
    shutil.copystat(source, target)
    return target


def _blocks(root: Path) -> list[Path]:
    return sorted(
        path for path in root.iterdir() if re.fullmatch(r"[0-9A-Z]{26}", path.name) and path.is_dir()
    )


def _link_blocks(root: Path, beside: Path) -> None:
    """Link the files of all blocks, which never change, until none has come or gone meanwhile."""
    for _ in range(ATTEMPTS):
        found = _blocks(root)
        for block in found:
            with contextlib.suppress(shutil.Error, FileNotFoundError):
                if not (beside / block.name).exists():
                    shutil.copytree(block, beside / block.name, ignore=_odd, copy_function=_linked)
        there = {block.name for block in _blocks(root)}
        for block in _blocks(beside) if beside.exists() else []:
            if block.name not in there:
                shutil.rmtree(block)
        if there == {block.name for block in found}:
            return
    raise Failure(f"the blocks in {root} changed in each of {ATTEMPTS} attempts")


def _linked(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:  # on another disk
        return _copied_file(source, target)
    if not _is_ordinary(Path(target)):  # since a moment ago
        Path(target).unlink()
        raise OSError(f"{source} is no file")
    return target


def _own(source: Path, copy: Path) -> None:
    """Give copies the owners of what they are copies of."""
    for parent, folders, files in os.walk(copy):
        for path in (Path(parent), *(Path(parent, name) for name in (*folders, *files))):
            origin = source / path.relative_to(copy)
            with contextlib.suppress(FileNotFoundError):
                about = origin.lstat()
                os.chown(path, about.st_uid, about.st_gid, follow_symlinks=False)


# ---- what the cluster and the control machine know


def _find_control(settings: Settings) -> None:
    """Look for what the control machine has encrypted and put among what is saved."""
    if not settings.control.is_file():
        raise Failure(f"there is no {settings.control} -> run site.yml")


def kubectl(settings: Settings, *arguments: str, seconds: int = KUBECTL_SECONDS) -> str:
    """Ask the cluster."""
    try:
        done = subprocess.run(
            [*settings.kubectl, *arguments], capture_output=True, text=True, check=False, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        raise Failure(f"kubectl {' '.join(arguments[:4])} takes longer than {seconds} s") from None
    except OSError as error:
        raise Failure(f"kubectl cannot be run: {error}") from None
    if done.returncode:
        said = " / ".join(done.stderr.strip().splitlines()[-3:])
        raise Failure(f"kubectl {' '.join(arguments[:4])}: {said}")
    return done.stdout


def _write_cluster(settings: Settings) -> None:
    place = settings.directory / "cluster"
    place.mkdir(mode=0o700, exist_ok=True)
    found = json.loads(kubectl(settings, "get", "persistentvolumes", "--output=json"))["items"]
    written(place / "volumes.json", json.dumps(volumes(found), indent=1), 0o600)
    listed = kubectl(
        settings, "api-resources", "--namespaced=true", "--verbs=list,create,delete", "--output=name"
    )
    kinds = [kind for kind in listed.split() if kind not in _TRANSIENT]
    asked = ("get", ",".join(["namespaces", *kinds]), "--all-namespaces", "--output=json")
    items = [
        written_by_owner(each) for each in json.loads(kubectl(settings, *asked))["items"] if is_owners(each)
    ]
    written(
        place / "objects.json",
        json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=1),
        0o600,
    )


_TRANSIENT = {
    "controllerrevisions.apps",
    "endpoints",
    "endpointslices.discovery.k8s.io",
    "events",
    "events.events.k8s.io",
    "jobs.batch",
    "leases.coordination.k8s.io",
    "pods",
    "replicasets.apps",
    "resourceclaims.resource.k8s.io",
}
_OF_THE_SYSTEM = re.compile(r"kube-.*|default")
_MADE_BY_ITSELF = {
    ("ConfigMap", "kube-root-ca.crt"),
    ("ServiceAccount", "default"),
    ("Service", "kubernetes"),
}


def volumes(found: Iterable[Object]) -> list[Object]:
    """Describe the bound volumes of the cluster's own storage."""
    return [
        {
            "namespace": spec["claimRef"]["namespace"],
            "claim": spec["claimRef"]["name"],
            "volume": each["metadata"]["name"],
            "node": _node(spec),
            "path": spec["hostPath"]["path"],
            "capacity": spec["capacity"]["storage"],
            "access_modes": spec["accessModes"],
            "storage_class": spec["storageClassName"],
            "labels": each["metadata"].get("labels") or {},
        }
        for each in found
        if (spec := each["spec"]).get("storageClassName") == "microk8s-hostpath"
        and each["status"].get("phase") == "Bound"
        and "hostPath" in spec
    ]


def _node(spec: Object) -> str:
    terms = spec.get("nodeAffinity", {}).get("required", {}).get("nodeSelectorTerms", [])
    rules = [rule for term in terms for rule in term.get("matchExpressions", [])]
    return next((rule["values"][0] for rule in rules if rule["key"] == "kubernetes.io/hostname"), "")


def is_owners(obj: Object) -> bool:
    """Tell whether the owner made an object: neither this project, nor the cluster, nor a controller."""
    metadata = obj["metadata"]
    if (metadata.get("labels") or {}).get(MANAGED_BY) == MANAGER or metadata.get("ownerReferences"):
        return False
    if obj["kind"] == "Namespace":
        return not _OF_THE_SYSTEM.fullmatch(metadata["name"])
    if metadata["namespace"].startswith("kube-") or (obj["kind"], metadata["name"]) in _MADE_BY_ITSELF:
        return False
    return not str(obj.get("type", "")).startswith("kubernetes.io/service-account-token")


_SET_BY_SERVER = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid")
_ANNOTATED_BY_CLUSTER = (
    "control-plane.alpha.kubernetes.io/",
    "deployment.kubernetes.io/revision",
    "deprecated.daemonset.template.generation",
    "kubectl.kubernetes.io/last-applied-configuration",
    "pv.kubernetes.io/",
    "volume.beta.kubernetes.io/",
    "volume.kubernetes.io/",
)


def written_by_owner(obj: Object) -> Object:
    """Return an object without what the cluster adds to it."""
    shown = {key: value for key, value in obj.items() if key != "status"}
    metadata = {key: value for key, value in obj["metadata"].items() if key not in _SET_BY_SERVER}
    annotations = {
        key: value
        for key, value in (metadata.pop("annotations", None) or {}).items()
        if not key.startswith(_ANNOTATED_BY_CLUSTER)
    }
    shown["metadata"] = {**metadata, **({"annotations": annotations} if annotations else {})}
    if obj["kind"] == "Service" and obj["spec"].get("clusterIP") != "None":
        # Those of another cluster may be in use.
        left = ("clusterIP", "clusterIPs", "healthCheckNodePort")
        shown["spec"] = {key: value for key, value in obj["spec"].items() if key not in left}
    if obj["kind"] == "Namespace":
        shown.pop("spec", None)
    return shown


def _snapshot_logs(settings: Settings) -> None:
    """Let Elasticsearch save itself, into a volume that is then saved."""
    namespace, _, name = settings.snapshot_job.partition("/")
    if not name or not kubectl(
        settings, "-n", namespace, "get", "cronjob", name, "--ignore-not-found", "--output=name"
    ):
        return
    job = f"job/{name}-backup"
    kubectl(settings, "-n", namespace, "delete", job, "--ignore-not-found", "--wait=true")
    kubectl(settings, "-n", namespace, "create", "job", f"--from=cronjob/{name}", f"{name}-backup")
    wait = ("wait", job, "--for=condition=complete", f"--timeout={SNAPSHOT_SECONDS}s")
    try:
        kubectl(settings, "-n", namespace, *wait, seconds=SNAPSHOT_SECONDS + 60)
    except Failure:
        said = kubectl(settings, "-n", namespace, "logs", job, "--tail=3")
        raise Failure(f"the {job} in {namespace} has not succeeded: {said.strip()}") from None
    kubectl(settings, "-n", namespace, "delete", job, "--ignore-not-found")


class Hooks:
    """Commands that apps have run in their pods before and after a save."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._found: list[tuple[str, str, dict[str, list[list[str]]]]] = []

    def before(self) -> list[str]:
        """Run those before."""
        if not self._settings.founder:
            return []
        try:
            listed = kubectl(self._settings, "get", "deployments", "--all-namespaces", "--output=json")
        except Failure as failure:
            return [f"no app was told that it is saved: {failure}"]
        self._found = [
            (each["metadata"]["namespace"], each["metadata"]["name"], json.loads(hooks))
            for each in json.loads(listed)["items"]
            if (hooks := (each["metadata"].get("annotations") or {}).get(HOOKS))
            and each["spec"].get("replicas", 1)
        ]
        return list(self._run("before"))

    def after(self) -> list[str]:
        """Run those after."""
        return list(self._run("after"))

    def _run(self, when: str) -> Iterator[str]:
        for namespace, app, hooks in self._found:
            for command in hooks.get(when, []):
                try:
                    kubectl(
                        self._settings,
                        *("-n", namespace, "exec", f"deployment/{app}", "--", *command),
                        seconds=HOOK_SECONDS,
                    )
                except Failure as failure:
                    wrong = f"the command {when} a save failed in the app {app}"
                    yield f"{wrong} -> correct its backup.{when}: {failure}"
                    break


# ---- proofs


def check(settings: Settings, state: State) -> list[str]:
    """Check every repository, with a part of its data, and let go what is no longer kept."""
    wrong = []
    part = int(time.time() // (7 * 86400)) % SUBSETS + 1
    for repository in settings.repositories:
        try:
            restic = opened(settings, repository, state)
            restic.run("check", f"--read-data-subset={part}/{SUBSETS}")
            # Only what is whole loses anything.
            if settings.prunes:
                restic.run("prune")
        except Failure as failure:
            state.failed(repository.name, "check", str(failure))
            wrong.append(str(failure))
        else:
            state.succeeded(repository.name, "check", check=time.time())
            say(f"repository {repository.name}: whole, with part {part} of {SUBSETS} of its data")
    return wrong


def drill(settings: Settings, state: State) -> list[str]:
    """Restore the newest copy from the first repository, and compare it with what is here."""
    repository = settings.repositories[0]
    scratch = settings.directory.with_name(f"{settings.directory.name}-drill")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(mode=0o700)
    found = Compared()
    try:
        restic = opened(settings, repository, state)
        newest = ("latest", "--host", settings.host, "--tag", TAG)
        listed = [json.loads(line) for line in restic.run("ls", "--json", *newest).stdout.splitlines()]
        nodes = [about for about in listed if about.get("struct_type") == "node"]
        _is_complete(nodes, partial(restic.run, "dump", *newest), settings, repository)
        for part, files in parts(nodes, settings).items():
            _room_for(sum(size * count for (_, size), count in files.items()), scratch)
            restic.run("restore", *newest, "--target", str(scratch), "--include", pattern(part))
            with links_refused(settings.volumes):
                found.compare(scratch, files)
            for inner in scratch.iterdir():
                shutil.rmtree(inner)
        _judge(found, repository)
    except Failure as failure:
        state.failed(repository.name, "drill", str(failure))
        return [str(failure)]
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    state.succeeded(repository.name, "drill", drill=time.time())
    say(
        f"repository {repository.name}: restored {found.files} files, {found.same} are as here,"
        f" {found.changed} have changed here since"
    )
    return []


def _is_complete(
    nodes: Iterable[Object],
    dump: Callable[[str], subprocess.CompletedProcess[str]],
    settings: Settings,
    repository: Repository,
) -> None:
    """Compare the volumes and databases that a copy has with those that it has to have.

    Raises:
        Failure: It lacks some, or does not say what it has to have.
    """
    there = {about["path"] for about in nodes if about["type"] in ("dir", "file")}
    if str(settings.expected) not in there:
        raise Failure(
            f"repository {repository.name}: the newest copy does not list what it has to have -> save anew"
        )
    expected = json.loads(dump(str(settings.expected)).stdout)
    if lacking := [path for path in expected if as_printed(path) not in there]:
        few = "; ".join(lacking[:5])
        raise Failure(
            f"repository {repository.name}: the newest copy lacks {len(lacking)} volumes or databases: {few}"
            " -> see docs/runbooks/BackupUnproven.md"
        )


def as_printed(path: str) -> str:
    """Write a path as restic does: a byte that is no UTF-8 becomes a sign."""
    return re.sub("[\ud800-\udfff]", "\ufffd", path)


# Files, by path and size; two may have the same path as it is printed.
Files = Counter[tuple[str, int]]


def parts(nodes: Iterable[Object], settings: Settings) -> dict[Path, Files]:
    """Group the files of a copy, with their sizes, by what is restored at a time."""
    found: dict[Path, Files] = {}
    for about in nodes:
        if about["type"] == "file":
            path = str(about["path"])
            found.setdefault(_part(Path(path), settings), Counter())[path, int(about.get("size", 0))] += 1
    return found


def _part(path: Path, settings: Settings) -> Path:
    for root in (settings.staged, settings.volumes, settings.directory):
        if path.is_relative_to(root):
            return root / path.relative_to(root).parts[0]
    return path


def _room_for(size: int, scratch: Path) -> None:
    free = shutil.disk_usage(scratch).free
    if size + GIB > free:
        raise Failure(
            f"the drill needs {size / GIB + 1:.1f} GiB at {scratch}, and {free / GIB:.1f} GiB are free"
            " -> free some, or mount a disk there"
        )


def _judge(found: "Compared", repository: Repository) -> None:
    if found.wrong:
        few = "; ".join(found.wrong[:5])
        raise Failure(
            f"repository {repository.name}: {len(found.wrong)} files came back wrong: {few}"
            " -> see docs/runbooks/BackupUnproven.md"
        )
    if not found.files:
        raise Failure(f"repository {repository.name}: the newest copy has no files -> save anew")


class Compared:
    """What a drill found."""

    def __init__(self) -> None:
        self.files = 0
        self.same = 0
        self.changed = 0
        self.wrong: list[str] = []

    def compare(self, scratch: Path, listed: Files) -> None:
        """Compare what was restored with what was saved, and with what is here."""
        found = [Path(parent, name) for parent, _, names in os.walk(scratch) for name in names]
        restored = {path: Path("/", path.relative_to(scratch)) for path in found if _is_ordinary(path)}
        there = Counter((as_printed(str(here)), path.stat().st_size) for path, here in restored.items())
        self.files += listed.total()
        self.wrong += [f"{path} did not come back with its {size} bytes" for path, size in listed - there]
        for path, here in restored.items():
            self._compare(path, here)

    def _compare(self, restored: Path, here: Path) -> None:
        """Compare a restored file with what is here, as far as that has not changed since."""
        if (flaw := _flaw(restored)) and not here.exists():
            self.wrong.append(f"{here} is no sound database: {flaw}")
        elif not _untouched(restored, here):
            self.changed += 1
        elif _is_same(restored, here) or not _untouched(restored, here):
            self.same += 1
        else:
            self.wrong.append(f"{here} differs")


def _untouched(restored: Path, here: Path) -> bool:
    """Tell whether a file here is as old and large as what was saved of it."""
    try:
        ours, theirs = here.stat(), restored.stat()
    except OSError:
        return False
    if not stat.S_ISREG(ours.st_mode):
        return False
    return (ours.st_size, ours.st_mtime_ns // 1000) == (theirs.st_size, theirs.st_mtime_ns // 1000)


def _is_same(restored: Path, here: Path) -> bool:
    try:
        with restored.open("rb") as ours, regular(here) as theirs:
            while (block := ours.read(2**20)) == theirs.read(2**20):
                if not block:
                    return True
    except OSError:
        pass
    return False


def _flaw(copy: Path) -> str:
    """Say what is wrong with a file that is a database."""
    with copy.open("rb") as file:
        if file.read(16) != b"SQLite format 3\0":
            return ""
    try:
        with contextlib.closing(
            sqlite3.connect(f"{copy.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        ) as database:
            said = str(database.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.Error as error:
        return str(error)
    return "" if said == "ok" else said


# ---- the program


def status(settings: Settings, state: State) -> list[str]:  # noqa: ARG001
    """Print what is known, as JSON."""
    say(json.dumps(state.repositories))
    return []


JOBS = {"prepare": prepare, "save": save, "check": check, "drill": drill, "status": status}


def main() -> None:
    """Do one job, and tell what was wrong with it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("job", choices=JOBS)
    parser.add_argument("--settings", type=Path, default=Path("/etc/homeserver/backup.json"))
    given = parser.parse_args()
    os.umask(0o077)
    settings = Settings(json.loads(given.settings.read_text()))
    try:
        if given.job == "status":
            wrong = status(settings, State(settings))
        else:
            with alone(settings):
                wrong = _done(given.job, settings)
    except Failure as failure:
        wrong = [str(failure)]
    for each in wrong:
        sys.stderr.write(f"{in_a_line(each)}\n")
    sys.exit(1 if wrong else 0)


def _done(job: str, settings: Settings) -> list[str]:
    state = State(settings)
    try:
        return JOBS[job](settings, state)
    except Failure as failure:
        for repository in settings.repositories:
            state.failed(repository.name, job, str(failure))
        raise


if __name__ == "__main__":
    main()
