#!/bin/sh
# Starts the NATS server with user and password in quotes, because its configuration would otherwise take a variable
# such as 1234 for a number. The password comes from the mounted secret and never stands on a command line.
set -eu
quoted() { printf '"%s"' "$(printf '%s' "$1" | sed 's/[\\"]/\\&/g')"; }
BROKER_USER=$(quoted "$BROKER_USER")
BROKER_PASSWORD=$(quoted "$(cat /run/secrets/broker_password)")
export BROKER_USER BROKER_PASSWORD
exec nats-server --config /etc/nats/residual.conf
