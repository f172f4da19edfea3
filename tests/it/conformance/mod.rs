//! The eight promises of the bus as laws, each held to every backend by the same code.
//!
//! A law is `async fn law(ctx: &Ctx)`. Each is listed once, below; the macro makes one test of it for every backend. A
//! capability that a backend denies is tested as a denial: the law then asserts the negation. Nothing is skipped.
//!
//! The oracle is the same for all: confirmed minus seen is empty; a second sight happens only where a fault was
//! injected; each id ends in exactly one of acked or dead.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

mod authority;
mod clients;
mod cluster_nats;
mod ctx;
mod embedded;
mod encrypted;
mod ledger;
mod nats;
mod own_nats;
mod own_rabbitmq;
mod proxy;
mod rabbitmq;
pub(crate) mod servers;
mod worker;

mod basics;
mod chaos;
mod disk;
mod faults;
mod life;
mod memory;
mod outages;
mod poison;
mod publish;
mod settle;

/// One module of tests for a backend. Rough laws hurt the broker and need one of their own; where setting one up is
/// dear, the gentle ones share.
macro_rules! backend {
    ($backend:ident, $gentle:path, $rough:path,
     gentle { $($group:ident::$law:ident,)* } rough { $($rough_group:ident::$rough_law:ident,)* }) => {
        mod $backend {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $law() {
                    let ctx = super::ctx::Ctx::new(Box::new($gentle().await));
                    ctx.hold(super::$group::$law(&ctx)).await;
                }
            )*
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $rough_law() {
                    let ctx = super::ctx::Ctx::new(Box::new($rough().await));
                    ctx.hold(super::$rough_group::$rough_law(&ctx)).await;
                }
            )*
        }
    };
}

/// Every law, once; every backend, once.
macro_rules! laws {
    ($($laws:tt)*) => {
        backend!(embedded_memory, super::embedded::memory, super::embedded::memory, $($laws)*);
        backend!(embedded_durable, super::embedded::durable, super::embedded::durable, $($laws)*);
        backend!(on_nats, super::nats::private, super::nats::private, $($laws)*);
        backend!(on_rabbitmq, super::rabbitmq::shared, super::rabbitmq::private, $($laws)*);
    };
}

/// Laws that only a broker behind a link can break.
macro_rules! link_laws {
    ($($laws:tt)*) => {
        backend!(link_to_nats, super::nats::private, super::nats::private, gentle {} rough { $($laws)* });
        backend!(link_to_rabbitmq, super::rabbitmq::private, super::rabbitmq::private, gentle {} rough { $($laws)* });
    };
}

link_laws! {
    faults::a_broker_that_hangs_loses_nothing,
    faults::a_group_deleted_unseen_is_made_anew,
    faults::tokens_of_a_lost_link_are_stale_and_the_window_holds,
}

laws! {
    gentle {
        basics::all_published_arrive,
        basics::bytes_headers_and_id_round_trip,
        basics::two_groups_each_get_all,
        basics::competing_consumers_share_without_overlap,
        basics::join_and_leave_rebalances,
        basics::fifo_with_one_consumer_and_no_retry,
        basics::recv_honours_max_and_linger,
        basics::recv_may_be_dropped_without_loss,
        basics::too_large_is_refused_locally_and_the_publisher_lives,
        publish::a_dropped_receipt_breaks_nothing,
        publish::an_undeclared_topic_is_an_error,
        publish::a_full_topic_makes_publishers_wait_and_loses_nothing,
        publish::confirms_of_many_tasks_never_cross,
        publish::the_same_id_sent_again_is_recognisable,
        settle::ack_is_final,
        settle::retry_is_not_ack,
        settle::one_consumers_ack_leaves_anothers,
        settle::a_lease_is_kept_while_working,
        settle::retry_waits_its_delay_and_blocks_nobody,
        settle::attempts_count_up,
        settle::a_stale_token_is_harmless,
        settle::a_token_is_not_clone,
        settle::the_window_is_never_exceeded,
        settle::a_saturated_window_resumes,
        settle::a_batch_larger_than_the_window_does_not_deadlock,
        poison::a_dead_letter_carries_reason_attempts_and_origin,
        poison::a_bad_record_dies_alone,
        poison::past_the_cap_it_is_dead_without_being_handed_out,
        poison::what_came_back_is_handed_out_alone,
        poison::an_unwritable_dead_letter_keeps_the_original,
        poison::redriven_letters_are_processed_by_their_group_only,
        life::declare_is_idempotent_and_concurrent,
        life::a_declare_conflict_is_loud_and_changes_nothing,
        life::published_before_any_consumer_is_kept,
        life::after_stop_nothing_new_is_delivered,
        life::a_clean_stop_means_no_redelivery,
        life::released_messages_return_at_once,
        life::stop_never_dead_letters,
        life::drop_without_close_is_safe,
        life::everything_may_close_at_once,
        life::depth_is_truthful,
        life::depth_tells_of_other_processes_or_says_that_it_does_not,
        life::the_broker_says_what_it_is,
        outages::after_a_long_idle_it_delivers,
        outages::a_letter_written_twice_is_recognisable,
    }
    rough {
        settle::out_of_order_settles_leave_exactly_the_rest,
        outages::a_receipt_means_durable,
        outages::broker_kill9_under_load,
        outages::three_graceful_broker_restarts_under_load,
        outages::a_paused_broker_goes_on,
        outages::publisher_kill9_mid_window,
        outages::consumer_kill9_mid_batch,
        outages::attempts_survive_a_restart_of_the_broker,
        outages::a_crasher_is_isolated_and_its_neighbours_survive,
        outages::the_dead_are_never_lost_under_kill9,
        outages::publishing_spans_a_reconnect,
        outages::an_absent_broker_is_waited_for,
        outages::an_outage_longer_than_any_backoff_is_survived,
        outages::a_publisher_with_nothing_unconfirmed_closes_at_once,
        outages::a_half_open_link_is_noticed,
        outages::confirms_never_cross_while_the_link_is_cut,
        outages::a_reconnect_keeps_acks_and_windows,
        outages::the_publish_window_holds_publishers_back,
        outages::blocked_publishers_do_not_block_acks,
        outages::a_deleted_group_is_loud_or_mended,
        memory::memory_stays_flat_while_nothing_is_taken,
    }
}
