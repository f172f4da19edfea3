//! `residual convert` on files that were made to exhaust it: refused, in bounded memory and time.
#![cfg(target_os = "linux")]

#[path = "../../crates/residual-model/tests/handmade.rs"]
mod handmade;

use std::{fs, io::Write, process::Command};

use flate2::{Compression, write::GzEncoder};

use handmade::call;

/// Files made to exhaust their reader, by name.
fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let mut member = GzEncoder::new(vec![], Compression::best());
    member.write_all(&vec![0; 1 << 20]).unwrap();
    let member = member.finish().unwrap();
    let padded = |tail: &[u8]| {
        let head = [&b"\x80\x04X\x80\x96\x98\x00"[..], &vec![b'a'; 10_000_000]].concat();
        [&head[..], b"0", tail].concat()
    };
    let mut doubling = b"\x80\x04)".to_vec();
    doubling.extend(b"2\x86".repeat(60));
    doubling.push(b'.');
    vec![
        ("a call", call("os", "system", "true")),
        ("an eval", call("builtins", "eval", "1")),
        (
            "marks",
            padded(&[&vec![b'('; 4_000_000][..], b"."].concat()),
        ),
        (
            "nested tuples",
            padded(&[b")", &vec![0x85; 4_000_000][..], b"."].concat()),
        ),
        ("doubling tuples", doubling),
        ("a list in itself", b"\x80\x04]\x94h\0a.".to_vec()),
        (
            "memo entries by the million",
            padded(&[b"N", &b"\x94".repeat(4_000_000)[..], b"."].concat()),
        ),
        (
            "a memo loop in a state",
            b"\x80\x04\x8c\x07sklearn\x8c\x01A\x93)\x81\x94h\0b.".to_vec(),
        ),
        (
            "a length of eight bytes",
            b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc".to_vec(),
        ),
        ("a memo index", b"Np18446744073709551615\n.".to_vec()),
        ("half a gigabyte of zeros", member.repeat(512)),
    ]
}

#[test]
fn bombs_are_refused_within_640_mib_and_ten_seconds_of_one_process() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in bombs() {
        let path = folder.path().join("bomb.pkl");
        fs::write(&path, &bytes).unwrap();
        let started = std::time::Instant::now();
        // The shell's limits are in KiB and seconds; a process that passes them is killed and has no exit code.
        let output = Command::new("sh")
            .args([
                "-c",
                "ulimit -v 655360; ulimit -t 10; exec \"$0\" convert \"$1\"",
            ])
            .args([env!("CARGO_BIN_EXE_residual"), path.to_str().unwrap()])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{name}: {said}");
        assert!(said.contains("bomb.pkl"), "{name}: {said}");
        println!("{name}: {} bytes, {:?}", bytes.len(), started.elapsed());
    }
}
