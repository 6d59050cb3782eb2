"""The documentation is true: the reference is current, commands are run, variables exist, links work."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible_collections.homeserver.stack.plugins.module_utils.components import pages

from harness import docs
from harness.roles import ROLES, ROOT
from lab.catalogue import pinned_versions
from tests.static.test_roles import SHAPE
from tools import catalogue, filters, reference

# Every command in the documentation, with the test that runs it or the reason why none does.
COMMANDS = {
    "make setup": "every other target does",
    "make lab": "does what scenario site does, on a machine that stays",
    "make test": ".ci/run",
    "make help": "below",
    "export HOMESERVER_SCENARIO_ADDRESS=192.168.121.20 "
    "HOMESERVER_SCENARIO_MACHINE=ubuntu": "tests/unit/test_own_machine.py",
    "export HOMESERVER_SCENARIO_USER=vagrant "
    "HOMESERVER_SCENARIO_KEY=.vagrant/machines/default/libvirt/private_key": "tests/unit/test_own_machine.py",
    "molecule test -s traefik": "tests/scenarios/, without what Molecule does around the playbooks and tests",
    "make lint": "make test",
    "make unit": "make test, in parts",
    **dict.fromkeys(
        (
            "git -C inventory/home diff",
            "git -C inventory/home add .",
            'git -C inventory/home commit -m "Nextcloud"',
            "git -C inventory/home log --oneline",
            "git -C inventory/home checkout HEAD~1 -- .",
        ),
        "below",
    ),
    "ansible-galaxy collection install -r requirements.yml": "tests/unit/test_installed_collection.py",
    "ansible-playbook homeserver.stack.site -i my/inventory": "tests/unit/test_installed_collection.py",
    "openssl x509 -in inventory/secrets/home/ca.crt -noout -fingerprint "
    "-sha256": "tests/unit/test_certificate_authority.py",
    "HOMESERVER_LAB_RELEASE=trixie python -m lab up --name debian13": "the next one creates its machine so",
    "make lane LANE=debian-13": "make test, in turn",
    "make bench": "manual: it takes more than an hour, and its result is committed",
    ".venv/bin/ansible-playbook site.yml": "scenario site, with the lab's inventory",
    ".venv/bin/ansible-playbook playbooks/reset.yml -e microk8s_confirm_removal=home": "scenario removal",
    ".venv/bin/ansible-playbook playbooks/reset.yml -e microk8s_confirm_removal=home "
    "-e volumes=delete": "scenario removal",
    ".venv/bin/ansible-playbook playbooks/microk8s.yml -e microk8s_state=absent "
    "-e microk8s_keep_volumes=true -e microk8s_confirm_removal=home": "scenario removal, by reset.yml",
    ".venv/bin/ansible-playbook playbooks/bundle.yml": "tests/unit/test_bundle_making.py",
    ".venv/bin/ansible-playbook playbooks/lock_images.yml": "tests/unit/test_image_lock.py",
    ".venv/bin/ansible-playbook playbooks/import_compose.yml -e file=docker-compose.yml": "scenario apps",
    ".venv/bin/ansible-playbook playbooks/move_in.yml -e file=docker-compose.yml "
    "-e replace=true": "scenario apps",
    ".venv/bin/ansible-playbook playbooks/move_in.yml -e file=docker-compose.yml "
    "-e undo=true": "scenario apps",
    "sudo tar -C /srv/wiki -cf wiki.tar .": "manual: it is what the owner's old server does",
    "sudo tar -C /var/lib/docker/volumes -cf wiki.tar wiki_pages wiki_rows": "manual: as above",
    ".venv/bin/ansible-playbook playbooks/bundle.yml -e "
    """'{"bundle_platforms": ["linux/amd64", "linux/arm64"]}'""": "tests/unit/test_bundle_making.py",
    ".venv/bin/ansible-playbook playbooks/status.yml": "scenario cluster",
    "sudo microk8s kubectl create namespace gpu-operator-resources": "manual: no machine has such a card",
    "sudo microk8s kubectl label namespace gpu-operator-resources "
    "pod-security.kubernetes.io/enforce=privileged": "manual: as above",
    "sudo microk8s enable nvidia": "manual: as above",
    ".venv/bin/ansible-playbook playbooks/update.yml -e check=true": "scenario apps",
    ".venv/bin/ansible-playbook playbooks/update.yml -e app=blog": "scenario apps, for another app",
    ".venv/bin/ansible-playbook playbooks/status.yml -e format=json | sed -n '/^{/p'": "scenario site",
    ".venv/bin/ansible-playbook playbooks/microk8s.yml --limit attic -e microk8s_state=absent "
    "-e microk8s_confirm_removal=attic": "scenario cluster",
    ".venv/bin/ansible-playbook playbooks/remove_node.yml -e node=attic": "scenario cluster",
    ".venv/bin/ansible-playbook playbooks/rotate.yml -e secret=grafana_admin": "scenario rotate",
    ".venv/bin/ansible-playbook playbooks/rotate.yml -e secret=ca": "scenario rotate",
    ".venv/bin/ansible-playbook playbooks/rotate.yml -e secret=ca -e step=finish": "scenario rotate",
    ".venv/bin/ansible-playbook playbooks/apps.yml -e apps_confirm_removal=home": "scenario apps",
    ".venv/bin/ansible-playbook playbooks/backup.yml": "scenario restore",
    ".venv/bin/ansible-playbook playbooks/recovery_sheet.yml": "tests/unit/test_recovery_sheet.py",
    ".venv/bin/ansible-playbook playbooks/prune_backups.yml": "tests/unit/test_backup_remote.py",
    ".venv/bin/ansible-playbook playbooks/restore_inventory.yml "
    "-e restore_location=/mnt/backup/home": "scenario restore",
    ".venv/bin/ansible-playbook playbooks/restore.yml": "scenario restore",
    ".venv/bin/ansible-playbook playbooks/restore.yml -e app=wiki": "scenario restore",
    ".venv/bin/ansible-playbook playbooks/restore.yml -e app=wiki -e at=2026-11-20": "scenario restore",
    "kubectl -n monitoring exec alertmanager-0 -- amtool --alertmanager.url=http://localhost:9093 "
    "alert add Test severity=warning": "scenario prometheus",
}

# Names in inline code that look like variables.
OTHER_NAMES = {
    "certificate_authority": "a role",
    "disk_cleanup": "a role",
    "flask_app": "a role",
    "grafana_admin": "a file of secrets",
    "grafana_encryption": "a file of secrets",
    "homeserver_versions": "the collection's versions, with those that an inventory overrides",
    "traefik_certificate": "a name that rotate.yml takes",
    "traefik_dashboard": "a file of secrets",
    "elk_kibana_encryption": "a file of secrets",
    "welcome_certificate": "a name that rotate.yml takes",
}

every_page = pytest.mark.parametrize("page", docs.PAGES, ids=lambda page: page.name)


def _commands() -> Iterator[str]:
    for page in docs.PAGES:
        for block in docs.blocks(page, "console"):
            yield from (
                line.partition("  #")[0].strip() for line in block.replace("\\\n", "").splitlines() if line
            )


def _targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def _anchors(page: Path) -> set[str]:
    """Return the fragments that GitHub derives from a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _broken(page: Path, link: str) -> bool:
    file, _, fragment = link.partition("#")
    target = page.parent / file if file else page
    return not target.exists() or bool(fragment and fragment not in _anchors(target))


