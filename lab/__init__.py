"""The lab: a disposable home server on this machine, made of real programs built from package registries."""
