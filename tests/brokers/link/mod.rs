//! What only a broker behind a link can do: a proxy that hurts the link, and the laws that go with it.

pub(crate) mod faults;
pub(crate) mod proxy;

/// Every law that only a broker behind a link can break, held to one backend.
macro_rules! hold_every_link_law {
    ($backend:ident, $private:path) => {
        $crate::conformance::hold! {
            $backend, $private, $private,
            gentle {}
            rough {
                link::faults {
                    a_broker_that_hangs_loses_nothing,
                    a_group_deleted_unseen_is_made_anew,
                    tokens_of_a_lost_link_are_stale_and_the_window_holds,
                }
            }
        }
    };
}

pub(crate) use hold_every_link_law;
