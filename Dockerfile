# One image, one binary; the role is the argument. No system fonts and no Python inside.

FROM rust:1-slim-trixie AS build
WORKDIR /build
# Dependencies are a layer of their own: they are built again only when the manifest changes.
COPY Cargo.toml Cargo.lock ./
COPY crates/residual-model/Cargo.toml crates/residual-model/
RUN benches=$(sed -n '/^\[\[bench\]\]/{n;s/^name = "\(.*\)"/benches\/\1.rs/p}' Cargo.toml) \
 && tests=$(sed -n 's/^path = "\(tests\/.*\)"/\1/p' Cargo.toml) \
 && mkdir -p src benches $(dirname $tests) crates/residual-model/src crates/residual-model/tests/parity \
 && echo 'fn main() {}' | tee src/main.rs $tests $benches >/dev/null \
 && (cd crates/residual-model && touch src/lib.rs tests/fuzz.rs tests/parity/main.rs) \
 && touch src/lib.rs \
 && cargo build --release --locked --bin residual
COPY data data
COPY model/myfile.safetensors model/
COPY crates/residual-model/src crates/residual-model/src
COPY src src
# Newer than the stand-ins above, whatever the times in the checkout are.
RUN touch src/main.rs src/lib.rs crates/residual-model/src/lib.rs && cargo build --release --locked --bin residual

FROM debian:trixie-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin residual \
 && install -d -o residual -g residual /app /app/logs
COPY --from=build /build/target/release/residual /usr/local/bin/residual
COPY docker/entrypoint.sh /usr/local/bin/entrypoint
COPY model/myfile.pkl model/myfile.safetensors /app/model/
USER residual
WORKDIR /app
VOLUME /app/logs
# Through the entrypoint, as the user that the service runs as.
HEALTHCHECK --interval=30s --timeout=15s --start-period=20s --retries=3 CMD ["entrypoint", "check"]
ENTRYPOINT ["entrypoint"]
CMD ["run"]