def _names(options: dict[str, Any]) -> Iterator[str]:
    for name, option in options.items():
        yield name
        yield from _names(option.get("options", {}))


def test_the_reference_is_current() -> None:
    assert reference.REFERENCE.read_text() == reference.render(), "make docs"


def test_the_catalogue_is_current() -> None:
    assert catalogue.PAGE.read_text() == catalogue.render(), "make docs"


def test_every_role_has_a_current_readme() -> None:
    readmes = reference.readmes()

    assert {file.parent.name for file in readmes} == {role.name for role in ROLES}
    assert [file for file, text in readmes.items() if not file.exists() or file.read_text() != text] == [], (
        "make docs"
    )


def test_every_filter_has_current_documentation() -> None:
    written = {file: file.read_text() for file in filters.DIRECTORY.glob("*.yml")}

    assert written == filters.render(), "make docs"


def test_the_documentation_lists_every_page() -> None:
    devices, internet = ((ROOT / f"docs/{name}.md").read_text() for name in ("devices", "internet"))
    (names,) = re.findall(r"^192\.168\.1\.10 (hello\.home\.arpa .*)$", devices, re.MULTILINE)
    (table,) = re.findall(r"^\| page \| from the internet .*\n((?:\|.*\n)+)", internet, re.MULTILINE)
    rows = {word for row in table.splitlines() for word in re.findall(r"\w+", row.split("|")[1].lower())}

    assert {*names.split()} == {f"{page}.home.arpa" for page in ("hello", *pages())}
    assert {*pages()} - rows == set()


def test_the_reference_has_an_example_of_every_list() -> None:
    examples = yaml.safe_load(reference.EXAMPLES.read_text())
    lists = [
        (name, option) for role in ROLES for name, option in role.options.items() if option["type"] == "list"
    ]

    assert [name for name, option in lists if not (examples.get(name) or option.get("default"))] == []


def test_every_command_is_listed_here() -> None:
    assert set(_commands()) == set(COMMANDS)


def test_every_test_that_security_names_exists() -> None:
    page = ROOT / "docs/security.md"
    named = re.findall(r"\[(test_\w+)\]\((\S+\.py)\)", page.read_text())

    assert named
    assert [
        name for name, file in named if f"def {name}(" not in (page.parent / file).resolve().read_text()
    ] == []


def test_make_has_every_documented_target() -> None:
    documented = {command.split()[1] for command in COMMANDS if command.startswith("make ")}

    assert documented <= _targets()


