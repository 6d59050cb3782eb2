"""A changed option only restarts the pods that use it."""

import yaml

from harness.home import Home, Kubectl

# One option of each role, and the app whose pods restart with the new value.
CHANGES = {
    "traefik_log_level": ("WARN", "traefik"),
    "flask_app_greeting": ("Hello again!", "hello"),
    "tracing_sample_percent": (50, "collector"),
    "alertmanager_group_wait_seconds": (6, "alertmanager"),
    # These are reloaded at run time.
    "prometheus_alert_thresholds": ({"container_restarts": 2}, ""),
    "elk_retention_days": (29, ""),
    "disk_cleanup_kept_days": (3, ""),
}


def _pods(kubectl: Kubectl) -> dict[str, str]:
    """Return the app of each pod that should not restart, or its own name, by the pod's uid."""
    return {
        pod["metadata"]["uid"]: pod["metadata"]["labels"].get(
            "app.kubernetes.io/name", pod["metadata"]["name"]
        )
        for pod in kubectl.get("pods -A")["items"]
        if not any(owner["kind"] == "Job" for owner in pod["metadata"].get("ownerReferences", []))
    }


def test_pods_that_do_not_use_a_changed_option_keep_running(home: Home, kubectl: Kubectl) -> None:
    before = _pods(kubectl)
    # They stay as they are then: to take them back would be one more run.
    options = {name: value for name, (value, _) in CHANGES.items()}
    (home.inventory / "group_vars/all/the_options.yml").write_text(yaml.safe_dump(options))
    run = home.play("site.yml")
    assert run.returncode == 0, run.stdout + run.stderr
    after = _pods(kubectl)

    # Of an app with more pods, one may have been too many.
    replaced = set(before.values()) - {before[uid] for uid in before.keys() & after.keys()}
    assert replaced == {app for _, app in CHANGES.values() if app}
