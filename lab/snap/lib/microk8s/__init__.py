"""The commands, hooks and daemons of the lab's MicroK8s."""
