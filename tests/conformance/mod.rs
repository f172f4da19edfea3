//! The promises of the bus as laws, each held to every backend by the same code.
//!
//! A law is `async fn law(ctx: &Ctx)`. Each is listed once, in [`hold_every_law!`], which makes one test of it for a
//! backend. A capability that a backend denies is tested as a denial: the law then asserts the negation. Nothing is
//! skipped.
//!
//! The oracle is the same for all: confirmed minus seen is empty; a message is seen twice only where a fault was
//! injected; each id ends in exactly one of acked or dead.
//!
//! Two test binaries take this folder in, each with backends of its own: `it` has the embedded bus, `brokers` has NATS
//! and RabbitMQ.

pub(crate) mod ctx;
pub(crate) mod ledger;
pub(crate) mod worker;

pub(crate) mod basics;
pub(crate) mod life;
pub(crate) mod memory;
pub(crate) mod outages;
pub(crate) mod poison;
pub(crate) mod publish;
pub(crate) mod settle;

/// A module with one test for each of the given laws. Rough laws kill or stop the broker and need one of their own;
/// gentle ones share a broker where starting one takes long.
macro_rules! hold {
    ($backend:ident, $gentle:path, $rough:path,
     gentle { $($home:ident::$group:ident { $($law:ident,)* })* }
     rough { $($rough_home:ident::$rough_group:ident { $($rough_law:ident,)* })* }) => {
        mod $backend {
            use $crate::conformance::ctx::Ctx;

            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $law() {
                    let ctx = Ctx::new(Box::new($gentle().await));
                    ctx.hold($crate::$home::$group::$law(&ctx)).await;
                }
            )*)*
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $rough_law() {
                    let ctx = Ctx::new(Box::new($rough().await));
                    ctx.hold($crate::$rough_home::$rough_group::$rough_law(&ctx)).await;
                }
            )*)*
        }
    };
}

/// Every law, held to one backend.
macro_rules! hold_every_law {
    ($backend:ident, $gentle:path, $rough:path) => {
        $crate::conformance::hold! {
            $backend, $gentle, $rough,
            gentle {
                conformance::basics {
                    all_published_arrive,
                    bytes_headers_and_id_round_trip,
                    two_groups_each_get_all,
                    competing_consumers_share_without_overlap,
                    join_and_leave_rebalances,
                    fifo_with_one_consumer_and_no_retry,
                    recv_honours_max_and_linger,
                    recv_may_be_dropped_without_loss,
                    too_large_is_refused_locally_and_the_publisher_lives,
                }
                conformance::publish {
                    a_dropped_receipt_breaks_nothing,
                    an_undeclared_topic_is_an_error,
                    a_full_topic_makes_publishers_wait_and_loses_nothing,
                    confirms_of_many_tasks_never_cross,
                    the_same_id_sent_again_is_recognisable,
                }
                conformance::settle {
                    ack_is_final,
                    retry_is_not_ack,
                    one_consumers_ack_leaves_anothers,
                    a_lease_is_kept_while_working,
                    retry_waits_its_delay_and_blocks_nobody,
                    attempts_count_up,
                    a_stale_token_is_harmless,
                    a_token_is_not_clone,
                    the_window_is_never_exceeded,
                    a_saturated_window_resumes,
                    a_batch_larger_than_the_window_does_not_deadlock,
                }
                conformance::poison {
                    a_dead_letter_carries_reason_attempts_and_origin,
                    a_bad_record_dies_alone,
                    past_the_cap_it_is_dead_without_being_handed_out,
                    what_came_back_is_handed_out_alone,
                    an_unwritable_dead_letter_keeps_the_original,
                    redriven_letters_are_processed_by_their_group_only,
                }
                conformance::life {
                    declare_is_idempotent_and_concurrent,
                    a_declare_conflict_is_loud_and_changes_nothing,
                    published_before_any_consumer_is_kept,
                    after_stop_nothing_new_is_delivered,
                    a_clean_stop_means_no_redelivery,
                    released_messages_return_at_once,
                    stop_never_dead_letters,
                    drop_without_close_is_safe,
                    everything_may_close_at_once,
                    depth_is_truthful,
                    depth_counts_other_processes_or_says_that_it_does_not,
                    the_broker_describes_itself,
                }
                conformance::outages {
                    after_a_long_idle_it_delivers,
                    a_dead_letter_written_twice_is_recognisable,
                }
            }
            rough {
                conformance::settle {
                    out_of_order_settles_leave_exactly_the_rest,
                }
                conformance::outages {
                    a_receipt_means_durable,
                    broker_kill9_under_load,
                    three_graceful_broker_restarts_under_load,
                    a_paused_broker_goes_on,
                    publisher_kill9_mid_window,
                    consumer_kill9_mid_batch,
                    attempts_survive_a_restart_of_the_broker,
                    a_crashing_record_is_isolated_and_its_neighbours_survive,
                    the_dead_are_never_lost_under_kill9,
                    publishing_spans_a_reconnect,
                    an_absent_broker_is_waited_for,
                    an_outage_longer_than_any_backoff_is_survived,
                    a_publisher_with_nothing_unconfirmed_closes_at_once,
                    a_half_open_link_is_noticed,
                    confirms_never_cross_while_the_link_is_cut,
                    a_reconnect_keeps_acks_and_windows,
                    the_publish_window_holds_publishers_back,
                    blocked_publishers_do_not_block_acks,
                    a_deleted_group_is_reported_or_repaired,
                }
                conformance::memory {
                    memory_stays_flat_while_nothing_is_taken,
                }
            }
        }
    };
}

pub(crate) use {hold, hold_every_law};
