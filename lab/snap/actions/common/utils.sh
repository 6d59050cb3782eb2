#!/bin/bash
# Part of Canonical's snap: what runs a program of it asks for its environment first. The lab's programs set their own.
use_snap_env() {
  :
}
