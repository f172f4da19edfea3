# Arguments reach the commands as they were quoted: `just test -E 'test(tidy)'`.
set positional-arguments

compose := `command -v docker-compose >/dev/null && echo docker-compose || echo docker compose`

# `just` lists what there is.
default:
    @just --list --unsorted

# The whole pipeline in one process on the embedded bus
[group('run')]
run *args:
    cargo run --release -- run "$@"

# Four services and RabbitMQ in containers
[group('run')]
up *args:
    {{compose}} up --build "$@"

# Four services and NATS in containers
[group('run')]
up-nats *args:
    {{compose}} -f docker-compose.nats.yml up --build "$@"

# What the containers say: `just logs metric`
[group('run')]
logs *args:
    {{compose}} logs --tail 100 -f "$@"

# Stops and removes the containers of either broker; `just down -v` forgets what waits on the broker too
[group('run')]
down *args:
    {{compose}} down "$@"
    {{compose}} -f docker-compose.nats.yml down "$@"

# Format, lint and test everything; installs what is missing. `just test --quick` needs only Rust
[group('check')]
test *args:
    ./test.sh "$@"

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
        CHAOS_SEED=$seed CHAOS_SECONDS={{seconds}} cargo test --locked --test {{ if bus == 'embedded' { 'it' } else { 'brokers' } }} {{bus}}_is_exact -- --include-ignored --nocapture --test-threads 1 || exit 1; \
    done

# Every benchmark in one run, beside the original's loops and the brokers' raw ceilings; writes bench/RESULTS.md
[group('check')]
bench *args:
    python3 bench/run.py "$@"

# Speed of the parts, without a broker, or of one of them: `just bench-parts predict`
[group('check')]
bench-parts *names='plot predict stages':
    cargo bench --locked --bench {{ replace(names, " ", " --bench ") }}

# Every law on every bus and every test that starts a broker, N times in a row, to find one that fails now and then
[group('check')]
steady runs='20':
    scripts/steady.sh {{runs}}
