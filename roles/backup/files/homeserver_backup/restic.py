"""Runs restic, and explains its errors."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from .errors import BackupError, UnavailableError
from .settings import Repository, Settings, directory_of

REPOSITORY_LOCK_SECONDS = 1800
# restic is stuck if it moves fewer bytes per second than this for IDLE_SECONDS. Debian's version 0.14
# sometimes hangs if the disk is full, so it is killed sooner if little space is left.
IDLE_BYTES = 1024
IDLE_SECONDS = 3600
IDLE_SECONDS_IF_FULL = 60
NEARLY_FULL = 256 * 2**20
# restic's exit code if it could not read some files.
INCOMPLETE = 3
_MEANINGS = (
    (
        r"wrong password or no key found",
        "its password is a different one -> put the password that it was created with into backup.password"
        " beside the home's other secrets and run site.yml, or use an empty location",
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
    (r"repository is already locked", "another program has locked it -> see the output of restic list locks"),
    (r"read-only file system", "it cannot be written -> mount it writable"),
    (
        r"host key verification failed|permission denied \(publickey",
        "root of this machine cannot log in there by ssh -> try it once by hand: ssh",
    ),
    (
        _UNREACHABLE := r"connection refused|no such host|i/o timeout|no route to host|network is unreachable"
        r"|connection reset|could not resolve|connection timed out|deadline exceeded"
        # ssh may print the reason too late for restic.
        r"|unable to start the sftp session",
        "it cannot be reached -> is it on, and is its name right?",
    ),
    (r"access ?denied|permission denied|forbidden|401|403", _REFUSED),
)


def explain(repository: Repository, printed: str) -> BackupError:
    """Explain an error of restic in a line that ends with its own message."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    own = " / ".join(lines[-3:])[-600:] or "it printed nothing"
    for pattern, meaning in _MEANINGS:
        if re.search(pattern, printed, re.IGNORECASE):
            kind = UnavailableError if pattern == _UNREACHABLE else BackupError
            return kind(f"repository {repository.name}: {meaning} (restic: {own})")
    return BackupError(f"repository {repository.name}: restic failed -> {own}")


class Restic:
    """Runs restic on one repository. Secrets are in its environment, which only root can read."""

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
        """Run a command when the repository is not locked, and raise its error."""
        deadline = time.monotonic() + REPOSITORY_LOCK_SECONDS
        done = self.run_unchecked(*arguments)
        while "repository is already locked" in done.stderr and time.monotonic() < deadline:
            # This only removes the locks of programs that no longer run.
            if self.run_unchecked("unlock").returncode == 0:
                done = self.run_unchecked(*arguments)
            if "repository is already locked" in done.stderr:
                time.sleep(10)
        if done.returncode not in accepted:
            raise explain(self.repository, done.stderr or done.stdout)
        return done

    def run_unchecked(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command, and ignore its exit code."""
        with subprocess.Popen(
            ["restic", "--quiet", *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        ) as process:
            stdout, stderr, stuck = self._communicate(process)
        return subprocess.CompletedProcess(
            process.args, process.returncode, stdout, self._masked(stderr) + stuck
        )

    def _communicate(self, process: subprocess.Popen[str]) -> tuple[str, str, str]:
        """Return the output of a command, and a line that says why if it was stuck and killed."""
        since, before = time.monotonic(), 0.0
        while True:
            full = _is_nearly_full(self.repository)
            patience = IDLE_SECONDS_IF_FULL if full else IDLE_SECONDS
            try:
                return *process.communicate(timeout=min(patience, 10)), ""
            except subprocess.TimeoutExpired:
                now, did = time.monotonic(), _progress(process.pid)
            if did - before > IDLE_BYTES * (now - since):
                since, before = now, did
            elif now - since > patience:
                process.kill()
                why = "no space left on device" if full else f"it did nothing for {patience} s and was killed"
                return *process.communicate(), f"\n{why}"

    def _masked(self, text: str) -> str:
        for secret in self._secrets:
            if len(secret) >= 4:
                text = text.replace(secret, "***")
        return text


def _is_nearly_full(repository: Repository) -> bool:
    directory = directory_of(repository)
    try:
        return bool(directory) and shutil.disk_usage(directory).free < NEARLY_FULL
    except OSError:
        return False


def _progress(process: int) -> float:
    """Return how many bytes a process has moved. CPU time counts as some bytes per second."""
    try:
        moved = Path(f"/proc/{process}/io").read_text()
        computed = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    except OSError:
        return 0
    seconds = sum(map(int, computed)) / os.sysconf("SC_CLK_TCK")
    return sum(map(int, re.findall(r"[rw]char: (\d+)", moved))) + seconds * 100 * IDLE_BYTES


def escape_pattern(path: Path) -> str:
    """Escape a path, so that restic does not read it as a pattern."""
    return re.sub(r"([\\*?\[])", r"\\\1", str(path)).replace("$", "$$")


def is_excludable(path: Path) -> bool:
    """Return whether restic reads a path from a line unchanged: it removes spaces at both ends."""
    return "\n" not in str(path) and str(path) == str(path).strip()


def unreadable_files(printed: str) -> list[str]:
    """Return the files that could not be read, except those that were removed meanwhile."""
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


def as_printed(path: str) -> str:
    """Return a path as restic prints it: invalid UTF-8 becomes replacement characters."""
    return re.sub("[\ud800-\udfff]", "\ufffd", path)