@every_page
def test_every_example_sets_options_that_exist(page: Path) -> None:
    set_by_examples = {name for example in docs.examples(page) for name in example}
    options = {name for role in ROLES for name in role.options}

    assert set_by_examples - options == set()


@every_page
def test_every_variable_in_inline_code_exists(page: Path) -> None:
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    prefixes = "|".join(["homeserver", *(role.name for role in ROLES if role.name != "common")])
    mentioned = {
        name
        for code in re.findall(r"`([^`]+)`", text)
        for name in re.findall(rf"(?<![\w.$/-])((?:{prefixes})_[a-z0-9_]*[a-z0-9])(?![\w*…/-])", code)
    }
    known = {
        name
        for role in ROLES
        for content in role.entry_points.values()
        for name in _names(content.get("options", {}))
    }

    series = set().union(*docs.conditional_series().values())

    assert mentioned - known - series - set(OTHER_NAMES) == set()


def test_every_inventory_has_one_control_plane(tmp_path: Path) -> None:
    inventories = [text for page in docs.PAGES for text in docs.inventories(page)]
    for text in inventories:
        file = tmp_path / "hosts.yml"
        file.write_text(text)
        groups = InventoryManager(loader=DataLoader(), sources=[str(file)]).get_groups_dict()
        assert len(groups["control_plane"]) == 1
        assert set(groups["home_servers"]) == {*groups["control_plane"], *groups["workers"]}

    assert inventories


def test_contributing_names_every_folder() -> None:
    listed = ["git", "ls-files", "*/*"]
    files = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    folders = {file.partition("/")[0] for file in files} | SHAPE
    named = set(re.findall(r"`([\w.]+)/", (ROOT / "CONTRIBUTING.md").read_text()))

    assert folders - named == set()


def test_links_lead_somewhere() -> None:
    """In every file of Markdown, also those of roles and images."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    files = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    links = [
        (file, link)
        for file in files
        for link in re.findall(r"\]\(([^)\s]+)\)", (ROOT / file).read_text())
        if "://" not in link
    ]

    assert {"README.md", "images/disk_cleanup/README.md"} < {file for file, _ in links}
    assert [(file, link) for file, link in links if _broken(ROOT / file, link)] == []


def test_what_is_installed_from_git_is_a_version_of_it() -> None:
    """And no branch, whose head may be anything."""
    version = yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"]
    shown = [
        collection["version"]
        for page in docs.PAGES
        for block in docs.blocks(page, "text")
        if block.startswith("collections:")
        for collection in yaml.safe_load(block)["collections"]
    ]

    assert shown == [version]


@pytest.fixture
def _setup(tmp_path: Path) -> None:
    """What `make setup` does with the inventory."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copytree(ROOT / "inventory/example", tmp_path / "inventory/example")
    subprocess.run(["make", "inventory/home"], cwd=tmp_path, check=True)


@pytest.mark.usefixtures("_setup")
def test_make_gives_the_inventory_to_its_owner_alone(tmp_path: Path) -> None:
    modes = {path.stat().st_mode & 0o077 for path in (tmp_path / "inventory").glob("home/**")}
    assert modes == {0}


@pytest.mark.usefixtures("_setup")
def test_the_inventory_has_a_history_that_goes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = next(block for block in docs.blocks(ROOT / "docs/install.md", "console") if "git -C" in block)
    settings = tmp_path / "inventory/home/group_vars/all/main.yml"
    before = settings.read_text()
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "anna")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "anna@example.org")

    settings.write_text("homeserver_domain: house.home.arpa\n")
    shown = subprocess.run(
        ["sh", "-ec", commands], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout

    assert "+homeserver_domain: house.home.arpa" in shown
    assert [line.split(maxsplit=1)[1] for line in shown.splitlines()[-2:]] == ["Nextcloud", "Begin"]
    assert settings.read_text() == before


def test_the_index_lists_every_page() -> None:
    index = ROOT / "docs/README.md"
    listed = {(index.parent / link).resolve() for link in re.findall(r"\]\(([^)#\s]+)", index.read_text())}
    pages = {*(ROOT / "docs").glob("*.md"), ROOT / "docs/runbooks/README.md"} - {index}

    assert pages - listed == set()


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_help_explains_every_target() -> None:
    explained = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout

    assert {line.split()[0] for line in explained.splitlines()} == _targets()


def test_the_readme_names_the_versions_of_this_collection() -> None:
    readme = (ROOT / "README.md").read_text()
    images = {name: image.partition("@")[0] for name, image in pinned_versions()["images"].items()}
    rows = dict(re.findall(r"^(\w+) +(\S+) +healthy ", readme, re.MULTILINE))

    assert {name: f":{rows[name]}" for name in images if name in rows} == {
        name: f":{image.rpartition(':')[2]}" for name, image in images.items() if name in rows
    }
    assert f"image: {images['httpbin']}\n" in readme, "the lab has no other version of the example"
