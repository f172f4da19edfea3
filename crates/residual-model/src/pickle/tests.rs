//! The machine against hand-written streams.

use super::numpy::Array;
use super::{Graph, Node, read};

fn root(bytes: &[u8], check: impl FnOnce(&Graph<'_>)) {
    check(&read(bytes).unwrap());
}

#[expect(clippy::float_cmp, reason = "exact by construction")]
#[test]
fn integers_of_every_width_keep_sign_and_value() {
    for (bytes, value) in [
        (&b"\x80\x02K\xff."[..], 255),
        (b"\x80\x02M\xff\xff.", 65_535),
        (b"\x80\x02J\xff\xff\xff\xff.", -1),
        (b"\x80\x02\x8a\x00.", 0),
        (b"\x80\x02\x8a\x01\x80.", -128),
        (
            b"\x80\x02\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80.",
            i64::MIN,
        ),
        (b"L-77L\n.", -77),
        (b"I12\n.", 12),
    ] {
        root(bytes, |graph| {
            assert!(
                matches!(graph.node(graph.root()), Node::Int(found) if *found == value),
                "{bytes:?}"
            );
        });
    }
    root(b"\x80\x02\x8a\x09\0\0\0\0\0\0\0\0\x01.", |graph| {
        assert!(matches!(graph.node(graph.root()), Node::BigInt));
    });
    root(b"\x80\x02G\x3f\xf8\0\0\0\0\0\0.", |graph| {
        assert!(matches!(graph.node(graph.root()), Node::Float(value) if *value == 1.5));
    });
}

#[test]
fn memoize_counts_entries_and_put_may_leave_gaps() {
    // Two entries at 7 and 0; MEMOIZE then writes entry 2.
    root(
        b"\x80\x04K\x01q\x07K\x02q\x00K\x03\x94h\x02h\x00h\x07\x87.",
        |graph| {
            let values: Vec<_> = graph
                .items(graph.root())
                .unwrap()
                .iter()
                .map(|id| graph.describe(*id))
                .collect();
            assert_eq!(values, ["3", "2", "1"]);
        },
    );
}

#[test]
fn the_last_of_two_equal_keys_wins() {
    root(b"\x80\x04}(\x8c\x01aK\x01\x8c\x01aK\x02u.", |graph| {
        assert_eq!(graph.describe(graph.get(graph.root(), "a").unwrap()), "2");
    });
}

/// A dtype that is memoised before BUILD, as numpy writes it, and used again after.
#[test]
fn a_big_endian_dtype_shared_by_two_arrays_is_big_endian_in_both() {
    let mut bytes = b"\x80\x02cnumpy\ndtype\nX\x02\0\0\0f8\x89\x88\x87Rq\x01(K\x03X\x01\0\0\0>NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb0".to_vec();
    for _ in 0..2 {
        bytes.extend_from_slice(
            b"cnumpy.core.multiarray\nscalar\nh\x01C\x08\x40\x08\0\0\0\0\0\0\x86R",
        );
    }
    bytes.extend_from_slice(b"\x86.");
    root(&bytes, |graph| {
        for id in graph.items(graph.root()).unwrap() {
            assert_eq!(
                Array::read(graph, *id).unwrap().unwrap().f64s().unwrap(),
                [3.0]
            );
        }
    });
}

/// `_frombuffer` with an axis order, as numpy 2.3 writes transposed arrays.
#[test]
fn buffers_are_read_in_c_fortran_and_transposed_order() {
    let array = |order: &[u8]| {
        let mut bytes = b"\x80\x05\x8c\x13numpy._core.numeric\x8c\x0b_frombuffer\x93(\x96\x06\0\0\0\0\0\0\0\x01\x02\x03\x04\x05\x06".to_vec();
        bytes.extend_from_slice(b"\x8c\x05numpy\x8c\x05dtype\x93\x8c\x02u1\x89\x88\x87R(K\x03\x8c\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tbK\x02K\x03\x86");
        bytes.extend_from_slice(order);
        bytes.extend_from_slice(b"tR.");
        let graph = read(&bytes).unwrap();
        let array = Array::read(&graph, graph.root()).unwrap().unwrap();
        (array.shape.clone(), array.i64s().unwrap())
    };
    assert_eq!(array(b"\x8c\x01C"), (vec![2, 3], vec![1, 2, 3, 4, 5, 6]));
    assert_eq!(array(b"\x8c\x01F"), (vec![2, 3], vec![1, 3, 5, 2, 4, 6]));
    assert_eq!(
        array(b"\x8c\x01KK\x01K\0\x86"),
        (vec![3, 2], vec![1, 4, 2, 5, 3, 6])
    );
}
