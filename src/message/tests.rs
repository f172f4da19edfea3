//! Round trips, refusals and hostile bytes of the codec.

use proptest::prelude::*;

use uuid::Uuid;

use super::*;
use crate::clock::Clock;

fn features(id: &str, values: &[f64]) -> Record<Features> {
    Record {
        id: id.parse().unwrap(),
        body: Features(values.to_vec()),
    }
}

fn decode_all<B: Body>(content_type: &str, body: &str) -> Decoded<B> {
    decode(content_type, body.as_bytes()).unwrap()
}

#[test]
fn a_number_id_keeps_its_text_and_comes_back_as_a_number() {
    let decoded: Decoded<Truth> = decode_all("", r#"{"id": 1731241829.788735000, "body": 81.0}"#);
    assert_eq!(decoded.records[0].id.to_string(), "1731241829.788735000");
    let frame = encode(&decoded.records, Encoding::Json);
    assert_eq!(
        &frame.body[..],
        br#"{"id":1731241829.788735000,"body":81.0}"#
    );
}

#[test]
fn a_string_and_a_number_of_one_text_are_one_id() {
    assert_eq!(
        RecordId::from_text("42").unwrap(),
        RecordId::from_number("42").unwrap()
    );
    assert_ne!(
        RecordId::from_text("42").unwrap(),
        RecordId::from_number("42.0").unwrap()
    );
}

#[test]
fn only_the_canonical_uuid_text_is_packed() {
    for text in [
        "018f3b5e-7a2c-7abc-8def-0123456789ab",
        "018F3B5E-7A2C-7ABC-8DEF-0123456789AB",
        "018f3b5e7a2c7abc8def0123456789ab",
    ] {
        assert_eq!(RecordId::from_text(text).unwrap().to_string(), text);
    }
}

#[test]
fn one_bad_record_dies_alone_with_its_reason() {
    let body = r#"[{"id":"a","body":1}, {"id":"b","body":"x"}, {"body":2}, {"id":true,"body":2}, 7, {"id":"c","body":[3]}]"#;
    let decoded: Decoded<Truth> = decode_all(JSON, body);
    let good: Vec<_> = decoded
        .records
        .iter()
        .map(|record| record.id.to_string())
        .collect();
    assert_eq!(good, ["a", "c"]);
    let reasons: Vec<_> = decoded
        .malformed
        .iter()
        .map(|bad| (bad.index, bad.reason.to_string()))
        .collect();
    assert_eq!(
        reasons,
        [
            (
                1,
                "body is neither a finite number nor a list of finite numbers"
            ),
            (2, "record has no `id`"),
            (3, "id is neither a string nor a number"),
            (
                4,
                r#"record is not an object of the shape {"id": …, "body": …}"#
            ),
        ]
        .map(|(index, reason)| (index, reason.to_owned()))
    );
    assert_eq!(
        &decoded.malformed[0].frame.body[..],
        br#"{"id":"b","body":"x"}"#
    );
}

#[test]
fn a_value_that_is_not_finite_is_refused_in_postcard_too() {
    let frame = encode(
        &[features("a", &[1.0]), features("b", &[1.0, f64::INFINITY])],
        Encoding::Postcard,
    );
    let decoded: Decoded<Features> = decode(frame.content_type, &frame.body).unwrap();
    assert_eq!(decoded.records, [features("a", &[1.0])]);
    assert_eq!(
        decoded.malformed[0].reason.to_string(),
        "value 1 of the body is inf, expected a finite number"
    );
    let alone: Decoded<Features> = decode(POSTCARD, &decoded.malformed[0].frame.body).unwrap();
    assert_eq!(alone.malformed.len(), 1);
}

#[test]
fn a_missing_feature_travels_as_nan_and_as_null_and_a_missing_answer_does_not() {
    let records = [features("a", &[1.0, f64::NAN])];
    for encoding in [Encoding::Postcard, Encoding::Json] {
        let frame = encode(&records, encoding);
        let decoded: Decoded<Features> = decode(frame.content_type, &frame.body).unwrap();
        let values = &decoded.records[0].body.0;
        assert!(values[0] == 1.0 && values[1].is_nan(), "{encoding:?}");
    }
    let json = encode(&records, Encoding::Json);
    assert_eq!(&json.body[..], br#"{"id":"a","body":[1.0,null]}"#);
    let answer: Decoded<Truth> =
        decode_all(JSON, r#"[{"id":"a","body":null},{"id":"b","body":[null]}]"#);
    assert_eq!((answer.records.len(), answer.malformed.len()), (0, 2));
}

fn wire(id: &str, y_pred: f64, probabilities: &[f64]) -> Record<Prediction> {
    Record {
        id: id.parse().unwrap(),
        body: Prediction::new(y_pred)
            .with_probabilities(Probabilities::unchecked(probabilities.to_vec())),
    }
}

#[test]
fn probabilities_travel_in_both_encodings_and_beside_records_without() {
    let plain = Record {
        id: "b".parse().unwrap(),
        body: Prediction::new(2.0),
    };
    let records = [wire("a", 1.0, &[0.25, 0.75]), plain];
    for encoding in [Encoding::Postcard, Encoding::Json] {
        let frame = encode(&records, encoding);
        let decoded: Decoded<Prediction> = decode(frame.content_type, &frame.body).unwrap();
        assert_eq!(decoded.records, records, "{encoding:?}");
    }
    let json = encode(&records[..1], Encoding::Json);
    assert_eq!(
        &json.body[..],
        br#"{"id":"a","body":1.0,"probabilities":[0.25,0.75]}"#
    );
    let old: Decoded<Prediction> = decode_all("", r#"{"id": "a", "body": 1}"#);
    assert_eq!(old.records[0].body, Prediction::new(1.0));
}

#[test]
fn a_frame_without_probabilities_has_not_a_byte_for_them() {
    let record = |y_pred| Record {
        id: "a".parse().unwrap(),
        body: Prediction::new(y_pred),
    };
    let frame = encode(&[record(1.0), record(2.0)], Encoding::Postcard);
    let truths = [1.0, 2.0].map(|value| Record {
        id: "a".parse().unwrap(),
        body: Truth(value),
    });
    assert_eq!(frame, encode(&truths, Encoding::Postcard));
    assert_eq!(size_of::<Prediction>(), 16);
}

#[test]
fn bad_probabilities_die_alone_with_their_reason() {
    let bad: [&[f64]; 3] = [&[0.5, 1.5], &[0.2, 0.2], &[f64::NAN, 1.0]];
    let mut records = vec![wire("good", 1.0, &[0.0, 1.0])];
    records.extend(bad.map(|probabilities| wire("bad", 1.0, probabilities)));
    let frame = encode(&records, Encoding::Postcard);
    let decoded: Decoded<Prediction> = decode(frame.content_type, &frame.body).unwrap();
    assert_eq!(decoded.records.len(), 1);
    let reasons: Vec<_> = decoded
        .malformed
        .iter()
        .map(|bad| bad.reason.to_string())
        .collect();
    assert_eq!(
        reasons,
        [
            "probability 1 is 1.5, expected a number from 0 to 1",
            "probabilities sum up to 0.4, expected 1",
            "probability 0 is NaN, expected a number from 0 to 1",
        ]
    );
    let letter = &decoded.malformed[0].frame;
    let alone: Decoded<Prediction> = decode(letter.content_type, &letter.body).unwrap();
    assert_eq!((alone.records.len(), alone.malformed.len()), (0, 1));
    let json = r#"[{"id":"a","body":1,"probabilities":[0.5]},{"id":"b","body":1,"probabilities":7},
        {"id":"c","body":1,"probabilities":[]},{"id":"d","body":1,"probabilities":[1]}]"#;
    let decoded: Decoded<Prediction> = decode_all(JSON, json);
    assert_eq!((decoded.records.len(), decoded.malformed.len()), (1, 3));
}

#[test]
fn a_claimed_number_of_probabilities_is_not_allocated() {
    // One record, a text id `a`, an answer, and four gibibytes of probabilities.
    let frame = encode(&[wire("a", 1.0, &[1.0])], Encoding::Postcard);
    let mut bytes = frame.body[..frame.body.len() - 9].to_vec();
    bytes.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0x0f]);
    assert!(matches!(
        decode::<Prediction>(POSTCARD_PROBABILITIES, &bytes),
        Err(FrameError::Postcard(_))
    ));
    assert!(decode::<Truth>(POSTCARD_PROBABILITIES, &frame.body).is_err());
}

#[test]
fn frames_that_are_not_frames_are_errors() {
    assert!(matches!(
        decode::<Truth>("text/plain", b"{}"),
        Err(FrameError::ContentType(_))
    ));
    assert!(matches!(
        decode::<Truth>("application/x-postcard; v=2", b""),
        Err(FrameError::ContentType(_))
    ));
    assert!(matches!(
        decode::<Truth>(JSON, b"[]"),
        Err(FrameError::Empty)
    ));
    assert!(matches!(
        decode::<Truth>(JSON, br#"{"id":"a","body":NaN}"#),
        Err(FrameError::Json(_))
    ));
    assert!(matches!(
        decode::<Truth>(POSTCARD, b"\x05abc"),
        Err(FrameError::Postcard(_))
    ));
}

#[test]
fn a_claimed_length_is_not_allocated() {
    let claims_four_gib = [0xff, 0xff, 0xff, 0xff, 0x0f];
    assert!(matches!(
        decode::<Features>(POSTCARD, &claims_four_gib),
        Err(FrameError::Postcard(_))
    ));
}

#[test]
fn ids_that_would_break_a_line_are_refused() {
    assert_eq!(RecordId::from_text(""), Err(IdError::Empty));
    assert_eq!(RecordId::from_text("a\nb"), Err(IdError::ControlCharacter));
    assert_eq!(
        RecordId::from_text(&"x".repeat(129)),
        Err(IdError::TooLong { size: 129 })
    );
}

#[tokio::test(start_paused = true)]
async fn minted_ids_are_version_7_ordered_unique_and_carry_their_run() {
    let mut source = IdSource::new(RunTag(0xfeed_beef), Clock::anchored(1_700_000_000_000));
    let ids: Vec<_> = (0..5_000).map(|_| source.mint()).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(
        ids.iter()
            .all(|id| id.run_tag() == Some(RunTag(0xfeed_beef)))
    );
    assert!(
        ids.iter()
            .all(|id| id.minted_us() == Some(1_700_000_000_000_000))
    );
    let uuid: Uuid = ids[0].to_string().parse().unwrap();
    assert_eq!(
        (uuid.get_version_num(), uuid.get_variant()),
        (7, uuid::Variant::RFC4122)
    );
}

#[tokio::test(start_paused = true)]
async fn an_id_tells_the_microsecond_of_its_minting() {
    let clock = Clock::anchored(1_700_000_000_000);
    let mut source = IdSource::new(RunTag(1), clock);
    for _ in 0..2_000 {
        tokio::time::advance(std::time::Duration::from_micros(37)).await;
        let (now_us, minted) = (clock.now_us(), source.mint());
        assert_eq!(minted.minted_us(), Some(now_us));
    }
    assert_eq!(
        RecordId::from_text("1731241829.788735")
            .unwrap()
            .minted_us(),
        None
    );
}

fn any_id() -> impl Strategy<Value = RecordId> {
    prop_oneof![
        any::<u128>().prop_map(|bits| RecordId::from(Uuid::from_u128(bits))),
        "[ -~é]{1,40}".prop_map(|text| RecordId::from_text(&text).unwrap()),
        "[1-9][0-9]{0,12}(\\.[0-9]{1,9})?".prop_map(|text| RecordId::from_number(&text).unwrap()),
    ]
}

proptest! {
    #[test]
    fn both_encodings_round_trip(
        rows in prop::collection::vec((any_id(), prop::collection::vec(prop::num::f64::NORMAL | prop::num::f64::ZERO, 1..6)), 1..9)
    ) {
        let records: Vec<_> = rows.into_iter().map(|(id, values)| Record { id, body: Features(values) }).collect();
        for encoding in [Encoding::Postcard, Encoding::Json] {
            let frame = encode(&records, encoding);
            let decoded: Decoded<Features> = decode(frame.content_type, &frame.body).unwrap();
            prop_assert_eq!(&decoded.records, &records);
            prop_assert!(decoded.malformed.is_empty());
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for content_type in [POSTCARD, JSON] {
            drop(decode::<Features>(content_type, &bytes));
            drop(decode::<Truth>(content_type, &bytes));
        }
        drop(decode::<Prediction>(POSTCARD_PROBABILITIES, &bytes));
    }
}
