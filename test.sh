#!/usr/bin/env bash
# Formats, lints and tests everything, and first installs what is missing: the brokers' servers (Debian/Ubuntu
# packages rabbitmq-server and nats-server), Chromium for the page, a C compiler, cargo-nextest. Needs git and the Rust toolchain.
#   ./test.sh              everything
#   ./test.sh -E 'FILTER'  only the tests of a nextest filter
set -euo pipefail
cd "$(dirname "$0")"

say() { printf '\n== %s\n' "$*" >&2; }
as_root() { if [[ $(id -u) == 0 ]]; then "$@"; else sudo "$@"; fi; }

# command:package pairs that are not here yet
missing_packages() {
  local pair
  for pair in cc:gcc rabbitmq-server:rabbitmq-server nats-server:nats-server chromium:chromium; do
    PATH=$PATH:/usr/sbin:/usr/lib/rabbitmq/bin command -v "${pair%%:*}" >/dev/null || printf '%s ' "${pair##*:}"
  done
  python3 -c 'import ensurepip, venv' 2>/dev/null || printf 'python3-venv '
}

install_packages() {
  local packages
  packages=$(missing_packages)
  [[ -n $packages ]] || return 0
  if ! command -v apt-get >/dev/null; then
    say "please install: $packages(no apt-get here); broker tests fail without them"
    return 0
  fi
  say "installing $packages"
  # The tests start private brokers of their own; the packages must not start one for the whole machine.
  as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 bash -c \
    "apt-get update -qq && apt-get install -y -qq --no-install-recommends $packages" >/dev/null
}

install_nextest() {
  command -v cargo-nextest >/dev/null && return 0
  say "installing cargo-nextest"
  cargo install --quiet --locked cargo-nextest
}

install_packages
install_nextest

say "format"
cargo fmt --check
cargo fmt --check --manifest-path fuzz/Cargo.toml
cargo fmt --check --manifest-path crates/residual-model/fuzz/Cargo.toml
say "lint"
cargo clippy --locked --all-targets -- -D warnings
# Each broker is a feature: neither may lean on the other.
for features in "" nats rabbitmq; do
  cargo clippy --locked --quiet --bin residual --no-default-features --features "$features" -- -D warnings
done
say "test"
cargo nextest run --locked "$@"
say "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --quiet
say "all green"
