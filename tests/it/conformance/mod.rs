//! The eight promises of the bus as laws, each held to every backend by the same code.
//!
//! A law is `async fn law(ctx: &Ctx)`. Each is listed once, below; the macro makes one test of it for every backend. A
//! capability that a backend denies is tested as a denial: the law then asserts the negation. Nothing is skipped.
//!
//! The oracle is the same for all: confirmed minus seen is empty; a second sight happens only where a fault was
//! injected; each id ends in exactly one of acked or dead.

mod ctx;
mod embedded;
mod ledger;
mod nats;
mod proxy;
mod rabbitmq;
mod servers;

mod basics;
mod faults;
mod life;
mod poison;
mod publish;
mod settle;

/// One module of tests for a backend.
macro_rules! backend {
    ($backend:ident, $fixture:path, $($group:ident::$law:ident,)*) => {
        mod $backend {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $law() {
                    let ctx = super::ctx::Ctx::new(Box::new($fixture().await));
                    ctx.hold(super::$group::$law(&ctx)).await;
                }
            )*
        }
    };
}

/// Every law, once; every backend, once. Rough laws restart the broker, so where tests share one they have their own.
macro_rules! laws {
    (gentle { $($gentle_group:ident::$gentle:ident,)* } rough { $($rough_group:ident::$rough:ident,)* }) => {
        backend!(
            embedded_memory, super::embedded::memory,
            $($gentle_group::$gentle,)* $($rough_group::$rough,)*
        );
        backend!(
            embedded_durable, super::embedded::durable,
            $($gentle_group::$gentle,)* $($rough_group::$rough,)*
        );
        backend!(
            on_nats, super::nats::private,
            $($gentle_group::$gentle,)* $($rough_group::$rough,)*
        );
        backend!(on_rabbitmq, super::rabbitmq::shared, $($gentle_group::$gentle,)*);
        backend!(on_private_rabbitmq, super::rabbitmq::private, $($rough_group::$rough,)*);
    };
}

/// Every law about a broker that is a process of its own, reached by a link.
macro_rules! fault_laws {
    ($($group:ident::$law:ident,)*) => {
        backend!(faults_on_nats, super::nats::private, $($group::$law,)*);
        backend!(faults_on_rabbitmq, super::rabbitmq::private, $($group::$law,)*);
    };
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
    life::the_broker_says_what_it_is,
    }
    rough {
    settle::out_of_order_settles_leave_exactly_the_rest,
    }
}

fault_laws! {
    faults::a_receipt_survives_kill9_of_the_broker,
    faults::three_restarts_in_order_lose_nothing,
    faults::kill9_of_the_broker_loses_nothing,
    faults::a_link_cut_many_times_loses_nothing,
    faults::a_broker_that_hangs_loses_nothing,
    faults::a_half_open_link_is_noticed,
    faults::a_broker_that_comes_late_is_waited_for,
    faults::an_outage_longer_than_any_backoff_is_outlived,
    faults::an_ack_is_final_after_a_reconnect,
    faults::tokens_of_a_lost_link_are_stale_and_the_window_holds,
    faults::attempts_survive_a_restart_of_the_broker,
    faults::a_deleted_group_is_loud_and_made_anew,
    faults::a_group_deleted_unseen_is_made_anew,
    faults::a_full_broker_blocks_publishers_and_not_acks,
    faults::dead_letters_are_not_lost_with_the_broker,
    faults::after_a_long_silence_it_still_delivers,
}
