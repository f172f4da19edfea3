#!/bin/sh
# Becomes the owner of the mounted logs folder, so that log and picture belong to the user on the host.
# Only a container that is started as root has a choice; every other just runs.
set -eu
if [ "$(id -u)" = 0 ]; then
    owner=$(stat -c %u /app/logs)
    group=$(stat -c %g /app/logs)
    exec setpriv --reuid="$owner" --regid="$group" --clear-groups --no-new-privs --bounding-set=-all \
        residual "$@"
fi
exec residual "$@"
