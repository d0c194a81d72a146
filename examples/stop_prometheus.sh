#!/bin/sh
# Stop the servers that start_prometheus.sh started, and remove everything that they stored.
set -eu
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR
. ./servers.sh

found=
for server in $SERVERS; do
    if running "$server" >/dev/null; then
        found=yes
        end "$server"
    fi
done
rm -rf "$STATE"
if has_engine && [ -n "$(compose ps --all --quiet)" ]; then
    found=yes
    compose down --volumes
fi
if [ -n "$found" ]; then
    say "Stopped."
else
    say "None of them was running."
fi
