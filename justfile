# `just` lists what there is.
default:
    @just --list

# The whole pipeline in one process on the embedded bus
[group('run')]
run *args:
    cargo run --release -- run {{args}}

# Four services and RabbitMQ in containers
[group('run')]
up *args:
    docker-compose up --build {{args}}

# Four services and NATS in containers
[group('run')]
up-nats *args:
    docker-compose -f docker-compose.nats.yml up --build {{args}}

# Format, lint and test everything; installs what is missing
[group('check')]
test *args:
    ./test.sh {{args}}

# Exactly what CI runs
[group('check')]
ci:
    .ci/run

# Format the code
[group('check')]
fmt:
    cargo fmt

# Every benchmark in one run, beside the original's loops and the brokers' raw ceilings; writes bench/RESULTS.md
[group('check')]
bench *args:
    python3 bench/run.py {{args}}
