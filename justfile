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

# Kill and stop processes and brokers at random: `just chaos nats 60 1 10` for bus, seconds, first seed and runs
[group('check')]
chaos bus='embedded' seconds='60' first='1' runs='1':
    for seed in $(seq {{first}} $(({{first}} + {{runs}} - 1))); do \
        CHAOS_SEED=$seed CHAOS_SECONDS={{seconds}} cargo test --locked --test it chaos::{{bus}} -- --include-ignored --nocapture --test-threads 1 || exit 1; \
    done
