"""What MicroK8s changes on the host besides its own directories."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from . import certificates, console, paths

SYSCTL_DIRECTORY = Path("/etc/sysctl.d")
SYSCTL = "10-microk8s.conf"
LEAST = {
    "fs.aio-max-nr": 1048576,
    "fs.inotify.max_user_instances": 1024,
    "fs.inotify.max_user_watches": 1048576,
}


def raise_kernel_settings() -> None:
    """Write the settings that no file has as high, and apply every file: what is in none is undone.

    Like MicroK8s, this only sees `name=value`, without spaces.
    """
    for name, least in LEAST.items():
        texts = [file.read_text() for file in SYSCTL_DIRECTORY.glob("*.conf")]
        written = re.findall(rf"^{re.escape(name)}=(\d+)$", "\n".join(texts), re.MULTILINE)
        if max(map(int, written), default=0) < least:
            with (SYSCTL_DIRECTORY / SYSCTL).open("a") as file:
                file.write(f"{name}={least}\n")
            apply_kernel_settings()


def apply_kernel_settings() -> None:
    """Apply the files of all kernel settings."""
    subprocess.run(["sysctl", "--quiet", "--system"], check=False)


def run_with_sudo(*command: str) -> None:
    """Run a command as MicroK8s does, which calls sudo also as root.

    Raises:
        SystemExit: There is no sudo. The trace before the message shows keys, as that of the real hook does.
    """
    if shutil.which("sudo") is None:
        key = certificates.embedded(paths.certificate("client.key"))
        console.warn(f"++ sed -i s/CLIENT_KEY/{key}/g {paths.credential('client.config')}")
        console.warn(f"{paths.snap()}/actions/common/utils.sh: line 103: sudo: command not found")
        sys.exit(127)
    subprocess.run(["sudo", *command], check=True, env=os.environ)
