//! (until the suite's branch is merged)

mod nats;
mod rabbitmq;
mod servers;
