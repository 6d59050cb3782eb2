"""The module move_in."""

from __future__ import annotations

DOCUMENTATION = """
module: move_in
short_description: Copies directories into volumes on this machine, or takes that back
description:
  - Copies all directories or none, with owners, modes, links and extended attributes, and compares checksums.
  - Keeps what a volume had before beside it, in C(.homeserver-moved). A volume that was moved stays as it is.
options:
  volumes:
    type: list
    elements: dict
    required: true
    description: The volumes.
    suboptions:
      claim:
        type: str
        required: true
        description: Its claim, as namespace/name.
      path:
        type: str
        required: true
        description: Its directory.
      sources:
        type: list
        elements: str
        required: true
        description: Where its data may be. The first directory that exists is copied.
  project:
    type: str
    default: ""
    description: The project in Docker, whose containers must not run.
  replace:
    type: bool
    default: false
    description: Whether content that a volume has is replaced.
  state:
    type: str
    choices: [moved, undone]
    default: moved
    description: Whether to copy, or to take copies back.
author: The homeserver.stack maintainers (!UNKNOWN)
attributes:
  check_mode:
    support: full
    description: It only looks for problems.
"""

EXAMPLES = """
- homeserver.stack.move_in:
    volumes:
      - claim: apps/wiki-pages
        path: /var/snap/microk8s/common/default-storage/apps-wiki-pages-pvc-1
        sources: [/srv/wiki/pages]
"""

RETURN = """
claims:
  description: The claims whose volumes were changed, or would be.
  type: list
  elements: str
  returned: always
moved:
  description: The claims whose volumes an earlier run has filled, with the directory and the time of each.
  type: list
  elements: str
  returned: always
count:
  description: How many files and directories were copied and compared.
  type: int
  returned: always
kept:
  description: The directories with what the changed volumes had before.
  type: list
  elements: str
  returned: always
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homeserver.stack.plugins.module_utils import moving


def main() -> None:
    """Run the module."""
    text = {"required": True}
    volume = {"claim": text, "path": text, "sources": {"type": "list", "elements": "str", "required": True}}
    module = AnsibleModule(
        {
            "volumes": {"type": "list", "elements": "dict", "options": volume, "required": True},
            "project": {"default": ""},
            "replace": {"type": "bool", "default": False},
            "state": {"choices": ["moved", "undone"], "default": "moved"},
        },
        supports_check_mode=True,
    )
    named = [_volume(each) for each in module.params["volumes"]]
    done = {each: known for each in named if (known := moving.record(each))}
    if module.params["state"] == "undone":
        claims = [each.claim for each in done] if module.check_mode else moving.put_back(done)
        module.exit_json(changed=bool(claims), claims=claims, moved=[], count=0, kept=[])
    todo = [each for each in named if each not in done]
    if problems := [*_running(module, todo), *_missing(module), *_problems(module, todo)]:
        module.fail_json(msg="\n".join(problems))
    count = 0
    if not module.check_mode:
        try:
            count = moving.move(todo)
        except moving.MoveError as error:
            module.fail_json(msg=str(error))
    module.exit_json(
        changed=bool(todo),
        claims=[each.claim for each in todo],
        moved=[f"{each.claim}: from {known['from']} at {known['time']}" for each, known in done.items()],
        count=count,
        kept=[str(each.kept) for each in todo],
    )


def _volume(given: dict[str, Any]) -> moving.Volume:
    source = moving.found(given["sources"]) or Path(given["sources"][0])
    return moving.Volume(given["claim"], Path(given["path"]), source)


def _missing(module: AnsibleModule) -> list[str]:
    return [
        f"{each['claim']}: its data are not there, neither in {' nor in '.join(each['sources'])}"
        " -> name where they are: -e data=<directory on this machine>, or leave it empty:"
        f" -e without={each['claim'].rpartition('/')[2]}"
        for each in module.params["volumes"]
        if not moving.record(_volume(each)) and not moving.found(each["sources"])
    ]


def _problems(module: AnsibleModule, todo: list[moving.Volume]) -> list[str]:
    """Return the problems of volumes whose data are there."""
    return moving.problems([each for each in todo if each.source.is_dir()], replace=module.params["replace"])


def _running(module: AnsibleModule, todo: list[moving.Volume]) -> list[str]:
    """Return a message if containers of the project run in Docker, which would go on writing."""
    docker = module.get_bin_path("docker")
    project = module.params["project"]
    if not (docker and project and todo):
        return []
    wanted = ["--filter", f"label=com.docker.compose.project={project}", "--format", "{{.Names}}"]
    # It fails where Docker does not run, and then no container does.
    code, names, _ = module.run_command([docker, "ps", *wanted])
    if code or not names.strip():
        return []
    fix = f"docker compose --project-name {project} stop"
    return [f"{', '.join(names.split())} still run in Docker, and would go on writing -> {fix}"]


if __name__ == "__main__":
    main()
