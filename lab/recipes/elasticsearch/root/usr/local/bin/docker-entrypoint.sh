#!/bin/bash
# Starts Elasticsearch as the official image's does, for those who set everything in its files:
# no setting is taken from the environment.
set -e
umask 0002
if [[ $1 == eswrapper || $(basename "$1") == elasticsearch ]]; then
  exec /usr/share/elasticsearch/bin/elasticsearch "${@:2}"
fi
exec "$@"
