#!/usr/bin/env bash
# Formats, lints and tests everything, and first installs what is missing: the brokers' servers (Debian/Ubuntu
# packages rabbitmq-server and nats-server), Chromium for the page, Python's venv module, a C compiler, cargo-nextest,
# cargo-deny. Needs git and the Rust toolchain.
#   ./test.sh              everything
#   ./test.sh -E 'FILTER'  only the tests of a nextest filter
#   ./test.sh --quick      only what needs nothing but Rust (and cargo-nextest); takes more arguments for nextest, too
set -euo pipefail
cd "$(dirname "$0")"

say() { printf '\n== %s\n' "$*" >&2; }
as_root() { if [[ $(id -u) == 0 ]]; then "$@"; else sudo "$@"; fi; }

# The packages of commands that are not here yet.
missing_packages() {
  local pair
  for pair in cc:gcc rabbitmq-server:rabbitmq-server nats-server:nats-server; do
    PATH=$PATH:/usr/sbin:/usr/lib/rabbitmq/bin command -v "${pair%%:*}" >/dev/null || printf '%s ' "${pair##*:}"
  done
  # Any browser that tests/browser knows will do. Ubuntu has no package of this name; its images often have Chrome.
  command -v chromium chromium-browser google-chrome chrome >/dev/null || printf 'chromium '
  python3 -c 'import ensurepip, venv' 2>/dev/null || printf 'python3-venv '
}

install_packages() {
  local packages
  packages=$(missing_packages)
  [[ -n $packages ]] || return 0
  if ! command -v apt-get >/dev/null; then
    say "please install: $packages(no apt-get here); the tests that need them fail and say so"
    return 0
  fi
  say "installing $packages"
  # The tests start private brokers of their own; the packages must not start one for the whole machine.
  as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 bash -c \
    "apt-get update -qq && apt-get install -y -qq --no-install-recommends $packages" >/dev/null
}

install_tool() {
  command -v "$1" >/dev/null && return 0
  say "installing $1"
  cargo install --quiet --locked "$1"
}

# Everything is every test target; without these arguments nextest takes the first ring alone.
targets=(--profile ci --workspace --lib --bins --test '*')
if [[ ${1:-} == --quick ]]; then
  shift
  targets=()
else
  install_packages
  install_tool cargo-deny
fi
install_tool cargo-nextest

say "format"
cargo fmt --check
cargo fmt --check --manifest-path fuzz/Cargo.toml
cargo fmt --check --manifest-path crates/residual-model/fuzz/Cargo.toml
say "lint"
cargo clippy --locked --all-targets -- -D warnings
# `--all-targets` leaves out the tests that `cargo test` leaves out.
cargo clippy --locked --quiet --test '*' -- -D warnings
# Each broker is a feature: neither may need the other, nor the first ring either.
for features in "" nats rabbitmq; do
  cargo clippy --locked --quiet --bin residual --test it --no-default-features --features "$features" -- -D warnings
done
say "test"
# More seeds than the first ring alone tries.
[[ ${#targets[@]} == 0 ]] || export SIMULATION_SEEDS=${SIMULATION_SEEDS:-200}
cargo nextest run --locked ${targets[@]+"${targets[@]}"} "$@"
if [[ ${#targets[@]} -gt 0 ]]; then
  say "dependencies"
  # For this platform alone, whose crates are all here by now: no network. The workflow checks the others.
  host=$(rustc -vV | sed -n 's/^host: //p')
  cargo deny --locked --offline --target "$host" check --allow unmatched-skip licenses bans sources
fi
say "documentation"
# With a filter the examples in the documentation are not among the wanted tests.
[[ $# -gt 0 ]] || cargo test --locked --quiet --doc --workspace
RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --quiet
say "all green"
