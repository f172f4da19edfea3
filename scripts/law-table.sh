#!/usr/bin/env bash
# Prints the table law x backend in Markdown, from the list of tests that exist: `x` where the law is a test there.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo nextest list --locked --message-format oneline --test it --test brokers \
  -E 'test(/^embedded::(in_memory|on_disk)::/) | test(/^(nats|rabbitmq)::(link_)?laws::/)' |
  sed -n 's/.* \(embedded\|nats\|rabbitmq\)::\([a-z_]*\)::\([a-z0-9_]*\)$/\1::\2 \3/p' |
  awk '
    BEGIN { split("embedded::in_memory embedded::on_disk nats::laws rabbitmq::laws", columns, " ") }
    { backend = $1; sub(/::link_laws$/, "::laws", backend); if (!($2 in laws)) order[++count] = $2; laws[$2] = 1; held[backend, $2] = 1 }
    END {
      print "| law | embedded, memory | embedded, disk | NATS JetStream | RabbitMQ |\n|---|---|---|---|---|"
      for (i = 1; i <= count; i++) {
        law = order[i]; line = law; gsub(/_/, " ", line); row = "| " line " |"
        for (c = 1; c <= 4; c++) { mark = ((columns[c], law) in held) ? "x" : ""; sum[c] += mark != ""; row = row " " mark " |" }
        print row
      }
      print "| **" count " laws** | " sum[1] " | " sum[2] " | " sum[3] " | " sum[4] " |"
    }'
