//! (until the suite's branch is merged)

mod nats;
mod servers;
