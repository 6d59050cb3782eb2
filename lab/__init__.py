"""The lab: a throwaway home server on this machine, made of real programs built from package registries."""
